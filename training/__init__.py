"""Training with spike-time gradients in torch; nothing loads until it is used."""

from typing import TYPE_CHECKING

from bsnn.lazy import lazy_names

if TYPE_CHECKING:  # what editors complete
    from bsnn.equations.estimators import StraightThrough as StraightThrough
    from bsnn.equations.estimators import Surrogate as Surrogate

    from .callbacks import EpochEnd as EpochEnd
    from .constraints import Bounds as Bounds
    from .constraints import Dale as Dale
    from .constraints import Mask as Mask
    from .constraints import Quantised as Quantised
    from .data import EncodedSamples as EncodedSamples
    from .data import collate as collate
    from .derived_network import DerivedNetwork as DerivedNetwork
    from .early_spikes import EarlySpikeLoss as EarlySpikeLoss
    from .losses import FirstSpikeLoss as FirstSpikeLoss
    from .losses import SpikeCountLoss as SpikeCountLoss
    from .missing_spikes import MissingSpikeLoss as MissingSpikeLoss
    from .rate_loss import RateLoss as RateLoss
    from .spiking_network import SpikingNetwork as SpikingNetwork
    from .trace_losses import ReadoutLoss as ReadoutLoss
    from .trace_losses import TraceLoss as TraceLoss
    from .trace_losses import away_from_spikes as away_from_spikes
    from .van_rossum import VanRossumLoss as VanRossumLoss

_HOME = {
    "Bounds": ".constraints",
    "Dale": ".constraints",
    "DerivedNetwork": ".derived_network",
    "EarlySpikeLoss": ".early_spikes",
    "EncodedSamples": ".data",
    "EpochEnd": ".callbacks",
    "FirstSpikeLoss": ".losses",
    "Mask": ".constraints",
    "MissingSpikeLoss": ".missing_spikes",
    "Quantised": ".constraints",
    "RateLoss": ".rate_loss",
    "ReadoutLoss": ".trace_losses",
    "SpikeCountLoss": ".losses",
    "SpikingNetwork": ".spiking_network",
    "StraightThrough": "bsnn.equations.estimators",
    "Surrogate": "bsnn.equations.estimators",
    "TraceLoss": ".trace_losses",
    "VanRossumLoss": ".van_rossum",
    "away_from_spikes": ".trace_losses",
    "collate": ".data",
}
__all__ = [*_HOME]
__getattr__, __dir__ = lazy_names(__name__, _HOME)
