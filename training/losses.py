"""Losses on the layers' spikes."""

import math

import numpy as np
import torch
from torch import nn

from .kernel import as_tensor


class SpikeCountLoss(nn.Module):
    r"""Half the squared distance of the spike counts from their targets.

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

    def __init__(self, *, true=15, false=3, spike_penalty=0):
        super().__init__()
        self.true, self.false, self.spike_penalty = true, false, spike_penalty
        for name in ("true", "false", "spike_penalty"):
            value = getattr(self, name)
            if not 0 <= value < math.inf:
                raise ValueError(
                    f"'{name}' must be finite and not negative, got {value}."
                )

    def forward(self, layers, labels):
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
        ValueError
            If the labels do not fit the batch and the output layer.
        """
        output = layers[-1]
        record = output.record
        counts = record.counts()
        label = _checked_labels(labels, counts.shape)
        n_samples = max(len(counts), 1)
        target = np.full(counts.shape, float(self.false))
        target[np.arange(len(label)), label] = self.true
        error = (target - counts) / n_samples
        value = 0.5 * n_samples * np.vdot(error, error)
        per_spike = error.ravel()[record.sample_and_neuron]
        loss = _CountError.apply(output.time, value, torch.from_numpy(per_spike))
        if self.spike_penalty:
            price = self.spike_penalty / n_samples
            for layer in layers[:-1]:
                value = price * layer.record.n_spikes
                loss = loss + _CountError.apply(
                    layer.time, value, torch.full_like(layer.time, -price)
                )
        return loss


class _CountError(torch.autograd.Function):
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

        L = -log( exp(-t_label/tau) / sum_j exp(-t_j/tau) ), averaged over the samples

    A silent neuron counts as firing at the end of the sample and receives no gradient.

    Parameters
    ----------
    tau : float
        Softness in seconds.
    duration : float
        Length of a sample in seconds.

    References
    ----------
    Göltz et al. 2021, doi:10.1038/s42256-021-00388-x.
    """

    def __init__(self, *, tau, duration):
        super().__init__()
        for name, value in (("tau", tau), ("duration", duration)):
            if not value > 0:
                raise ValueError(f"'{name}' must be positive, got {value} s.")
        self.tau, self.duration = tau, duration

    def forward(self, layers, labels):
        """Return the loss of a batch; arguments as for `SpikeCountLoss`."""
        output = layers[-1]
        record = output.record
        shape = (record.n_samples, record.n_neurons)
        label = torch.from_numpy(_checked_labels(labels, shape))
        flat = as_tensor(record.sample_and_neuron)
        first = torch.full((shape[0] * shape[1],), self.duration, dtype=torch.float64)
        first = first.scatter_reduce(0, flat, output.time, "amin").reshape(shape)
        return nn.functional.cross_entropy(-first / self.tau, label)


def _checked_labels(labels, shape):
    labels = np.asarray(labels).astype(np.int64)
    n_samples, n_labels = shape
    if labels.shape != (n_samples,):
        raise ValueError(
            f"'labels' must have shape {(n_samples,)}, got {labels.shape}."
        )
    # Without their sign, negative labels are large.
    if n_samples and labels.view(np.uint64).max() >= n_labels:
        raise ValueError(
            f"'labels' must lie in 0..{n_labels - 1}, the neurons of the output layer, "
            f"got {labels.min()}..{labels.max()}."
        )
    return labels
