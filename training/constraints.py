"""What weights may be: the sign of Dale's law, a mask, bounds, few bits.

A constraint turns the weights that an optimiser holds into those that are simulated.
Where it rounds or cuts off, derivatives pass straight through (Bengio et al. 2013,
arXiv:1308.3432), but for those that would move a weight further out of its range.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable

import numpy as np
import torch
from brian2.units import Quantity
from numpy.typing import ArrayLike
from torch import nn

from bsnn.equations.units import as_int

from .learned import plain


class _Within(torch.autograd.Function):
    """Cut off at bounds and, with steps, round to their multiples."""

    @staticmethod
    def forward(ctx, weight, low, high, step):
        ctx.save_for_backward(weight, low, high)
        if step is not None:
            weight = step * torch.round(weight / step)
        return torch.clamp(weight, low, high)

    @staticmethod
    def backward(ctx, grad):
        weight, low, high = ctx.saved_tensors
        # A step of descent is against the derivative.
        outwards = ((weight < low) & (grad > 0)) | ((weight > high) & (grad < 0))
        return grad.masked_fill(outwards, 0), None, None, None


class Constraint(nn.Module):
    """What a connection's weights may be; `fit` before use."""

    def fit(self, weight: torch.Tensor, dimension, name: str) -> None:
        """Take on the shape, the unit and the precision of a connection's weights.

        Raises
        ------
        TypeError
            If a quantity is in another unit.
        ValueError
            If a number is not finite or there are more than fit the weights.
        """
        raise NotImplementedError

    def _keep(self, key, values, weight, name):
        values = np.asarray(values)
        try:
            np.broadcast_to(values, weight.shape)
        except ValueError:
            raise ValueError(
                f"{type(self).__name__} of {name!r} has numbers of shape "
                f"{values.shape}, which do not fit weights of shape "
                f"{tuple(weight.shape)}."
            ) from None
        dtype = weight.dtype if values.dtype != bool else torch.bool
        self.register_buffer(key, torch.tensor(values, dtype=dtype))


def fitted(given, weight, dimension, name):
    """Return constraints of a connection, copies that fit its weights.

    Parameters
    ----------
    given : Constraint, or sequence of them
    weight, dimension, name
        As for `Constraint.fit`.

    Raises
    ------
    TypeError
        If they are none.
    """
    given = list(given) if isinstance(given, Iterable) else [given]
    for constraint in given:
        if not isinstance(constraint, Constraint):
            raise TypeError(
                f"'constraints' of {name!r} must be constraints, as Dale(1), got "
                f"{constraint!r}."
            )
    given = copy.deepcopy(given)  # of another connection, too, they fit others
    for constraint in given:
        constraint.fit(weight, dimension, name)
    return given


class Bounds(Constraint):
    """Weights between two bounds.

    Parameters
    ----------
    low, high : float or Quantity, optional
        One, or any shape that broadcasts to that of the weights; bare numbers are in
        SI units. Unbounded unless given.
    """

    def __init__(
        self,
        low: float | Quantity | ArrayLike | None = None,
        high: float | Quantity | ArrayLike | None = None,
    ):
        super().__init__()
        self._given = {"low": (low, -np.inf), "high": (high, np.inf)}

    def fit(self, weight, dimension, name):
        for key, (value, unbounded) in self._given.items():
            if value is None:
                value = unbounded
            else:
                value = plain(value, dimension, f"{key} of {name!r}")
            self._keep(key, value, weight, name)
        if (self.low > self.high).any():
            raise ValueError(f"Bounds of {name!r} must rise from low to high.")

    def forward(self, weight):
        return _Within.apply(weight, self.low, self.high, None)


class Dale(Bounds):
    """Weights of one sign: all, or those of each presynaptic neuron.

    Parameters
    ----------
    sign : int or array_like
        1 of excitatory, -1 of inhibitory neurons: one, or shape (n_pre, 1), or that of
        the weights.
    """

    def __init__(self, sign: int | ArrayLike):
        sign = np.asarray(sign)
        if not np.isin(sign, (-1, 1)).all():
            raise ValueError(f"'sign' must be 1 or -1, got {sign}.")
        super().__init__(
            np.where(sign > 0, 0.0, -np.inf), np.where(sign > 0, np.inf, 0.0)
        )

    def fit(self, weight, dimension, name):
        for key, (value, _) in self._given.items():
            self._keep(key, value, weight, name)


class Mask(Constraint):
    """Some weights are 0 and stay so.

    A `Pattern` leaves them out, which is also faster where they are many.

    Parameters
    ----------
    mask : array_like of bool
        Where there are weights.
    """

    def __init__(self, mask: ArrayLike):
        super().__init__()
        mask = np.asarray(mask)
        if mask.dtype != bool:
            raise TypeError(f"'mask' must be of bool, got {mask.dtype}.")
        self._given = mask

    def fit(self, weight, dimension, name):
        self._keep("mask", self._given, weight, name)

    def forward(self, weight):
        return torch.where(self.mask, weight, torch.zeros_like(weight))


class Quantised(Constraint):
    """Weights of n bits: whole multiples of a step, as hardware stores them.

    Parameters
    ----------
    n_bits : int
    step : float or Quantity
        Bare numbers are in SI units.
    signed : bool
        From -2**(n_bits - 1) to 2**(n_bits - 1) - 1 steps; else from 0 to
        2**n_bits - 1.
    """

    def __init__(self, n_bits: int, step: float | Quantity, *, signed: bool = True):
        super().__init__()
        self.n_bits, self.signed = as_int(n_bits, "n_bits", least=1), bool(signed)
        self._given = step

    def fit(self, weight, dimension, name):
        step = plain(self._given, dimension, f"step of {name!r}")
        if (step <= 0).any():
            raise ValueError(f"'step' of {name!r} must be positive, got {step}.")
        half = 2 ** (self.n_bits - 1)
        low, high = (-half, half - 1) if self.signed else (0, 2 * half - 1)
        for key, value in {
            "step": step,
            "low": low * step,
            "high": high * step,
        }.items():
            self._keep(key, value, weight, name)

    def forward(self, weight):
        return _Within.apply(weight, self.low, self.high, self.step)
