"""The processes that train one network together, each on its part of each batch.

``torchrun`` starts them and says in the environment how many there are. All have the
same weights: gradients are summed over them before each update, and the sum is the same
to the bit on all. One of them, the first, writes.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import numpy as np
import torch
from torch import distributed

from bsnn.runs import RunFolder


class Ranks:
    """This process among those that train together; alone, unless torchrun started it.

    Attributes
    ----------
    rank, size : int
        Its number, from 0, and how many there are.
    """

    def __init__(self, rank: int = 0, size: int = 1):
        self.rank, self.size = rank, size

    @property
    def first(self) -> bool:
        return self.rank == 0

    def part(self, batch: np.ndarray) -> np.ndarray:
        """Return the samples of a batch that are this process's; maybe none."""
        return batch[self.rank :: self.size]

    def sum_gradients(self, weights) -> None:
        """Put the sum over all processes in the place of each gradient."""
        learned = [weight for weight in weights if weight.requires_grad]
        for weight in learned:
            if weight.grad is None:
                weight.grad = torch.zeros_like(weight)
        flat = torch.cat([weight.grad.reshape(-1) for weight in learned])
        distributed.all_reduce(flat)
        parts = flat.split([weight.numel() for weight in learned])
        for weight, part in zip(learned, parts, strict=True):
            weight.grad.copy_(part.view_as(weight))

    def take_of_first(self, weights) -> None:
        """Put the first process's weights in the place of all others'."""
        if self.size > 1:
            for weight in weights:
                distributed.broadcast(weight.detach(), 0)

    def gathered(self, value) -> list:
        """Return what each process has, in their order."""
        if self.size == 1:
            return [value]
        values = [None] * self.size
        distributed.all_gather_object(values, value)
        return values

    def of_first(self, value):
        """Return what the first process has."""
        if self.size == 1:
            return value
        values = [value]
        distributed.broadcast_object_list(values)
        return values[0]


def is_first() -> bool:
    """Return whether this process speaks for all that train together."""
    return _size() == "1" or os.environ.get("RANK") == "0"


def _size():
    return os.environ.get("WORLD_SIZE", "1")


@contextlib.contextmanager
def together() -> Iterator[Ranks]:
    """Be in a context in which the processes of torchrun know each other.

    Raises
    ------
    ValueError
        If the environment says half of what torchrun says.
    """
    if _size() == "1":
        yield Ranks()
        return
    if not {"RANK", "MASTER_ADDR"} <= os.environ.keys():
        raise ValueError(
            f"'WORLD_SIZE' is {_size()} in the environment, but 'RANK' or "
            "'MASTER_ADDR' is missing; start several processes by torchrun -m bsnn "
            "train, or unset it."
        )
    distributed.init_process_group("gloo")
    try:
        yield Ranks(distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()


class Unwritten(RunFolder):
    """The run folder as all processes but the first have it: none writes."""

    def check_free(self, config, *, resume=False, more_epochs=True):
        """Leave it to the first process."""

    def locked(self):
        return contextlib.nullcontext()

    def create(self, config):
        """Leave it to the first process."""

    def remove(self, name):
        """Leave it to the first process."""

    def write_json(self, name, values):
        """Leave it to the first process."""

    def write_table(self, name, rows, columns):
        """Leave it to the first process."""

    def write_epoch(self, name, epoch, rows):
        """Leave it to the first process."""
