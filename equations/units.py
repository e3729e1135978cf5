"""The one place where Brian2 quantities become plain SI floats."""

import math

from brian2.units import second
from brian2.units.fundamentalunits import Quantity, have_same_dimensions


def in_seconds(quantity, name):
    """Return a time in seconds.

    Parameters
    ----------
    quantity : Quantity
        A scalar with the dimension of time.
    name : str
        The argument's name, for the error message.

    Returns
    -------
    seconds : float

    Raises
    ------
    TypeError
        If `quantity` is a bare number or has another dimension.
    ValueError
        If it is not finite or not a scalar.
    """
    if not isinstance(quantity, Quantity) or not have_same_dimensions(quantity, second):
        raise TypeError(
            f"'{name}' must be a Brian2 quantity with the dimension of time, "
            f"got {quantity!r}; write for example {name}=10*ms."
        )
    if quantity.shape != ():
        raise ValueError(f"'{name}' must be a scalar, got shape {quantity.shape}.")
    seconds = float(quantity / second)
    if not math.isfinite(seconds):
        raise ValueError(f"'{name}' must be finite, got {seconds} s.")
    return seconds


def positive_seconds(quantity, name):
    """Return a time in seconds as `in_seconds` does, refusing what is not positive."""
    seconds = in_seconds(quantity, name)
    if seconds <= 0:
        raise ValueError(f"'{name}' must be positive, got {quantity!s}.")
    return seconds
