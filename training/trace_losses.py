"""Losses of traces: of recorded potentials, and of integrators that are read out."""

from __future__ import annotations

import math

import numpy as np
import torch
from brian2.units import Quantity
from brian2.units.fundamentalunits import get_unit
from numpy.typing import ArrayLike
from torch import nn

from bsnn.equations.units import as_int, as_positive, in_seconds, one_of
from bsnn.labels import checked_labels
from bsnn.spikes import Spikes

_AXES = "(n_samples, n_steps, n_neurons)"


class TraceLoss(nn.Module):
    r"""Mean squared distance of a trace from a recorded one.

    ::

        L = sum w ((x - target)/scale)^2 / sum w      over samples, steps and neurons

    Parameters
    ----------
    scale : Quantity or float, optional
        The distance that counts as one, as ``2*mV``; a number is in SI units. Unless
        given, the standard deviation of the target under the weights: L is then the
        fraction of its variance that is not explained.

    Raises
    ------
    TypeError, ValueError
        If it is no number, not finite or not positive.
    """

    def __init__(self, *, scale: Quantity | float | None = None):
        super().__init__()
        self.scale = None if scale is None else plain_scale(scale)

    def forward(
        self,
        trace: torch.Tensor,
        target: ArrayLike | Quantity,
        weight: ArrayLike | None = None,
    ) -> torch.Tensor:
        """Return the loss of a batch.

        Parameters
        ----------
        trace : Tensor, shape (n_samples, n_steps, n_neurons)
            As ``activity["cell"].trace["v"]``.
        target : array_like, that shape, or 1 along any axis
            In the trace's unit in SI, volts of a potential, or a Quantity. Where the
            weight is 0 it may be anything, also NaN.
        weight : array_like, that shape, or 1 along any axis, optional
            Not negative; a mask, as `away_from_spikes` makes one, counts as 0 and 1.

        Returns
        -------
        loss : Tensor, scalar

        Raises
        ------
        TypeError
            If `trace` is no tensor.
        ValueError
            If shapes do not fit, no weight is positive or one is negative, a target
            that counts is not finite, or there is no scale and the target is constant.
        """
        check_trace(trace, "trace")
        target = _alike(target, trace, "target")
        weight = _alike(1.0 if weight is None else weight, trace, "weight")
        if not (weight.isfinite().all() and (weight >= 0).all() and weight.sum() > 0):
            raise ValueError(
                "'weight' must be finite, not negative, and positive somewhere; where "
                "nothing is compared there is no loss."
            )
        counts = weight > 0
        if not target[counts].isfinite().all():
            raise ValueError(
                "'target' must be finite where 'weight' is positive; give weight 0 "
                "where nothing is recorded."
            )
        target = torch.where(counts, target, 0)
        share = weight / weight.sum()
        scale = self.scale if self.scale is not None else _deviation(target, share)
        # What does not count may be an upstroke without end, and 0 * inf is NaN.
        distance = torch.where(counts, (trace - target) / scale, 0)
        return (share * distance.square()).sum()


def _deviation(target, share):
    mean = (share * target).sum()
    deviation = (share * (target - mean).square()).sum().sqrt().item()
    if not deviation > 1e-6 * target.abs().max().item():
        raise ValueError(
            "'target' is constant where it counts, so that its deviation is no scale; "
            "give TraceLoss(scale=...)."
        )
    return deviation


