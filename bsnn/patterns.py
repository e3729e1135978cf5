"""Which neurons a connection joins, and which pairs share a weight."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from bsnn.equations.units import as_int, as_number


@dataclass(frozen=True, eq=False)
class Pattern:
    """Pairs of a presynaptic and a postsynaptic neuron, as `Synapses` have them.

    Parameters
    ----------
    i, j : array_like of int, shape (n_pairs,)
        Presynaptic and postsynaptic neuron of each pair; no pair comes twice.
    weight : array_like of int, shape (n_pairs,), optional
        Which of the connection's weights each pair has, all of ``0..n_weights - 1``;
        unless given, each pair has one of its own, in the order of the pairs.

    Raises
    ------
    TypeError
        If they are no integers.
    ValueError
        If their lengths differ, one is negative, a pair comes twice or a weight is
        missing.
    """

    i: ArrayLike
    j: ArrayLike
    weight: ArrayLike | None = None

    def __post_init__(self):
        i, j = _indices(self.i, "i"), _indices(self.j, "j")
        weight = np.arange(len(i)) if self.weight is None else self.weight
        weight = _indices(weight, "weight")
        for name, values in {"i": i, "j": j, "weight": weight}.items():
            object.__setattr__(self, name, values)
        if not len(i) == len(j) == len(weight) > 0:
            raise ValueError(
                "'i', 'j' and 'weight' must be as many, and at least one, got "
                f"{len(i)}, {len(j)} and {len(weight)}."
            )
        order = np.lexsort((j, i))
        same = (np.diff(i[order]) == 0) & (np.diff(j[order]) == 0)
        if same.any():
            twice = order[np.flatnonzero(same)[0]]
            raise ValueError(
                f"the pair ({i[twice]}, {j[twice]}) comes twice; add their weights, or "
                "make a second connection."
            )
        unused = np.setdiff1d(np.arange(self.n_weights), weight)
        if len(unused):
            raise ValueError(f"'weight' leaves out {unused[0]}, which no pair has.")

    @property
    def n_weights(self) -> int:
        return int(self.weight.max()) + 1

    @functools.cached_property
    def order(self):
        """The pairs by presynaptic neuron."""
        return np.argsort(self.i, kind="stable")

    @functools.cached_property
    def rows(self):
        """In that order: where each neuron's pairs begin, their j, their weight."""
        order = self.order
        start = np.searchsorted(self.i[order], np.arange(self.i.max() + 2))
        return (
            start,
            self.j[order].astype(np.int32),
            self.weight[order].astype(np.int32),
        )

    def check(self, n_pre, n_post, name):
        """Raise ValueError unless all pairs are of so many neurons."""
        for which, values, n in (("i", self.i, n_pre), ("j", self.j, n_post)):
            if values.max() >= n:
                raise ValueError(
                    f"the pattern of {name!r} names neuron {values.max()} in "
                    f"{which!r}, but there are {n}."
                )

    def to_dict(self) -> dict:
        """Return plain lists, ready for JSON."""
        return {n: getattr(self, n).tolist() for n in ("i", "j", "weight")}

    @classmethod
    def from_dict(cls, values: Mapping) -> Pattern:
        """Return the pattern that `to_dict` wrote."""
        try:
            return cls(values["i"], values["j"], values["weight"])
        except (KeyError, TypeError) as error:
            raise ValueError(f"'pattern' describes no pairs ({error!r}).") from error

    def __repr__(self):
        return f"Pattern({len(self.i)} pairs, {self.n_weights} weights)"


def one_to_one(size: int) -> Pattern:
    """Join each neuron to that of the same number."""
    neurons = np.arange(as_int(size, "size", least=1))
    return Pattern(neurons, neurons)


