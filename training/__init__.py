"""Training with spike-time gradients in torch; nothing loads until it is used."""

import importlib

_HOME = {
    "FirstSpikeLoss": ".losses",
    "SpikeCountLoss": ".losses",
    "SpikingNetwork": ".spiking_network",
}
__all__ = [*_HOME]


def __getattr__(name):
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *_HOME])
