"""The network and the loss that settings describe."""

import torch

from bsnn.equations.units import per_layer

from .connection import mean_weights
from .losses import SpikeCountLoss
from .spike_times import relative_slopes
from .spiking_network import SpikingNetwork


def make_network(settings, model):
    """Return the untrained network that `settings` describe."""
    options = {"workers": settings.workers, "device": settings.device}
    means = initial_means(settings, model)
    options |= {"low": [m - 1 for m in means], "high": [m + 1 for m in means]}
    if model.time_rule.clock_driven:
        options["projection"] = settings.projection
    if settings.device == "cuda":
        options |= {"arch": settings.cuda_arch, "replicas": settings.replicas}
        if torch.cuda.is_available():
            options["backend"] = "cuda"
    return SpikingNetwork(
        model,
        seed=settings.seed,
        precision=settings.precision,
        slope_min=slopes_min(settings, model),
        **options,
    )


def make_loss(settings):
    """Return the loss that `settings` describe."""
    return SpikeCountLoss(
        true=settings.true, false=settings.false, spike_penalty=settings.spike_penalty
    )


def initial_means(settings, model):
    """Return the mean of each layer's initial weights, in Hz."""
    if settings.initial_mean is None:
        return mean_weights(model, settings.initial_drive)
    return per_layer(settings.initial_mean, model.n_layers, "initial_mean")


def slopes_min(settings, model):
    """Return the least slope of each layer in the gradient, in Hz."""
    if settings.slope_min is None:
        return relative_slopes(model, settings.relative_slope_min)
    return per_layer(settings.slope_min, model.n_layers, "slope_min")
