#!/usr/bin/env bash
#SBATCH --job-name=minattn
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=4
#SBATCH --time=00:30:00
#SBATCH --output=minattn-%j.log
# Train on several hosts of a cluster that Slurm shares out, from the folder of the project:
#
#     sbatch book/jobs/slurm.sh --steps 600 --checkpoint /shared/run
#
# Slurm starts one launcher on each host, and each launcher starts a process for each core. The first host of the job
# is where they meet. A job that ran out of time is submitted again as it was: it goes on.
set -euo pipefail

FIRST=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | sed -n 1p)
export FIRST HOSTS="$SLURM_NNODES" PROCESSES="$SLURM_CPUS_PER_TASK" RUN="$SLURM_JOB_ID"
srun --kill-on-bad-exit=1 book/jobs/several_hosts.sh "$@"
