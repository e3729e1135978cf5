"""Training with spike-time gradients in torch; nothing loads until it is used."""

from bsnn.lazy import lazy_names

_HOME = {
    "FirstSpikeLoss": ".losses",
    "SpikeCountLoss": ".losses",
    "SpikingNetwork": ".spiking_network",
}
__all__ = [*_HOME]
__getattr__, __dir__ = lazy_names(__name__, _HOME)
