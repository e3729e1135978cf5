"""A loss that rewards early decisions: spikes count for less the later they come."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from brian2.units import Quantity
from numpy.typing import ArrayLike
from torch import nn

from bsnn.equations.units import as_positive, positive_seconds
from bsnn.labels import checked_labels
from bsnn.training.linear.kernel import as_tensor
from bsnn.training.losses import output_of


class EarlySpikeLoss(nn.Module):
    r"""Cross-entropy of output spikes that are discounted by their times.

    ::

        r_j = scale sum_z exp(-T_z/tau)              over the spikes z of output j
        L   = -log( exp(r_label) / sum_j exp(r_j) )  averaged over the samples

    Added to a loss of counts with a weight, it makes latency a goal: the label's spikes
    are pulled forward, those of the others pushed back, the early ones most. A silent
    neuron has r = 0, and no gradient unless a surrogate is used.

    Parameters
    ----------
    tau : Quantity
        A time: a spike tau later counts 1/e as much.
    scale : float
        What a spike at time 0 counts.

    Raises
    ------
    TypeError, ValueError
        If one is no such value, or not positive.
    """

    def __init__(self, *, tau: Quantity, scale: float = 1.0):
        super().__init__()
        self.tau = positive_seconds(tau, "tau")
        self.scale = as_positive(scale, "scale")

    def forward(self, layers: Sequence, labels: ArrayLike) -> torch.Tensor:
        """Return the loss of a batch; arguments as for `SpikeCountLoss`."""
        output = output_of(layers)
        record, raster = output.record, output.raster
        shape = (record.n_samples, record.n_neurons)
        label = torch.from_numpy(checked_labels(labels, *shape))
        if raster is not None:
            arrival = record.dt * torch.arange(1, raster.shape[1] + 1, dtype=float)
            discounted = torch.einsum(
                "msn,s->mn", raster.double(), torch.exp(-arrival / self.tau)
            )
        else:
            discounted = output.time.new_zeros(shape[0] * shape[1]).index_add(
                0,
                as_tensor(record.sample_and_neuron),
                torch.exp(-output.time / self.tau),
            )
        evidence = self.scale * discounted.reshape(shape)
        return nn.functional.cross_entropy(evidence, label)
