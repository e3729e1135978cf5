"""Store and recall: which bit came with the command to store it?

In each slot of time one of two groups of inputs may fire, for a bit of value 0 or 1.
One of the first bits comes with the command to store it, the others distract. At the
end the command to recall comes, alone; the class is the bit that was stored.

References
----------
Bellec et al. 2018, arXiv:1803.09574.
"""

from __future__ import annotations

import numpy as np
from brian2.units import Hz, Quantity, ms

from bsnn.equations.units import as_int
from bsnn.inputs.timed_dataset import TimedDataset

from .drawn import drawn_in_slots

STORE, RECALL, N_GROUPS = 2, 3, 4  # groups; 0 and 1 are the bits'


def make(
    *,
    n_slots: int = 10,
    store_within: int = 3,
    group_size: int = 10,
    rate: Quantity = 60 * Hz,
    slot: Quantity = 100 * ms,
    n_train: int = 1000,
    n_test: int = 1000,
    seed: int = 0,
) -> TimedDataset:
    """Return the data set of `N_GROUPS` groups of inputs.

    Parameters
    ----------
    n_slots : int
        Of a sample; the last is that of the recall.
    store_within : int
        The command to store comes in one of so many first slots.
    group_size : int
        Inputs of a group.
    rate : Quantity
        At which the inputs of a group fire that is active.
    slot : Quantity
        Length of a slot.
    n_train, n_test : int
        Samples.
    seed : int

    Raises
    ------
    TypeError, ValueError
        If a size is none, or there is no slot to store in.
    """
    n_slots = as_int(n_slots, "n_slots", least=2)
    store_within = as_int(store_within, "store_within", least=1)
    if store_within >= n_slots:
        raise ValueError(
            f"'store_within' must be less than 'n_slots', {n_slots}, whose last is for "
            f"the recall, got {store_within}."
        )

    def draw_active(rng, label):
        return draw_groups(rng, label, n_slots, store_within)

    return drawn_in_slots(
        draw_active,
        name="store-recall",
        title="Store-recall",
        n_groups=N_GROUPS,
        n_slots=n_slots,
        group_size=group_size,
        rate=rate,
        slot=slot,
        n_classes=2,
        n_train=n_train,
        n_test=n_test,
        seed=seed,
    )


def draw_groups(rng, label, n_slots, store_within):
    """Return which groups are active in each slot; (n_slots, N_GROUPS), bool."""
    stored = rng.integers(store_within)
    bits = rng.integers(2, size=n_slots)
    shown = rng.random(n_slots) < 0.5
    bits[stored], shown[stored], shown[-1] = label, True, False
    active = np.zeros((n_slots, N_GROUPS), bool)
    active[np.arange(n_slots), bits] = shown
    active[stored, STORE] = active[-1, RECALL] = True
    return active
