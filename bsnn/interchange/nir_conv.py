"""Which patterns of a network are convolutions that NIR's Conv2d can be."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np

from bsnn.patterns import Pattern, convolution


@dataclass(frozen=True)
class Convolution:
    """A convolution, as `bsnn.patterns.convolution` makes it.

    Parameters
    ----------
    before, after : (channels, rows, columns)
        Of the source and of the target.
    kernel, stride, padding : int
    """

    before: tuple[int, int, int]
    after: tuple[int, int, int]
    kernel: int
    stride: int
    padding: int


def convolutions_of(network) -> dict[str, Convolution]:
    """Return the connections that are convolutions, by name.

    NIR's nodes agree about the shape of what lies between them, and a Linear leads to
    neurons in a row alone. So a population that is reached in any other way has no
    channels, rows and columns, and whatever it takes or sends is no convolution.
    """
    found = {}
    for connection in network.connections:
        if connection.pattern is not None:
            ends = network.named[connection.source], network.named[connection.target]
            form = recognised(connection.pattern, *(end.size for end in ends))
            if form is not None:
                found[connection.name] = form
    while True:
        shapes = shapes_of(network, found)
        wrong = [
            c.name
            for c in network.connections
            if c.name in found
            and (
                shapes[c.source] != found[c.name].before
                or shapes[c.target] != found[c.name].after
            )
        ]
        if not wrong:
            return found
        for name in wrong:
            del found[name]


def shapes_of(network, convolutions) -> dict[str, tuple[int, ...]]:
    """Return the shape of each population under these convolutions."""
    shapes = {part.name: set() for part in network.populations}
    for connection in network.connections:
        form = convolutions.get(connection.name)
        size = network.named[connection.target].size
        shapes[connection.target].add((size,) if form is None else form.after)
        if form is not None:
            shapes[connection.source].add(form.before)
    return {
        name: next(iter(found)) if len(found) == 1 else (network.named[name].size,)
        for name, found in shapes.items()
    }


def recognised(pattern: Pattern, n_pre: int, n_post: int) -> Convolution | None:
    """Return a pattern as a convolution of images, or None if it is none.

    One that shares no weights is none: a Linear says the same.
    """
    if pattern.n_weights == len(pattern.i):
        return None
    order = np.lexsort((pattern.j, pattern.i))
    given = [getattr(pattern, n)[order] for n in ("i", "j", "weight")]
    for form in _candidates(pattern, n_pre, n_post):
        made = convolution(
            form.before,
            form.after[0],
            form.kernel,
            stride=form.stride,
            padding=form.padding,
        )
        order = np.lexsort((made.j, made.i))
        there = [getattr(made, n)[order] for n in ("i", "j", "weight")]
        if all(np.array_equal(a, b) for a, b in zip(given, there, strict=True)):
            return form
    return None


def _candidates(pattern, n_pre, n_post):
    """Yield convolutions with as many neurons, weights and pairs; squares first."""
    for before in _divisors(n_pre):
        sizes = [(r, n_pre // before // r) for r in _divisors(n_pre // before)]
        sizes.sort(key=lambda size: abs(size[0] - size[1]))
        for kernel in range(1, math.isqrt(pattern.n_weights) + 1):
            channels, rest = divmod(pattern.n_weights, before * kernel**2)
            if rest or n_post % max(channels, 1):
                continue
            steps = itertools.product(sizes, range(1, kernel + 1), range(kernel))
            for (rows, columns), stride, padding in steps:
                axes = [_axis(n, kernel, stride, padding) for n in (rows, columns)]
                after = channels, *(n for n, _ in axes)
                n_pairs = channels * before * axes[0][1] * axes[1][1]
                if (
                    rows * columns > 1
                    and math.prod(after) == n_post
                    and n_pairs == len(pattern.i)
                ):
                    image = before, rows, columns
                    yield Convolution(image, after, kernel, stride, padding)


def _axis(n, kernel, stride, padding):
    """Return the places of a kernel along an axis, and how many pairs they join."""
    n_after = max(0, (n + 2 * padding - kernel) // stride + 1)
    first = stride * np.arange(n_after) - padding
    return n_after, int(
        (np.minimum(first + kernel, n) - np.maximum(first, 0)).clip(0).sum()
    )


def _divisors(n):
    return [k for k in range(1, n + 1) if n % k == 0]
