"""What stands for the derivative of a spike, which has none on a time grid.

One file each, with its formula and reference. `StraightThrough` differentiates the time
of a spike that exists, `Surrogate` whether it exists; under the time rule "continuous"
spike times have a derivative of their own, which `StraightThrough` then is exactly.
"""

from .straight_through import CROSSINGS, StraightThrough
from .surrogate import SHAPES, Surrogate

STRAIGHT_THROUGH = "straight-through"
# The exact crossing needs no word.
_CROSSING = {f"{STRAIGHT_THROUGH}-{c}".removesuffix("-exact"): c for c in CROSSINGS}
NAMES = (*_CROSSING, *SHAPES)


def named(name, *, slope_cap=None, surrogate_width=None, surrogate_height=None):
    """Return an estimator by its name in `NAMES`.

    Parameters
    ----------
    name : str
        "straight-through", "straight-through-linear", "straight-through-end", or a
        shape of `Surrogate`.
    slope_cap : float, optional
        Of `StraightThrough`.
    surrogate_width, surrogate_height : float, optional
        Of `Surrogate`.

    Raises
    ------
    TypeError, ValueError
        If an option is not one of this estimator's, or its value is not possible.
    """
    of_shape = {
        "surrogate_width": surrogate_width,
        "surrogate_height": surrogate_height,
    }
    foreign = of_shape if name in _CROSSING else {"slope_cap": slope_cap}
    for option, value in foreign.items():
        if value is not None:
            raise ValueError(
                f"'{option}' does not belong to the estimator {name!r}; leave it out."
            )
    if name in _CROSSING:
        return StraightThrough(_CROSSING[name], slope_cap)
    given = {"width": surrogate_width, "height": surrogate_height}
    return Surrogate(name, **{n: v for n, v in given.items() if v is not None})


def of_program(kind, what):
    """Return an estimator of which a compiled program has the `program`."""
    return {"straight-through": StraightThrough, "surrogate": Surrogate}[kind](what)
