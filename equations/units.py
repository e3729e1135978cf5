"""The one place where what a user passes becomes plain ints and floats in SI units.

A number is accepted whatever holds it: Python's numbers, NumPy's, 0-d arrays and
tensors, dimensionless quantities. Anything else is refused by name.
"""

import functools
import math
import numbers
from collections.abc import Iterable, Mapping, Set
from decimal import Decimal

import numpy as np
from brian2.core.variables import VariableView
from brian2.units import hertz, second
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
        As `rounded_seconds` returns it.

    Raises
    ------
    TypeError
        If `quantity` is a bare number or has another dimension.
    ValueError
        If it is not finite or not a scalar.
    """
    _check_time(quantity, name)
    if quantity.shape != ():
        raise ValueError(f"'{name}' must be a scalar, got shape {quantity.shape}.")
    seconds = float(quantity / second)
    if not math.isfinite(seconds):
        raise ValueError(f"'{name}' must be finite, got {seconds} s.")
    return rounded_seconds(seconds)


@functools.lru_cache
def rounded_seconds(seconds):
    """Return a number of seconds to fifteen digits, what a double holds of a decimal.

    0.1*ms and 100*us differ in their last bit; so they are one time.
    """
    return float(f"{seconds:.15g}")


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


def any_seconds(time, name):
    """Return a time as `in_seconds` does, a bare number counting as seconds."""
    bare = not isinstance(time, Quantity)
    return rounded_seconds(as_number(time, name) if bare else in_seconds(time, name))


def times_in_seconds(quantities, name):
    """Return times in seconds as an array (float64) of the same shape.

    Parameters
    ----------
    quantities : Quantity, or sequence of Quantity
    name : str

    Raises
    ------
    TypeError
        If they are bare numbers or have another dimension.
    """
    if isinstance(quantities, (list, tuple)):
        return np.array([in_seconds(quantity, name) for quantity in quantities], float)
    _check_time(quantities, name)
    return np.asarray(quantities / second, float)


def in_hertz(rate, name):
    """Return a rate in Hz: a Quantity, or a bare number, which counts as Hz.

    Raises
    ------
    TypeError, ValueError
        If it is no number or not finite, or has another dimension.
    """
    return as_number(_bare_rate(rate, name), name)


def rates_in_hertz(rates, name):
    """Return an array of rates in Hz: a Quantity, or array_like or tensor of numbers.

    An array of floats is returned as it is.

    Raises
    ------
    TypeError
        If they are no numbers, or have another dimension.
    """
    rates = _bare_rate(rates, name)
    rates = np.asarray(rates.detach().cpu() if hasattr(rates, "detach") else rates)
    if rates.dtype.kind not in "iuf":
        raise TypeError(f"'{name}' must be numbers in Hz, got {rates.dtype}.")
    return rates if rates.dtype.kind == "f" else rates.astype(float)


def as_number(value, name):
    """Return a number of any kind as a float.

    Raises
    ------
    TypeError
        If it is none, as bool, str and arrays are, or has a dimension.
    ValueError
        If it is not finite.
    """
    if isinstance(value, Quantity) and not have_same_dimensions(value, 1):
        raise TypeError(f"'{name}' must be a dimensionless number, got {value!r}.")
    number = _plain(value)
    if number is None:
        raise TypeError(f"'{name}' must be a number, got {value!r}.")
    try:
        number = float(number)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"'{name}' must be finite, got {value}.")
    return number


def as_positive(value, name):
    """Return a number as `as_number` does, refusing what is not positive."""
    number = as_number(value, name)
    if number <= 0:
        raise ValueError(f"'{name}' must be positive, got {value}.")
    return number


def as_int(value, name, least=None):
    """Return an integer of any kind as an int.

    Raises
    ------
    TypeError
        If it is none, as bool and 2.0 are.
    ValueError
        If it is below `least`, or needs more than 64 bits.
    """
    number = _plain(value)
    if not isinstance(number, numbers.Integral):
        raise TypeError(f"'{name}' must be an int, got {value!r}.")
    number = int(number)
    if least is not None and number < least:
        raise ValueError(f"'{name}' must be at least {least}, got {number}.")
    if not -(2**63) <= number < 2**63:
        raise ValueError(f"'{name}' must be below 2**63, got {number}.")
    return number


def one_of(value, name, allowed):
    """Return a word that is one of those allowed.

    Raises
    ------
    ValueError
        If it is none of them.
    """
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(
            f"'{name}' must be one of {', '.join(allowed)}, got {value!r}."
        )
    return value


def as_list(values, name):
    """Return the items of a list, a tuple, a one-dimensional array or tensor.

    Raises
    ------
    TypeError
        If it is none of them: sets and mappings have no order.
    """
    shape = getattr(values, "shape", None)
    ordered = isinstance(values, Iterable) if shape is None else len(shape) == 1
    if not ordered or isinstance(values, (str, bytes, Set, Mapping)):
        raise TypeError(
            f"'{name}' must be a list, tuple or one-dimensional array, got {values!r}."
        )
    return list(values)


def per_layer(value, n_layers, name, convert=as_number):
    """Return a list with a number for each layer, of one for all or of one for each.

    `convert(value, name)` makes each a number.
    """
    alone = isinstance(value, str) or not isinstance(value, Iterable)
    if alone or getattr(value, "shape", None) == ():
        return [convert(value, name)] * n_layers
    values = as_list(value, name)
    if len(values) != n_layers:
        raise ValueError(
            f"'{name}' must have one value for each of the {n_layers} layers after the "
            f"input, got {len(values)}."
        )
    return [convert(value, name) for value in values]


def _check_time(quantity, name):
    if not isinstance(quantity, Quantity) or not have_same_dimensions(quantity, second):
        raise TypeError(
            f"'{name}' must be a Brian2 quantity with the dimension of time, "
            f"got {quantity!r}; write for example {name}=10*ms."
        )


def _bare_rate(rate, name):
    if not isinstance(rate, Quantity) or have_same_dimensions(rate, 1):
        return rate
    if not have_same_dimensions(rate, hertz):
        raise TypeError(
            f"'{name}' must be in Hz, got {rate!r}; write for example {name}=2*Hz."
        )
    return rate / hertz


def _plain(value):
    """Return what number a value is, whatever holds it; None if it is none."""
    if isinstance(value, Quantity):
        value = np.asarray(value)
    # 0-d arrays and tensors alike. To NumPy, its times are integers.
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        if getattr(value.dtype, "kind", "f") not in "iuf":
            return None
        value = value.item()
    known = isinstance(value, (numbers.Real, Decimal)) and not isinstance(value, bool)
    return value if known else None
