"""Brian2 spiking networks trained with exact spike-time gradients.

Nothing heavy is imported until a name is used: ``import bsnn`` starts no compiler.
"""

import importlib

_HOME = {
    "CubaLIF": ".equations",
    "Model": ".model",
    "Spikes": ".spikes",
    "encode_ttfs": ".encoding",
    "load_dataset": ".datasets",
    "make_simulator": ".simulator",
}
__all__ = [*_HOME]


def __getattr__(name):
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *_HOME])
