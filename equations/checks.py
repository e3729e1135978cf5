"""What a neuron's texts must be: refused where they are written, in plain words."""

import contextlib
import re

import numpy as np
import sympy as sp
from brian2.equations.equations import EquationError
from brian2.equations.unitcheck import check_units_statements
from brian2.parsing.expressions import (
    is_boolean_expression,
    parse_expression_dimensions,
)
from brian2.stateupdaters.base import StateUpdateMethod, UnsupportedEquationsException
from brian2.stateupdaters.exact import get_linear_system
from brian2.units import Quantity, second
from brian2.units.fundamentalunits import DIMENSIONLESS, DimensionMismatchError

from .dimensions import CLOCK, FUNCTIONS, OUTSIDE, RESERVED, UNITS, unit_name
from .statements import algebra_of, parse
from .texts import check_expression, count_terms, pointing, split_statements

# Brian2's own choice, in its order.
_METHODS = ("exact", "euler", "heun")
METHODS = (
    "exact",
    "linear",
    "independent",
    "exponential_euler",
    "euler",
    "rk2",
    "rk4",
    "heun",
    "milstein",
)


def check_texts(neuron):
    """Raise where a text is none, or names what is not known."""
    parsed = neuron.parsed
    if not neuron.states:
        raise ValueError(
            "'equations' must have a differential equation, such as "
            "'dv/dt = -v/tau : 1'."
        )
    for name in (*parsed, *neuron.parameters, *neuron.currents):
        if name in RESERVED:
            raise ValueError(f"{name!r} cannot be redefined: Brian2 means its own.")
    for name, unit in neuron.currents.items():
        if not isinstance(unit, Quantity) and unit != 1:
            raise TypeError(
                f"'currents' must give the unit of {name!r}, such as amp, got {unit!r}."
            )
    for equation in parsed.values():
        for flag in equation.flags:
            if flag in ("constant over dt", "linked", "event-driven"):
                raise ValueError(
                    f"the flag ({flag}) of {equation.varname!r} is not supported; "
                    "write the expression without it."
                )
    if neuron.frozen_states and neuron.refractory is None:
        raise ValueError(
            "'equations' say (unless refractory), but no 'refractory' is given; pass "
            "refractory=0*ms for none."
        )
    if neuron.threshold is None and (neuron.reset or neuron.refractory is not None):
        raise ValueError("'reset' and 'refractory' need a 'threshold'.")
    if neuron.threshold is not None and neuron.reset is None:
        if neuron.refractory is None:
            raise ValueError(
                "'threshold' needs a 'reset' or a 'refractory' period, or the "
                'neuron fires in every step; write reset="" if that is meant.'
            )
        object.__setattr__(neuron, "reset", "")
    if isinstance(neuron.refractory, Quantity):
        if neuron.refractory.dim != second.dim or np.ndim(neuron.refractory):
            raise TypeError(f"'refractory' must be a time, got {neuron.refractory!s}.")
        if neuron.refractory < 0 * second:
            raise ValueError(
                f"'refractory' must not be negative, got {neuron.refractory!s}."
            )
    known = {*neuron.dimensions, *parsed.stochastic_variables, *CLOCK, "i", "N"}
    known |= set(OUTSIDE) | (
        {"not_refractory"} if neuron.refractory is not None else set()
    )
    for equation in parsed.values():
        if equation.expr is not None:
            check_expression(
                equation.expr.code, known, "equations", within=neuron.equations
            )
    _check_size(neuron)
    if isinstance(neuron.refractory, str):
        check_expression(neuron.refractory, known, "refractory")
        count_terms(neuron.refractory, "refractory", {})
    elif neuron.refractory is not None and not isinstance(neuron.refractory, Quantity):
        raise TypeError(
            "'refractory' must be a time, such as 2*ms, or text, got "
            f"{neuron.refractory!r}."
        )
    if neuron.threshold is not None:
        check_expression(neuron.threshold, known, "threshold")
        count_terms(neuron.threshold, "threshold", {})
        algebra_of(neuron.threshold, "threshold")
    for name, expression in split_statements(neuron.reset or "", "reset"):
        if name not in neuron.states:
            raise ValueError(
                f"'reset' assigns to {name!r}, which is no variable of the "
                f"equations; they are {', '.join(neuron.states)}.\n"
                + pointing(neuron.reset, name)
            )
        check_expression(expression, known, "reset", within=neuron.reset)
        count_terms(expression, "reset", {})
        algebra_of(expression, "reset")

    texts = [neuron.equations, neuron.threshold, neuron.reset, neuron.refractory]
    used = set(re.findall(r"\w+", " ".join(t for t in texts if isinstance(t, str))))
    for kind in ("parameters", "currents"):
        for name in getattr(neuron, kind):
            if name not in used:
                raise ValueError(
                    f"{kind!r} names {name!r}, which no text uses; declare it in "
                    "the equations if a synapse needs it."
                )


