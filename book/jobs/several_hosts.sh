#!/usr/bin/env bash
# Train on several hosts: run this same command on each of them, in the folder of the project.
#
#     FIRST=host-a HOSTS=2 PROCESSES=4 book/jobs/several_hosts.sh --steps 600 --checkpoint /shared/run
#
#   FIRST      name or address of one of them, which the others can reach
#   HOSTS      how many hosts
#   PROCESSES  how many processes on each; one for each GPU or core
#   PORT       a free port of FIRST that its firewall lets through (29400)
#   RESTARTS   how often all may start again after a lost process (3)
#   PYTHON     the Python to use (.venv/bin/python)
#
# The folder of --checkpoint must be the same for all hosts: on a shared file system.
# If gloo talks over the wrong network, name the right one: GLOO_SOCKET_IFNAME=eth0.
set -euo pipefail

export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
exec "${PYTHON:-.venv/bin/python}" -m minattn.scaling.launch \
    --nnodes "$HOSTS" --nproc-per-node "$PROCESSES" --max-restarts "${RESTARTS:-3}" \
    --rdzv-id "${RUN:-minattn}" --rdzv-backend c10d --rdzv-endpoint "$FIRST:${PORT:-29400}" \
    -m minattn.scaling.train "$@"
