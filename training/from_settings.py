"""The network and the loss that settings describe."""

import torch
from brian2.units import ms

from bsnn.chain import chain_network
from bsnn.equations.units import per_layer
from bsnn.errors import ModelFileError, NumbersError
from bsnn.network_settings import NetworkSettings

from .connection import mean_weights
from .derived_network import DerivedNetwork
from .early_spikes import EarlySpikeLoss
from .layered_network import LayeredNetwork
from .losses import SpikeCountLoss, spike_price
from .spike_times import relative_slopes
from .spiking_network import SpikingNetwork
from .trace_losses import ReadoutLoss


def make_network(settings, model):
    """Return the untrained network that `settings` describe."""
    if isinstance(settings, NetworkSettings):
        return _layered(settings, model)
    estimator = settings.make_estimator()
    if not estimator.by_times:
        return _chain_of_surrogates(settings, model, estimator)
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
        estimator=estimator,
        **options,
    )


def _chain_of_surrogates(settings, model, estimator):
    """Return the network of a chain whose spikes exist or do not."""
    network, means = chain_network(model), initial_means(settings, model)
    derived = DerivedNetwork(
        network,
        # The same start as in `SpikingNetwork`.
        weights={
            connection.name: (mean - 1, mean + 1)
            for connection, mean in zip(network.connections, means, strict=True)
        },
        seed=settings.seed,
        precision=settings.precision,
        workers=settings.workers,
        estimator=estimator,
    )
    return LayeredNetwork(derived, settings.readout(model).of(network), model)


def _layered(settings, network):
    """Return the network of a model file, and its layers."""
    file = settings.model_file
    options, estimator = file.options(), settings.make_estimator()
    if estimator is not None:
        options["estimator"] = estimator
    with file.told("the network cannot be trained"):
        derived = DerivedNetwork(
            network,
            weights=file.weights(network, settings.seed),
            seed=settings.seed,
            precision=settings.precision,
            workers=settings.workers,
            **options,
        )
    return LayeredNetwork(derived, settings.readout(network))


def make_loss(settings, readout=None):
    """Return the loss that `settings` describe: a function of layers and labels."""
    own = None
    if isinstance(settings, NetworkSettings):
        own = settings.model_file.defined.get("loss")
    if own is not None:
        for name in ("spike_penalty", "latency_weight"):
            if getattr(settings, name):
                raise ValueError(
                    f"'{name}' must be left out: {settings.model_file.filename} has a "
                    "loss of its own."
                )
        return _own_loss(settings.model_file, own)
    if readout is None or readout.kind == "most-spikes":
        return _count_loss(settings)
    if settings.latency_weight:
        raise ValueError(
            "'latency_weight' must be left out with the readout "
            f"{readout.kind!r}, which does not count spikes."
        )
    if readout.by_spikes:
        raise ModelFileError(
            f"{settings.model_file.filename} must define loss(activity, labels) for "
            f"the readout {readout.kind!r}, such as FirstSpikeLoss(tau=..., "
            f"duration=...)([activity[{readout.population!r}]], labels)."
        )
    cross_entropy = ReadoutLoss(readout.kind, scale=readout.scale)

    def loss(layers, labels):
        value = cross_entropy(layers[-1].trace[readout.variable], labels)
        return value + spike_price(layers[:-1], settings.spike_penalty, len(labels))

    return loss


def _count_loss(settings):
    counts = SpikeCountLoss(
        true=settings.true,
        false=settings.false,
        spike_penalty=settings.spike_penalty,
    )
    if not settings.latency_weight:
        return counts
    early = EarlySpikeLoss(tau=settings.latency_tau_ms * ms)

    def loss(layers, labels):
        value = counts(layers, labels)
        return value + settings.latency_weight * early(layers, labels)

    return loss


def _own_loss(file, own):
    def loss(layers, labels):
        with file.told("loss(activity, labels) failed"):
            value = own(layers.activity, labels)
        if not isinstance(value, torch.Tensor) or value.ndim:
            raise ModelFileError(
                f"loss(activity, labels) of {file.filename} must return a tensor with "
                f"one number, got {value!r}."
            )
        if not torch.isfinite(value):
            raise NumbersError(
                f"loss(activity, labels) of {file.filename} is {value.item()}."
            )
        return value

    return loss


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
