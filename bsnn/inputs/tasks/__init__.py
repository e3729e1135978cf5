"""Generated tasks: samples that are drawn, each from a seed of its own.

A file for each, whose `make` returns the data set in the size that is asked for, and a
row here by which `load_dataset` finds it in its usual size.
"""

import importlib

_MODULES = {
    "randman": "randman",
    "store-recall": "store_recall",
    "sequence": "sequence",
    "evidence": "evidence",
}
NAMES = tuple(_MODULES)


def make(name, **sizes):
    """Return the data set of a task; `sizes` are the keywords of its `make`."""
    module = importlib.import_module(f".{_MODULES[name]}", __package__)
    return module.make(**sizes)
