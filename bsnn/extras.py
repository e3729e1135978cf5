"""Packages that only some uses of bsnn need, which pip installs when asked for."""

import contextlib

from .errors import BackendUnavailable


@contextlib.contextmanager
def needed(what, package, extra):
    """Be in a context that imports a package, and says who needs it where it fails.

    Parameters
    ----------
    what : str
        Who needs it, as "graphs of NIR need".
    package : str
    extra : str
        What of bsnn's extras installs it.

    Raises
    ------
    BackendUnavailable
        In place of ImportError.
    """
    try:
        yield
    except ImportError as error:
        raise BackendUnavailable(
            f"{what} the package {package} ({error}); pip install 'bsnn[{extra}]'."
        ) from error
