"""Names that mean something without being given, and dimensions in writing."""

import numpy as np
from brian2.core.functions import DEFAULT_CONSTANTS, DEFAULT_FUNCTIONS
from brian2.core.namespace import DEFAULT_UNITS
from brian2.core.variables import Constant
from brian2.units import Quantity, second
from brian2.units.fundamentalunits import (
    DIMENSIONLESS,
    get_or_create_dimension,
    get_unit,
)

PERIOD = "refractory_period"  # the name of a refractory period in the equations
_LARGEST_POWER = 100  # of a unit that is read
NORMAL = "_normal_"  # before a name of noise: standard normal numbers
CLOCK = {"t": second.dim, "dt": second.dim}
# What the names of units, functions and constants stand for.
OUTSIDE = {
    **{
        name: Constant(name, float(unit), dimensions=unit.dim)
        for name, unit in DEFAULT_UNITS.items()
    },
    **{
        name: function
        for name, function in DEFAULT_FUNCTIONS.items()
        if function.stateless  # others are not the same when a sample is repeated
    },
    **DEFAULT_CONSTANTS,
}
UNITS = {name: float(unit) for name, unit in DEFAULT_UNITS.items()}
# What sympy's functions stand for, with NumPy.
FUNCTIONS = {
    "int_": DEFAULT_FUNCTIONS["int"].pyfunc,
    **{name: DEFAULT_FUNCTIONS[name].pyfunc for name in ("clip", "exprel")},
}
RESERVED = {*CLOCK, "i", "j", "N", "xi", "not_refractory", "lastspike", PERIOD}


def unit_name(dimension):
    """Return the unit of a dimension as equations spell it."""
    return "1" if dimension is DIMENSIONLESS else repr(get_unit(dimension))


def powers_of(dimension):
    """Return a dimension as its powers of m, kg, s, A, K, mol, cd."""
    return [float(power) for power in dimension._dims]


def with_unit(given):
    """Return values as a Quantity, of a dict of "value" and the powers of "unit".

    Raises
    ------
    ValueError
        If there are no numbers, or not the seven powers.
    """
    try:
        values = np.asarray(given["value"], float)
        powers = np.asarray(given["unit"], float)
    except (OverflowError, TypeError, ValueError) as error:
        raise ValueError(
            f"{given!s:.100} is no dict of numbers as 'value' and 'unit'."
        ) from error
    if powers.shape != (7,) or not (np.abs(powers) < _LARGEST_POWER).all():
        raise ValueError(
            f"'unit' must have seven small powers, got {given['unit']!s:.100}."
        )
    dimension = get_or_create_dimension(tuple(powers.tolist()))
    plain = float(values) if values.ndim == 0 else values
    return plain if dimension is DIMENSIONLESS else Quantity(plain, dim=dimension)
