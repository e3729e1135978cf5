"""Training with spike-time gradients in torch."""

from .losses import FirstSpikeLoss, SpikeCountLoss
from .spiking_network import SpikingNetwork

__all__ = ["FirstSpikeLoss", "SpikeCountLoss", "SpikingNetwork"]
