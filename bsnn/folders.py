"""Folders that environment variables name, and the user's cache."""

import os
from pathlib import Path

import platformdirs


def named_folder(variable):
    """Return the absolute folder that an environment variable names, or None.

    A leading ``~`` is the home folder; shells expand it only outside quotes.

    Raises
    ------
    ValueError
        If that home folder is not known.
    """
    text = os.environ.get(variable)
    # Absolute, because programs are built and run in folders of their own.
    return _at_home(Path(text), variable).absolute() if text else None


def user_cache(variable):
    """Return the user's cache folder for bsnn, which `variable` can replace.

    Raises
    ------
    ValueError
        If the user's folder is not absolute, since HOME is not.
    """
    folder = _at_home(platformdirs.user_cache_path("bsnn"), variable)
    if not folder.is_absolute():
        raise ValueError(
            f"the user's cache must be an absolute folder, got '{folder}' from HOME or "
            f"XDG_CACHE_HOME; name a folder in {variable}."
        )
    return folder


def _at_home(folder, variable):
    try:
        return folder.expanduser()
    except RuntimeError as error:
        raise ValueError(
            f"the home folder in '{folder}' is not known ({error}); name an absolute "
            f"folder in {variable}."
        ) from error
