"""Start processes with ``torchrun`` (chapter 23), and say in one line what went wrong.

    python -m minattn.scaling.launch --nproc-per-node 2 -m minattn.scaling.train --steps 200

The arguments are those of ``torchrun``. What the processes say themselves stands before that line. Processes that
start again meet in a store of their own: that of ``torchrun`` still holds the addresses of the dead, and so several
hosts would not find together.
"""

import logging
import os
import signal
import sys
from collections.abc import Sequence

from torch.distributed import DistError, run
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.elastic.rendezvous import RendezvousError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``torchrun``; after an error, say it in one line."""
    logging.getLogger("torch.distributed").setLevel(logging.CRITICAL)
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "FATAL")
    os.environ.setdefault("TORCH_DISABLE_SHARE_RDZV_TCP_STORE", "1")
    try:
        run.run(run.parse_args(arguments))  # type: ignore[no-untyped-call]
        return 0
    except ChildFailedError as error:
        said = how_it_ended(error)
    except SignalException as error:
        said = f"stopped by {error.sigval.name}; all processes were ended"
    except (DistError, RendezvousError, OSError, ValueError) as error:
        said = str(error).splitlines()[0]
        if "EADDRINUSE" in str(error):
            said = "the port is taken by another program: name another one, with --master-port or --rdzv-endpoint"
    print(f"launch: {said}", file=sys.stderr, flush=True)
    return 1


def how_it_ended(error: ChildFailedError) -> str:
    """Say which process ended first, and how."""
    rank, failure = error.get_first_failure()
    how = f"ended with exit code {failure.exitcode}"
    if failure.exitcode < 0:
        how = f"was killed by {signal.Signals(-failure.exitcode).name}"
    return f"process {rank} {how}, and no restart is left; all others were ended"


if __name__ == "__main__":
    sys.exit(main())
