"""Files that are whole or not there, and folders that one process uses at a time."""

import contextlib
import os
import tempfile
from pathlib import Path

import filelock

from .errors import RunFolderError


@contextlib.contextmanager
def replacing(path, mode="w"):
    """Open a temporary file that takes the name `path` once the block succeeds.

    Raises
    ------
    RunFolderError
        If the file cannot be written; whatever stood under the name is untouched.
    """
    path = Path(path)
    text = {} if "b" in mode else {"encoding": "utf-8", "newline": ""}
    scratch = None
    try:
        with tempfile.NamedTemporaryFile(
            mode, dir=path.parent, prefix=f".{path.name}.", delete=False, **text
        ) as file:
            scratch = file.name
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(scratch, 0o644)
        os.replace(scratch, path)
    except BaseException as error:
        if scratch is not None:
            Path(scratch).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise unwritable(path, error) from error
        raise


def unwritable(path, error):
    """Return the error that says why a path cannot be written."""
    return RunFolderError(
        f"{path} cannot be written ({error}); free space or choose another folder. "
        "What was there before is intact."
    )


@contextlib.contextmanager
def locked(folder, name, *, what, unusable=unwritable):
    """Make a folder and keep other processes out of it; it ends with the process.

    Parameters
    ----------
    folder : Path
    name : str
        Of the file in it that is locked.
    what : str
        What one process at a time does there, such as "training".
    unusable : callable
        ``unusable(folder, error)`` returns the error where the folder cannot be made.

    Raises
    ------
    RunFolderError
        If another process has it, or it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(folder / name, timeout=0)
        lock.acquire()
    except filelock.Timeout as error:
        raise RunFolderError(
            f"another {what} is running in {folder}; wait for its end or choose "
            "another folder."
        ) from error
    except OSError as error:
        raise unusable(folder, error) from error
    try:
        yield
    finally:
        lock.release()
