"""How children are started, so that no folder or variable changes what they do."""

import os
import sys

# Where modules are found and kept; what the others say, of warnings, optimisation or
# output, is meant for the user's own process.
_KEPT = (
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONHOME",
    "PYTHONNOUSERSITE",
    "PYTHONPATH",
    "PYTHONPYCACHEPREFIX",
    "PYTHONUSERBASE",
)
# What a make around this process says to it, and what would add to our own makefile.
_MAKE = ("GNUMAKEFLAGS", "MAKEFILES", "MAKEFLAGS", "MAKELEVEL", "MFLAGS", "VPATH")


def python_command(*arguments):
    """Return the command of this Python without the working folder on its path."""
    return [sys.executable, "-P", *arguments]


def python_environment():
    """Return the environment of a Python process that is bsnn's own, as a dict."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _KEPT or not name.startswith("PYTHON")
    }
    # An empty entry would be the working folder.
    folders = [f for f in kept.pop("PYTHONPATH", "").split(os.pathsep) if f]
    if folders:
        kept["PYTHONPATH"] = os.pathsep.join(folders)
    return {
        **kept,
        "PYTHONSAFEPATH": "1",  # for processes that it starts in turn
        "PYTHONHASHSEED": "0",  # the text of generated programs must not vary
        "PYTHONIOENCODING": "utf-8",
        "PYTHONUTF8": str(sys.flags.utf8_mode),  # what names of files are written in
        "MPLBACKEND": "agg",  # that of a notebook stops where there is none
    }


def tool_environment():
    """Return the environment for compilers and make, as a dict.

    Without what a make around this process says, and in no language but English.
    """
    kept = {name: v for name, v in os.environ.items() if name not in _MAKE}
    return {**kept, "LC_ALL": "C"}
