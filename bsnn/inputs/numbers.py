"""Numbers of samples, by which random codes tell them apart.

A sample must get the same spikes in whatever batch it comes. So each data set numbers
its samples, those for training from 0, its own for validation from
`FIRST_OF_VALIDATION` and those for testing from `FIRST_OF_TEST`, and hands the numbers
on with the values: `Events`, `Series` and `Waves` have a `number`, and images come as
an array that has one, too. A code seeds the generator of a sample with its own seed and
that number. Values without numbers, from a user's hand, are numbered by their place in
the batch.
"""

import copy
from typing import Self

import numpy as np

FIRST_OF_VALIDATION, FIRST_OF_TEST = 1 << 39, 1 << 40
FIRST = {"train": 0, "validation": FIRST_OF_VALIDATION, "test": FIRST_OF_TEST}


class Numbered:
    """Values of samples that have a `number` each, in a frozen dataclass."""

    def numbered(self, number: np.ndarray) -> Self:
        """Return the same values under other numbers of their samples."""
        other = copy.copy(self)
        other.__dict__["number"] = np.asarray(number)
        return other


class NumberedArray(np.ndarray):
    """An array whose items along the first axis are samples with numbers."""

    number = None  # and none in what is computed from it


def with_numbers(images, number):
    """Return a view of images that tells the numbers of its samples."""
    view = np.asarray(images).view(NumberedArray)
    view.number = number
    return view


def name_of(number):
    """Return what a message calls the sample of a number."""
    if number < FIRST_OF_VALIDATION:
        return f"sample {number}"
    if number < FIRST_OF_TEST:
        return f"validation sample {number - FIRST_OF_VALIDATION}"
    return f"test sample {number - FIRST_OF_TEST}"


def generators(values, n_samples, seed):
    """Yield a random generator for each sample."""
    number = getattr(values, "number", None)
    for m in range(n_samples) if number is None else number:
        yield np.random.default_rng([seed, int(m)])