def away_from_spikes(
    spikes: Spikes, n_steps: int, *, before: Quantity, after: Quantity
) -> torch.Tensor:
    """Return where traces of a model and of a cell are comparable: not near spikes.

    Parameters
    ----------
    spikes : Spikes
        On a grid.
    n_steps : int
        Of a sample.
    before, after : Quantity
        How much ahead of a spike's step, and behind it, is left out; rounded up to
        whole steps. The step itself is left out, too.

    Returns
    -------
    away : Tensor, shape (n_samples, n_steps, n_neurons), bool

    Raises
    ------
    TypeError
        If a time is a bare number.
    ValueError
        If one is negative, the spikes have no time step, or one comes too late.
    """
    n_steps = as_int(n_steps, "n_steps", least=1)
    if spikes.step is None:
        raise ValueError("'spikes' must lie on a grid; give their steps and 'dt'.")
    if spikes.last >= n_steps:
        raise ValueError(
            f"'spikes' must come before 'n_steps', {n_steps}, got step {spikes.last}."
        )
    reach = []
    for name, value in (("before", before), ("after", after)):
        seconds = in_seconds(value, name)
        if seconds < 0:
            raise ValueError(f"'{name}' must not be negative, got {value!s}.")
        reach.append(math.ceil(seconds / spikes.dt - 1e-9))
    edges = np.zeros((spikes.n_samples, n_steps + 1, spikes.n_neurons), int)
    first = np.maximum(spikes.step - reach[0], 0)
    end = np.minimum(spikes.step + reach[1] + 1, n_steps)
    np.add.at(edges, (spikes.sample, first, spikes.neuron), 1)
    np.add.at(edges, (spikes.sample, end, spikes.neuron), -1)
    return torch.from_numpy(edges.cumsum(1)[:, :-1] == 0)


class ReadoutLoss(nn.Module):
    r"""Cross-entropy of a softmax over what integrators read out.

    ::

        L = -log( exp(x_label) / sum_j exp(x_j) ),   x_j = max_t or mean_t of v_j/scale

    averaged over the samples.

    The mean hardly depends on when a spike comes unless the integrator remembers for
    long: where spike times are differentiated, give it a time constant of the order of
    the sample, or take a surrogate gradient.

    Parameters
    ----------
    readout : {"max", "mean"}
        Over the steps of a sample.
    scale : Quantity or float
        What counts as one in the softmax; a number is in SI units.

    Raises
    ------
    TypeError, ValueError
        If an argument is none of these.

    References
    ----------
    Cramer et al. 2022, doi:10.1109/TNNLS.2020.3044364 (maximum over time).
    """

    def __init__(self, readout: str = "max", *, scale: Quantity | float = 1.0):
        super().__init__()
        self.readout = one_of(readout, "readout", ("max", "mean"))
        self.scale = plain_scale(scale)

    def forward(self, trace: torch.Tensor, labels: ArrayLike) -> torch.Tensor:
        """Return the loss of a batch.

        Parameters
        ----------
        trace : Tensor, shape (n_samples, n_steps, n_neurons)
            As ``activity["out"].trace["v"]``; one neuron for each class.
        labels : array_like, shape (n_samples,), int

        Returns
        -------
        loss : Tensor, scalar

        Raises
        ------
        TypeError
            If `trace` is no tensor, or the labels are no integers.
        ValueError
            If they do not fit each other.
        """
        check_trace(trace, "trace")
        score = trace.max(1).values if self.readout == "max" else trace.mean(1)
        label = torch.from_numpy(checked_labels(labels, *score.shape))
        return nn.functional.cross_entropy(score / self.scale, label)


def plain_scale(value):
    """Return a positive scale in SI units, of a Quantity or a number."""
    if isinstance(value, Quantity):
        value = float(value / get_unit(value.dim))
    return as_positive(value, "scale")


def check_trace(trace, name):
    """Raise an error unless a trace is a tensor with all three axes."""
    if not isinstance(trace, torch.Tensor):
        raise TypeError(
            f"'{name}' must be a tensor, as activity['out'].trace['v'], got "
            f"{type(trace).__name__}."
        )
    if trace.ndim != 3:
        raise ValueError(f"'{name}' must have shape {_AXES}, got {tuple(trace.shape)}.")


def _alike(values, trace, name):
    """Return values as a tensor of the trace's shape and kind."""
    if isinstance(values, Quantity):
        values = values / get_unit(values.dim)
    if isinstance(values, torch.Tensor):
        values = values.detach()
    values = torch.as_tensor(values, dtype=trace.dtype)
    fits = values.ndim in (0, 3) and all(
        n in (1, m) for n, m in zip(values.shape, trace.shape, strict=values.ndim == 3)
    )
    if not fits:
        short = tuple(values.shape) == tuple(trace.shape[:2])
        raise ValueError(
            f"'{name}' must have the trace's shape {tuple(trace.shape)}, or 1 along "
            f"any axis, got {tuple(values.shape)}"
            + (f"; write {name}[..., None]." if short else ".")
        )
    return values.expand(trace.shape)
