"""A loss for spikes that do not exist yet: the potential stands in for them."""

from __future__ import annotations

import math

import numpy as np
import torch
from brian2.units import Quantity
from numpy.typing import ArrayLike
from torch import nn

from bsnn.outside import floats
from bsnn.spikes import Spikes
from bsnn.training.spike_times import LayerSpikes
from bsnn.training.trace_losses import check_trace, plain_scale


class MissingSpikeLoss(nn.Module):
    r"""Lifts the potential of neurons that fire fewer spikes than are wanted.

    ::

        L = 1/N sum_m sum_(j: n_mj < wanted_mj) relu(1 - g_mj/scale)^2/2
        g_mj = scale log(mean_n exp(g_mjn/scale))

    n_mj is how often neuron j fires in sample m of N, g_mjn its margin in step n. The
    mean is over the steps after its last spike, hence over all where it is silent: a
    smooth maximum, whose derivative reaches a neuron, too, that is inhibited all the
    time and whose maximum is its rest. A spike that does not exist has no time, so that
    losses of spikes cannot ask for it; this one does, through the trace, and is added
    to them. It is 0 where enough spikes are there.

    Parameters
    ----------
    scale : Quantity or float
        The margin that counts as one, in the unit of the potential; a number is in SI
        units. The way from rest to threshold serves well.

    Raises
    ------
    TypeError, ValueError
        If `scale` is no positive number or quantity.

    References
    ----------
    Klos & Memmesheimer 2023, arXiv:2309.14523 (pseudospikes, where the potential is
    carried on after a trial's end). Here it is the potential within the sample.
    """

    def __init__(self, scale: Quantity | float = 1.0):
        super().__init__()
        self.scale = plain_scale(scale)

    def forward(
        self, layer: LayerSpikes, margin: torch.Tensor, wanted: ArrayLike
    ) -> torch.Tensor:
        """Return the loss of a batch.

        Parameters
        ----------
        layer : LayerSpikes
            As ``activity["cells"]``.
        margin : Tensor, shape (n_samples, n_steps, n_neurons)
            By how much the potential exceeds the threshold, negative below it; as
            ``activity["cells"].trace["v"] - 1``.
        wanted : array_like, shape (n_samples, n_neurons) or one that broadcasts
            How many spikes are wanted at least.

        Returns
        -------
        loss : Tensor, scalar, of the precision of `margin`

        Raises
        ------
        TypeError
            If `layer` has no spikes, or `margin` is no tensor.
        ValueError
            If they do not fit each other.
        """
        record = check_margin(layer, margin)
        counts = record.counts()
        wanted = _spread(wanted, counts.shape)
        short = torch.from_numpy(counts < wanted)
        return lacks(record, margin, self.scale)[short].sum() / max(len(counts), 1)


def _spread(wanted, shape):
    array = floats(wanted, "wanted")
    try:
        spread = np.broadcast_to(array, shape)
    except ValueError:
        raise ValueError(
            f"'wanted' must have shape {shape}, or one that broadcasts to it, got "
            f"{array.shape}."
        ) from None
    if not np.isfinite(spread).all():
        raise ValueError("'wanted' must be finite.")
    return spread


def lacks(record: Spikes, margin: torch.Tensor, scale: float) -> torch.Tensor:
    """Return relu(1 - g/scale)^2/2 of each sample and neuron, as above."""
    last = np.full(record.n_samples * record.n_neurons, -1)
    np.maximum.at(last, record.sample_and_neuron, record.step)
    last = np.minimum(last, margin.shape[1] - 2).reshape(-1, 1, record.n_neurons)
    after = torch.from_numpy(np.arange(margin.shape[1])[:, None] > last)
    summed = (margin / scale).masked_fill(~after, -math.inf).logsumexp(1)
    return torch.relu(1 - summed + after.sum(1).log()).square() / 2


def check_margin(layer: LayerSpikes, margin: torch.Tensor) -> Spikes:
    """Return the spikes of a population, if a trace fits them.

    Raises
    ------
    TypeError, ValueError
        If they are none, or do not fit each other.
    """
    record = getattr(layer, "record", None)
    if record is None:
        raise TypeError(
            "'layer' must be a population that can fire, as activity['cells'], got "
            f"{type(layer).__name__}."
        )
    check_trace(margin, "margin")
    n_samples, _, n_neurons = margin.shape
    if (n_samples, n_neurons) != (record.n_samples, record.n_neurons):
        raise ValueError(
            f"'margin' must have shape ({record.n_samples}, n_steps, "
            f"{record.n_neurons}), as its spikes, got {tuple(margin.shape)}."
        )
    return record
