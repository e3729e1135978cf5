"""The files that Brian2 keeps in the temporary folder."""

import logging
from pathlib import Path


def remove_brian2_files():
    """Import Brian2, and remove the debug log and the script copy that it then begins.

    For processes that are all bsnn's: Brian2 removes its files when a process ends, but
    not if it is killed.
    """
    from brian2.utils.logger import BrianLogger

    handler = getattr(BrianLogger, "file_handler", None)
    if handler is not None:
        logging.getLogger("brian2").removeHandler(handler)
        handler.close()
        BrianLogger.file_handler = None
    for name in ("tmp_log", "tmp_script"):
        path = getattr(BrianLogger, name, None)
        if path is not None:
            Path(path).unlink(missing_ok=True)
            setattr(BrianLogger, name, None)