def _check_size(neuron):
    """Raise ValueError where equations would be too long with what they name."""
    sizes = {}
    for equation in neuron.parsed.ordered:  # subexpressions before their use
        if equation.expr is None:
            continue
        terms = count_terms(equation.expr.code, "equations", sizes)
        if equation.type == "subexpression":
            sizes[equation.varname] = terms
        algebra_of(equation.expr.code, "equations")


def check_dimensions(neuron):
    """Raise ValueError where units do not fit, or a condition is none."""
    variables = neuron.variables
    for name, equation in neuron.parsed.items():
        if equation.expr is None:
            continue
        per = second.dim if equation.type == "differential equation" else DIMENSIONLESS
        with told(f"'equations' of {name!r} have inconsistent units"):
            found = parse_expression_dimensions(equation.expr.code, variables)
        if found != equation.dim / per:
            raise ValueError(
                f"'equations' give {name!r} the unit {unit_name(equation.dim)}, "
                f"but its right-hand side has the unit {unit_name(found)} in place of "
                f"{unit_name(equation.dim / per)}.\n" + pointing(neuron.equations, name)
            )
    if neuron.threshold is not None:
        with told("'threshold' is no condition"):
            parse_expression_dimensions(neuron.threshold, variables)
            if not is_boolean_expression(neuron.threshold, variables):
                raise ValueError(f"{neuron.threshold!r} never compares")
    if neuron.reset:
        with told("'reset' has inconsistent units"):
            check_units_statements(neuron.reset, variables)
    if isinstance(neuron.refractory, str):
        with told("'refractory' is neither a time nor a condition"):
            if neuron.period is None and not is_boolean_expression(
                neuron.refractory, variables
            ):
                raise ValueError(f"{neuron.refractory!r} never compares")


def fitting_method(neuron):
    """Return the method, or the first of Brian2's choice that fits the equations."""
    if neuron.method is not None and neuron.method not in METHODS:
        raise ValueError(
            f"'method' must be one of {', '.join(METHODS)}, got {neuron.method!r}."
        )
    tried = (neuron.method,) if neuron.method else _METHODS
    reasons = []
    for method in tried:
        try:
            if method in ("exact", "linear"):  # the solution itself takes seconds
                get_linear_system(neuron.full_equations, neuron.without_clock)
                if neuron.full_equations.is_stochastic:
                    raise UnsupportedEquationsException("it has noise.")
            else:
                StateUpdateMethod.apply_stateupdater(
                    neuron.full_equations, neuron.without_clock, method
                )
        except (UnsupportedEquationsException, NotImplementedError) as error:
            reasons.append(f"{method}: {error}")
        else:
            return method
    raise ValueError(f"'method' does not fit the equations: {' '.join(reasons)}")


def check_solution(neuron):
    """Raise ValueError where the exact solution divides by 0, as of equal times.

    The compiled program would not tell: it is told that no number is infinite.
    """
    if neuron.method not in ("exact", "linear"):
        return
    try:
        code = StateUpdateMethod.apply_stateupdater(
            neuron.parsed, neuron.without_clock, "exact"
        )
    except (UnsupportedEquationsException, NotImplementedError) as error:
        raise ValueError(f"'method' does not fit the equations: {error}") from error
    # Any numbers but 0 will do for what is not given.
    names = {"dt": 1e-4, "t": 1.0, "i": 1, "N": 1, **neuron.values}
    names |= dict.fromkeys([*neuron.states, *neuron.currents], 1.0)
    with np.errstate(all="ignore"):
        for name, value in parse(code):
            read = sorted(value.free_symbols, key=str)
            given = [
                np.asarray(names.get(s.name, UNITS.get(s.name, 1.0)), float)
                for s in read
            ]
            names[name] = sp.lambdify(read, value, modules=[FUNCTIONS, "numpy"])(*given)
            if not np.isfinite(names[name]).all():
                raise ValueError(
                    f"'method' {neuron.method!r} divides by the difference of two time "
                    f"constants that are equal here, for {name.strip('_')!r}; change "
                    "one of them by at least one part in a million, or take another "
                    "method."
                )


@contextlib.contextmanager
def told(what):
    """Say what Brian2 refused, in its own words, those of the causes too."""
    try:
        yield
    except (
        DimensionMismatchError,
        EquationError,
        SyntaxError,
        TypeError,
        ValueError,
    ) as error:
        words, cause = str(error), error.__cause__
        while cause is not None:
            words = words if str(cause) in words else f"{words} {cause}"
            cause = cause.__cause__
        raise ValueError(f"{what}: {words}") from error
