"""Brian2 without files: those it reads when it is imported, and those it begins."""

import contextlib
import os
import sys
import tempfile
import warnings
from pathlib import Path

# No debug log and no copy of the script, which stay behind when a process is killed.
PREFERENCES = "logging.file_log = False\nlogging.save_script = False\n"


def import_brian2():
    """Import Brian2 with its own defaults.

    For processes that are all bsnn's. Preferences in a file of the working folder or of
    the user would change what Brian2 generates, and matplotlib, which it imports for
    users' scripts, depends on files and variables of its own; it imports pytest, too.
    """
    if "brian2" not in sys.modules:
        with (
            _own_preferences(),
            _hidden("matplotlib", "pylab", "pytest"),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")  # of names that its own imports deprecate
            import brian2  # noqa: F401


@contextlib.contextmanager
def _own_preferences():
    """Be in an empty folder, with a home folder that holds `PREFERENCES`."""
    home = os.environ.get("HOME")
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        user, empty = Path(folder, ".brian"), Path(folder, "empty")
        user.mkdir()
        empty.mkdir()
        (user / "user_preferences").write_text(PREFERENCES, "utf-8")
        # If the folder cannot be opened, Brian2 cannot read it either.
        with contextlib.suppress(OSError):
            here = os.open(".", getattr(os, "O_PATH", os.O_RDONLY))
            stack.callback(os.close, here)
            os.chdir(empty)
            stack.callback(os.fchdir, here)
        os.environ["HOME"] = folder
        try:
            yield
        finally:
            del os.environ["HOME"]
            if home is not None:
                os.environ["HOME"] = home


@contextlib.contextmanager
def _hidden(*modules):
    """Make imports of modules fail, except of those already imported."""
    names = [name for name in modules if name not in sys.modules]
    sys.modules.update(dict.fromkeys(names))
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]
