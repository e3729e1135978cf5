"""The one place where Brian2 quantities become plain SI floats."""

import math

from brian2.core.variables import VariableView
from brian2.units import second
from brian2.units.fundamentalunits import (
    DimensionMismatchError,
    Quantity,
    have_same_dimensions,
)


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


def plain_seconds(values, name, *, bare):
    """Return times without their unit, in seconds.

    Parameters
    ----------
    values : Quantity, list of Quantity, variable of a Brian2 object, or array_like
    name : str
        The argument's name, for the error message.
    bare : bool
        Whether they may also be numbers without a unit, which are returned as they are.

    Raises
    ------
    TypeError
        If `values` have another dimension than time, or none and must have one.
    """
    if isinstance(values, VariableView):
        values = values[:]
    if isinstance(values, (list, tuple)) and any(
        isinstance(value, Quantity) for value in values
    ):
        try:
            values = Quantity(values)
        except (DimensionMismatchError, TypeError) as error:
            raise TypeError(f"'{name}' must be all of one unit ({error}).") from error
    if bare and not isinstance(values, Quantity):
        return values
    if not isinstance(values, Quantity) or not have_same_dimensions(values, second):
        got = values.dim if isinstance(values, Quantity) else type(values).__name__
        raise TypeError(
            f"'{name}' must have the dimension of time, got {got}; "
            f"write for example {name}=[10, 20]*ms."
        )
    return values / second
