"""Losses on the layers' spikes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from brian2.units import Quantity
from numpy.typing import ArrayLike
from torch import nn

from bsnn.equations.units import as_number, positive_seconds
from bsnn.labels import checked_labels
from bsnn.training.linear.kernel import as_tensor


class SpikeCountLoss(nn.Module):
    r"""Half the squared distance of the spike counts from their targets.

    ::

        L = 1/2 sum_j (count_j - target_j)^2 + p n_hidden, averaged over the samples

    A count is not differentiable in a spike's time; the error is handed to every spike
    of the neuron instead, dL/dT = target_j - count_j: where spikes are missing they are
    pulled forward, which makes room for more. In the same way each of the n_hidden
    spikes of the hidden layers receives dL/dT = -p, which pushes it later and out.

    Parameters
    ----------
    true, false : float
        Target of the label's neuron and of the others, in spikes per sample.
    spike_penalty : float
        The price p of a hidden spike.

    References
    ----------
    Bacho & Chu 2023, doi:10.1162/neco_a_01609.
    """

    def __init__(self, *, true: float = 15, false: float = 3, spike_penalty: float = 0):
        super().__init__()
        given = {"true": true, "false": false, "spike_penalty": spike_penalty}
        for name, value in given.items():
            value = as_number(value, name)
            if value < 0:
                raise ValueError(f"'{name}' must not be negative, got {value}.")
            setattr(self, name, value)

    def forward(self, layers: Sequence, labels: ArrayLike) -> torch.Tensor:
        """Return the loss of a batch.

        Parameters
        ----------
        layers : tuple of LayerSpikes
            What a `SpikingNetwork` returned.
        labels : array_like, shape (n_samples,), int

        Returns
        -------
        loss : Tensor, scalar, float64

        Raises
        ------
        TypeError
            If the labels are no integers.
        ValueError
            If they do not fit the batch and the output layer.
        """
        output = output_of(layers)
        record = output.record
        counts = record.counts()
        label = checked_labels(labels, *counts.shape)
        n_samples = max(len(counts), 1)
        target = np.full(counts.shape, self.false)
        target[np.arange(len(label)), label] = self.true
        price = spike_price(layers[:-1], self.spike_penalty, n_samples)
        if output.raster is not None:
            distance = torch.from_numpy(target) - output.raster.sum(1, dtype=float)
            return 0.5 * distance.square().sum() / n_samples + price
        error = (target - counts) / n_samples
        value = 0.5 * n_samples * np.vdot(error, error)
        per_spike = error.ravel()[record.sample_and_neuron]
        loss = KnownGradient.apply(output.time, value, torch.from_numpy(per_spike))
        return loss + price


def spike_price(layers: Sequence, price: float, n_samples: int) -> torch.Tensor:
    """Return the price of the spikes of hidden layers, averaged over the samples.

    As in `SpikeCountLoss`, which see.
    """
    total, each = 0.0, price / n_samples
    for layer in layers if price else ():
        if layer.raster is not None:
            total = total + each * layer.raster.sum(dtype=float)
            continue
        value = each * layer.record.n_spikes
        per_spike = torch.full_like(layer.time, -each)
        total = total + KnownGradient.apply(layer.time, value, per_spike)
    return total


def output_of(layers):
    """Return the last layer; raises TypeError unless it is one that fires."""
    if isinstance(layers, Mapping):
        names = ", ".join(repr(name) for name in layers)
        raise TypeError(
            f"'layers' must be a list of populations, the output last, got a dict of "
            f"{names}; write loss([activity['hidden'], activity['out']], labels)."
        )
    if layers[-1].record is None:
        raise TypeError(
            "the last of 'layers' has no threshold, hence no spikes; build the loss of "
            "its trace."
        )
    return layers[-1]


class KnownGradient(torch.autograd.Function):
    """A value whose derivative with respect to each spike's time is given."""

    @staticmethod
    def forward(ctx, time, value, per_spike):
        ctx.per_spike = per_spike.to(time.device)
        return time.new_tensor(value)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        return grad * ctx.per_spike, None, None


class FirstSpikeLoss(nn.Module):
    r"""Cross-entropy of a softmax over the negative first spike times.

    ::

        L = -log( exp(-t_label/tau) / sum_j exp(-t_j/tau) ), averaged over the samples

    A silent neuron counts as firing at the end of the sample and receives no gradient.

    Parameters
    ----------
    tau : Quantity
        Softness, a time.
    duration : Quantity
        Length of a sample.

    Raises
    ------
    TypeError
        If one is a bare number.
    ValueError
        If one is not positive.

    References
    ----------
    Göltz et al. 2021, doi:10.1038/s42256-021-00388-x.
    """

    def __init__(self, *, tau: Quantity, duration: Quantity):
        super().__init__()
        self.tau = positive_seconds(tau, "tau")
        self.duration = positive_seconds(duration, "duration")

    def forward(self, layers: Sequence, labels: ArrayLike) -> torch.Tensor:
        """Return the loss of a batch; arguments as for `SpikeCountLoss`."""
        output = output_of(layers)
        record, time = output.record, output.differentiable_times()
        shape = (record.n_samples, record.n_neurons)
        label = torch.from_numpy(checked_labels(labels, *shape))
        flat = as_tensor(record.sample_and_neuron)
        first = time.new_full((shape[0] * shape[1],), self.duration)
        first = first.scatter_reduce(0, flat, time, "amin").reshape(shape)
        return nn.functional.cross_entropy(-first / self.tau, label)