def random_pairs(
    n_pre: int, n_post: int, probability: float, *, seed: int, to_itself: bool = True
) -> Pattern:
    """Join each pair with the same probability.

    Parameters
    ----------
    n_pre, n_post : int
    probability : float
    seed : int
    to_itself : bool
        Whether a neuron may be joined to that of the same number.
    """
    probability = as_number(probability, "probability")
    if not 0 < probability <= 1:
        raise ValueError(f"'probability' must be in (0, 1], got {probability}.")
    rng = np.random.default_rng(as_int(seed, "seed", least=0))
    shape = as_int(n_pre, "n_pre", least=1), as_int(n_post, "n_post", least=1)
    joined = rng.random(shape) < probability
    if not to_itself:
        np.fill_diagonal(joined, False)
    return Pattern(*np.nonzero(joined))


def convolution(
    shape: Sequence[int],
    channels: int,
    kernel: int,
    *,
    stride: int = 1,
    padding: int = 0,
) -> Pattern:
    """Join channels of rows and columns as a two-dimensional convolution does.

    Neurons are numbered by channel, row and column, the last fastest. The weights are
    (channels, channels before, kernel, kernel) in the same order, as torch's
    ``conv2d`` has them.

    Parameters
    ----------
    shape : (channels, rows, columns)
        Of the presynaptic neurons.
    channels : int
        Of the postsynaptic ones; `convolved_shape` gives their rows and columns.
    kernel, stride, padding : int
    """
    n_before, n_rows, n_columns = (as_int(n, "shape", least=1) for n in shape)
    _, rows, columns = convolved_shape(
        shape, channels, kernel, stride=stride, padding=padding
    )
    c, b, y, x, dy, dx = np.indices((channels, n_before, rows, columns, kernel, kernel))
    row, column = y * stride + dy - padding, x * stride + dx - padding
    inside = (row >= 0) & (row < n_rows) & (column >= 0) & (column < n_columns)
    pre = (b * n_rows + row) * n_columns + column
    post = (c * rows + y) * columns + x
    weight = ((c * n_before + b) * kernel + dy) * kernel + dx
    return Pattern(pre[inside], post[inside], weight[inside])


def convolved_shape(
    shape: Sequence[int],
    channels: int,
    kernel: int,
    *,
    stride: int = 1,
    padding: int = 0,
) -> tuple[int, int, int]:
    """Return (channels, rows, columns) after a convolution.

    Raises
    ------
    ValueError
        If the kernel does not fit in.
    """
    channels = as_int(channels, "channels", least=1)
    kernel, stride = (
        as_int(kernel, "kernel", least=1),
        as_int(stride, "stride", least=1),
    )
    padding = as_int(padding, "padding", least=0)
    sizes = [(n + 2 * padding - kernel) // stride + 1 for n in shape[1:]]
    if min(sizes) < 1 or padding >= kernel:
        raise ValueError(
            f"a kernel of {kernel} with padding {padding} does not fit {tuple(shape)}."
        )
    return channels, *sizes


def pooling(shape: Sequence[int], size: int) -> Pattern:
    """Join each square of neurons of a channel to one, all with the same weight.

    Parameters
    ----------
    shape : (channels, rows, columns)
        Of the presynaptic neurons; rows and columns must be multiples of `size`.
    size : int
        Of the square's side.
    """
    channels, rows, columns = (as_int(n, "shape", least=1) for n in shape)
    size = as_int(size, "size", least=1)
    if rows % size or columns % size:
        raise ValueError(f"'size' must divide {rows} rows and {columns} columns.")
    c, y, x = np.indices((channels, rows, columns))
    post = (c * (rows // size) + y // size) * (columns // size) + x // size
    return Pattern(np.arange(post.size), post.ravel(), np.zeros(post.size, int))


def _indices(values, name):
    values = np.asarray(values)
    if values.dtype.kind not in "iu" or values.ndim != 1:
        raise TypeError(f"'{name}' must be a list of integers, got {values.dtype}.")
    if values.size and (values.min() < 0 or values.max() >= 2**31):
        raise ValueError(f"'{name}' must be from 0 to 2**31 - 1.")
    return values.astype(np.int64)
