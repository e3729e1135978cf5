"""Delays of a connection: of all its synapses, of each neuron's, or of each synapse."""

import numpy as np
from brian2.units import Quantity, second

from bsnn.equations.units import in_seconds

# Whose the numbers are: they have the shapes (), (n_pre, 1), and (n_pre, n_post) or,
# of a pattern, (n_pairs,).
OF_CONNECTION, OF_SOURCE, OF_SYNAPSE = "connection", "source", "synapse"


def as_delay(given: Quantity) -> Quantity:
    """Return delays in seconds.

    Raises
    ------
    TypeError
        If they are bare numbers, or in another unit.
    ValueError
        If one is negative or not finite, or their shape that of no connection.
    """
    if np.ndim(given) == 0:
        seconds = np.asarray(in_seconds(given, "delay"))
    elif isinstance(given, Quantity) and given.dim is second.dim:
        seconds = np.array(given / second, float)
    else:
        raise TypeError(
            f"'delay' must be a time, such as 2*ms or [[1], [2]]*ms, got {given!r}."
        )
    if not np.isfinite(seconds).all():
        raise ValueError("'delay' must be finite.")
    if (seconds < 0).any():
        raise ValueError(f"'delay' must not be negative, got {seconds.min()} s.")
    return Quantity(seconds, dim=second.dim)


def delay_kind(delay: Quantity) -> str:
    """Return whose delays these are: see `OF_CONNECTION`, `OF_SOURCE`, `OF_SYNAPSE`."""
    if np.ndim(delay) == 0:
        return OF_CONNECTION
    if np.ndim(delay) == 2 and np.shape(delay)[1] == 1:
        return OF_SOURCE
    return OF_SYNAPSE


def check_delay_shape(delay, n_pre, n_post, pattern, name):
    """Raise ValueError unless a connection can have delays of this shape."""
    pairs = (n_pre, n_post) if pattern is None else (len(pattern.i),)
    shapes = [(), (n_pre, 1), pairs]
    if np.shape(delay) not in shapes:
        raise ValueError(
            f"'delay' of {name!r} must be one time, or have shape {shapes[1]} for one "
            f"of each presynaptic neuron, or {pairs} for one of each synapse, got "
            f"{np.shape(delay)}."
        )


def delay_steps(seconds, dt, n_steps, name):
    """Return delays in whole steps, rounded as Brian2 rounds them.

    Parameters
    ----------
    seconds : array_like of float
    dt : float
        In seconds.
    n_steps : int
        Of a sample, at whose end all that is on its way is lost.
    name : str
        Of the connection.

    Raises
    ------
    ValueError
        If a spike could never arrive.
    """
    steps = np.asarray(np.asarray(seconds) / dt + 0.5).astype(np.int64)
    if steps.max() >= n_steps:
        raise ValueError(
            f"'delay' of {name!r} reaches {np.max(seconds):g} s, but a sample ends "
            f"after {n_steps * dt:g} s, so that no spike would arrive; a longer "
            "'duration' or a shorter delay is needed."
        )
    return steps.astype(np.int32)
