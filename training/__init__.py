"""Training with spike-time gradients in torch; nothing loads until it is used."""

from typing import TYPE_CHECKING

from bsnn.lazy import lazy_names

if TYPE_CHECKING:  # what editors complete
    from .derived_network import DerivedNetwork as DerivedNetwork
    from .losses import FirstSpikeLoss as FirstSpikeLoss
    from .losses import SpikeCountLoss as SpikeCountLoss
    from .spiking_network import SpikingNetwork as SpikingNetwork

_HOME = {
    "DerivedNetwork": ".derived_network",
    "FirstSpikeLoss": ".losses",
    "SpikeCountLoss": ".losses",
    "SpikingNetwork": ".spiking_network",
}
__all__ = [*_HOME]
__getattr__, __dir__ = lazy_names(__name__, _HOME)
