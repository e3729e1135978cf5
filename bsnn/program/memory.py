"""Weights, and other numbers of a network, in memory that its programs read."""

import itertools
import math

from .resident import Segment, aligned


class SharedWeights:
    """A segment of two halves, each with the weights and what comes with them.

    Arrays in the first half are handed out, and never written here, so that weights
    which are updated in place there need not be copied for each batch; weights from
    elsewhere are copied to the second.

    Parameters
    ----------
    real : dtype
        Of the weights.
    shapes : sequence of tuple of int
        Of each array of weights.
    numbers : sequence of ndarray
        What lies behind the weights and is written with each batch.
    fixed : sequence of ndarray
        What lies behind that and never changes.

    Attributes
    ----------
    segment : Segment
    arrays : list of ndarray
        Those that are handed out.
    """

    def __init__(self, real, shapes, numbers=(), fixed=()):
        sizes = [aligned(real.itemsize * math.prod(shape)) for shape in shapes]
        *starts, self._numbers_at = itertools.accumulate(sizes, initial=0)
        fixed_at = self._numbers_at + sum(aligned(a.nbytes) for a in numbers)
        self._half = fixed_at + sum(aligned(a.nbytes) for a in fixed)
        self._written = {}
        self.segment = Segment(2 * self._half, n_kept=self._half)
        self.arrays, self._copies = (
            [
                self.segment.view(half + at, real, shape)
                for at, shape in zip(starts, shapes, strict=True)
            ]
            for half in (0, self._half)
        )
        for half in (0, self._half):
            self._write(half + fixed_at, fixed)

    def place(self, weights, numbers=()):
        """Return where the weights of a batch are, with its numbers behind them.

        An array of numbers that is the same object as the last time is there already.
        """
        half = 0 if all(map(_are_one, self.arrays, weights)) else self._half
        if half:
            for copy, given in zip(self._copies, weights, strict=True):
                copy[:] = given
        self._write(half + self._numbers_at, numbers)
        return half

    def _write(self, at, arrays):
        for array in arrays:
            if self._written.get(at) is not array:
                self.segment.view(at, array.dtype, array.shape)[:] = array
                self._written[at] = array
            at += aligned(array.nbytes)


def _are_one(array, other):
    return array.__array_interface__ == other.__array_interface__
