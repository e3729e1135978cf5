"""Values from outside as plain numbers of one kind, or an error that names them."""

import numpy as np

from bsnn.equations.units import as_int, plain_seconds

MAX_INT32 = 2**31 - 1  # generated programs number neurons, steps and spikes in int32


def plain_array(values, name):
    """Return a value as an array if it can be read as one without loss.

    Raises
    ------
    TypeError
        If it cannot: a tensor with a gradient or on a GPU, a masked array, rows of
        different length.
    """
    if getattr(values, "requires_grad", False):
        raise TypeError(
            f"'{name}' must not require a gradient, which ends where spikes go in; "
            "pass it with .detach()."
        )
    if hasattr(values, "requires_grad") and str(values.device) != "cpu":
        raise TypeError(
            f"'{name}' must lie in main memory, got a tensor on {values.device}; "
            "pass it with .cpu()."
        )
    if np.ma.is_masked(values):
        raise TypeError(
            f"'{name}' must not be masked; leave out what is, or fill it where "
            "padding is allowed."
        )
    try:
        return np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"'{name}' cannot be read as an array ({error}).") from error


def whole_number(value, name, least):
    """Return an int from `least` to `MAX_INT32`.

    Raises
    ------
    TypeError
        If it is no whole number.
    ValueError
        If it is out of range.
    """
    number = as_int(value, name)
    if not least <= number <= MAX_INT32:
        raise ValueError(f"'{name}' must lie in {least}..{MAX_INT32}, got {number}.")
    return number


def indices(values, name, stop=MAX_INT32):
    """Return whole numbers in 0..stop-1 as a new array of int64.

    Raises
    ------
    TypeError
        If they are of another kind; floats and truth values are not rounded.
    ValueError
        If one is out of range.
    """
    array = plain_array(values, name)
    if array.size:
        if array.dtype.kind not in "iu":
            raise TypeError(f"'{name}' must hold int, got {array.dtype}.")
        low, high = array.min(), array.max()
        if low < 0 or high >= stop:  # before a conversion could wrap it
            raise ValueError(
                f"'{name}' must lie in 0..{stop - 1}, got {low}..{high}."
                if stop
                else f"'{name}' must be empty, got {array.size} values."
            )
    return array.astype(np.int64)


def truths(array, name):
    """Return an array of 0 and 1, whatever their kind, as one of bool.

    Raises
    ------
    TypeError
        If they are no numbers.
    ValueError
        If there is another number.
    """
    if array.size and array.dtype.kind not in "biuf":
        raise TypeError(f"'{name}' must hold numbers, got {array.dtype}.")
    true = array != 0
    other = array[true] != 1
    if other.any():
        raise ValueError(
            f"'{name}' must hold 0 and 1 alone, got {array[true][other][0]}: a neuron "
            "fires once in a time step or not; intensities go through bsnn.encode_ttfs."
        )
    return true


def floats(values, name):
    """Return real numbers as a new array of float64; TypeError if they are none."""
    array = plain_array(values, name)
    if array.size and array.dtype.kind not in "iuf":
        raise TypeError(f"'{name}' must hold float, got {array.dtype}.")
    return array.astype(np.float64)


def seconds(values, name, *, bare=True):
    """Return times as a new array of float64, those of a Quantity in seconds.

    Raises
    ------
    TypeError
        If they are no numbers, or have another dimension than time, or none though
        `bare` is False.
    ValueError
        If one is negative or not finite.
    """
    array = floats(plain_seconds(values, name, bare=bare), name)
    if not np.isfinite(array).all():
        wrong = array[~np.isfinite(array)][0]
        raise ValueError(f"'{name}' must be finite, got {wrong}.")
    if (array < 0).any():
        raise ValueError(
            f"'{name}' must not be negative, got {array.min()} s; it is counted from "
            "the start."
        )
    return array


def fixed(array):
    """Return a view of an array that cannot be written."""
    view = array.view()
    view.setflags(write=False)
    return view
