"""Poisson events in continuous time."""

import numpy as np


def poisson_events(rng, rates, slot):
    """Draw Poisson events at rates that hold for a while each.

    Parameters
    ----------
    rng : Generator
    rates : ndarray, shape (n_slots, n_channels)
        Hz.
    slot : float
        Length of a slot, seconds.

    Returns
    -------
    time : ndarray, shape (n_events,), float64
        Seconds; below the end of the last slot.
    channel : ndarray, shape (n_events,), int64
    """
    counts = rng.poisson(rates * slot)
    n_slots, n_channels = counts.shape
    place = np.repeat(np.arange(counts.size), counts.ravel())
    which, channel = np.divmod(place, n_channels)
    time = (which + rng.random(len(place))) * slot
    return np.minimum(time, np.nextafter(n_slots * slot, 0)), channel
