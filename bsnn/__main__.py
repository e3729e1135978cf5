"""``python -m bsnn`` is the console command."""

import contextlib
import os
import sys

if __name__ == "__main__":
    # As for the console script, nothing in the working folder may hide a module.
    if not sys.flags.safe_path:
        with contextlib.suppress(OSError, ValueError):
            sys.path.remove(os.getcwd())
    from bsnn.cli.main import run

    run()
