"""A loss that holds firing rates within bounds, and wakes neurons that are silent."""

from __future__ import annotations

import numpy as np
import torch
from brian2.units import Quantity
from torch import nn

from bsnn.equations.units import as_positive
from bsnn.training.losses import KnownGradient
from bsnn.training.missing_spikes import check_margin, lacks
from bsnn.training.spike_times import LayerSpikes
from bsnn.training.trace_losses import plain_scale


class RateLoss(nn.Module):
    r"""Holds each neuron's spikes per sample between two bounds, silent ones included.

    ::

        L = sum_j (u_j^2 + o_j^2)/2 + sum_(j: u_j > 0) mean_m relu(1 - g_mj/scale)^2/2
        u_j = relu(least - n_j),   o_j = relu(n_j - most)

    n_j is the mean count of neuron j over the samples. As in `SpikeCountLoss` the error
    is handed to its spikes, dL/dT = (u_j - o_j)/n_samples. A neuron without spikes has
    no time to move; g_mj is a smooth maximum of its margin in sample m, as of
    `MissingSpikeLoss`. Its derivative flows through the trace and lifts the potential
    over threshold.

    Parameters
    ----------
    least, most : float
        Spikes per sample, of each neuron.
    scale : Quantity or float
        The margin that counts as one, in the unit of the potential; a number is in SI
        units. The way from rest to threshold serves well.

    Raises
    ------
    TypeError, ValueError
        If an argument is no such number, or the bounds do not rise.

    References
    ----------
    Zenke & Vogels 2021, doi:10.1162/neco_a_01367 (bounds on spike counts); Klos &
    Memmesheimer 2023, arXiv:2309.14523 (the potential stands in for absent spikes).
    """

    def __init__(self, *, least: float, most: float, scale: Quantity | float = 1.0):
        super().__init__()
        self.least, self.most = as_positive(least, "least"), as_positive(most, "most")
        if self.least > self.most:
            raise ValueError(
                f"'least' must not be more than 'most', got {least} and {most}."
            )
        self.scale = plain_scale(scale)

    def forward(self, layer: LayerSpikes, margin: torch.Tensor) -> torch.Tensor:
        """Return the loss of a batch.

        Parameters
        ----------
        layer : LayerSpikes
            As ``activity["cells"]``.
        margin : Tensor, shape (n_samples, n_steps, n_neurons)
            By how much the potential exceeds the threshold, negative below it; as
            ``activity["cells"].trace["v"] - 1``.

        Returns
        -------
        loss : Tensor, scalar, float64

        Raises
        ------
        TypeError
            If `layer` has no spikes, or `margin` is no tensor.
        ValueError
            If they do not fit each other.
        """
        record = check_margin(layer, margin)
        n_samples = record.n_samples
        rate = record.counts().mean(0)
        under, over = np.maximum(self.least - rate, 0), np.maximum(rate - self.most, 0)
        if layer.raster is None:
            value = 0.5 * (under**2 + over**2).sum()
            per_spike = ((under - over) / max(n_samples, 1))[record.neuron]
            loss = KnownGradient.apply(layer.time, value, torch.from_numpy(per_spike))
        else:
            counted = layer.raster.sum(1, dtype=float).mean(0)
            outside = torch.relu(self.least - counted) + torch.relu(counted - self.most)
            loss = 0.5 * outside.square().sum()
        idle = under > 0
        if idle.any():
            missing = lacks(record, margin, self.scale)[:, idle]
            loss = loss + missing.sum() / n_samples
        return loss
