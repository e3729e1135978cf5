"""A distance of spike trains that is differentiable in their times."""

from __future__ import annotations

import numpy as np
import torch
from brian2.units import Quantity
from torch import nn

from bsnn.equations.units import positive_seconds
from bsnn.spikes import Spikes
from bsnn.training.losses import KnownGradient
from bsnn.training.spike_times import LayerSpikes


class VanRossumLoss(nn.Module):
    r"""Squared van Rossum distance of spike trains from recorded ones.

    ::

        D^2 = 1/tau int_0^inf (f - f_target)^2 dt
        f(t) = sum_(t_i <= t) e^(-(t - t_i)/tau)

    summed over the neurons and averaged over the samples. The integral is solved: with
    all spikes of both trains in one list, s = 1 for the model's, -1 for the target's::

        D^2 = 1/2 sum_ij s_i s_j e^(-|t_i - t_j|/tau)

    so a spike alone costs 1/2. Both sums over earlier and later spikes follow from one
    pass over the list in each direction. Coincident spikes of model and target cancel,
    and there the derivative is 0, the middle of its two sides.

    Far from any target a spike only feels others within a few tau: begin with a tau of
    the size of the error in time and let it shrink.

    Parameters
    ----------
    tau : Quantity
        Memory of the filter, a time.

    Raises
    ------
    TypeError
        If it is a bare number.
    ValueError
        If it is not positive.

    References
    ----------
    van Rossum 2001, doi:10.1162/089976601300014321; Houghton & Kreuz 2012,
    doi:10.3109/0954898X.2012.673048 (linear in the number of spikes).
    """

    def __init__(self, *, tau: Quantity):
        super().__init__()
        self.tau = positive_seconds(tau, "tau")

    def forward(self, layer: LayerSpikes, target: Spikes) -> torch.Tensor:
        """Return the loss of a batch.

        Parameters
        ----------
        layer : LayerSpikes
            As ``activity["cell"]``.
        target : Spikes
            For each sample and neuron, the train it should fire.

        Returns
        -------
        loss : Tensor, scalar, float64

        Raises
        ------
        TypeError
            If `layer` has no spikes, or `target` is none of `Spikes`.
        ValueError
            If they have different numbers of samples or neurons.
        """
        record = getattr(layer, "record", None)
        if record is None:
            raise TypeError(
                "'layer' must be a population that can fire, as activity['cell'], got "
                f"{type(layer).__name__}."
            )
        if not isinstance(target, Spikes):
            raise TypeError(
                f"'target' must be Spikes, got {type(target).__name__}; make them with "
                "Spikes.from_events(sample=, neuron=, time=, ...)."
            )
        for name in ("n_samples", "n_neurons"):
            if getattr(record, name) != getattr(target, name):
                raise ValueError(
                    f"'target' must have {name} = {getattr(record, name)}, as the "
                    f"layer, got {getattr(target, name)}."
                )
        time = layer.differentiable_times().detach().numpy()
        value, per_spike = squared_distance(
            np.concatenate([time, target.arrival]),
            np.concatenate([record.sample_and_neuron, target.sample_and_neuron]),
            np.repeat([1.0, -1.0], [len(time), target.n_spikes]),
            self.tau,
        )
        n_samples = max(record.n_samples, 1)
        per_spike = torch.from_numpy(per_spike[: len(time)] / n_samples)
        return KnownGradient.apply(layer.time, value / n_samples, per_spike)


def squared_distance(time, train, sign, tau):
    """Return D^2, summed over all trains, and its derivative by each time.

    Parameters
    ----------
    time : ndarray, shape (n_spikes,)
        Seconds.
    train : ndarray, shape (n_spikes,), int
        Which pair of trains a spike belongs to.
    sign : ndarray, shape (n_spikes,)
        1 for one train of the pair, -1 for the other.
    tau : float
        Seconds.

    Returns
    -------
    value : float
    derivative : ndarray, shape (n_spikes,)
    """
    if not len(time):
        return 0.0, np.zeros(0)
    order = np.lexsort((time, train))
    t, k = time[order], train[order]
    fresh = np.concatenate([[True], k[1:] != k[:-1]])
    distinct = fresh | np.concatenate([[True], t[1:] > t[:-1]])
    event = np.cumsum(distinct) - 1
    weight = np.bincount(event, sign[order])  # of all spikes at one instant
    first = fresh[distinct]
    gap = np.diff(t[distinct], prepend=t[0])
    decay = np.where(first, 0.0, np.exp(-np.where(first, 0.0, gap) / tau))
    # One row a rank in its train, one column a train: a pass is a loop over ranks.
    column = np.cumsum(first) - 1
    rank = np.arange(len(first)) - np.flatnonzero(first)[column]
    shape = (rank.max() + 2, column[-1] + 1)
    weights, decays = np.zeros(shape), np.zeros(shape)
    weights[rank, column], decays[rank, column] = weight, decay
    earlier, later = np.zeros(shape), np.zeros(shape)
    for r in range(1, shape[0]):
        earlier[r] = decays[r] * (earlier[r - 1] + weights[r - 1])
    for r in range(shape[0] - 2, -1, -1):
        later[r] = decays[r + 1] * (later[r + 1] + weights[r + 1])
    value = 0.5 * (weights**2).sum() + (weights * earlier).sum()
    derivative = np.empty(len(time))
    slope = (later - earlier)[rank, column] / tau
    derivative[order] = sign[order] * slope[event]
    return float(value), derivative
