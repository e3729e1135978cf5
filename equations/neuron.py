"""A neuron as its user writes it: Brian2 equations, threshold and reset, as text.

Everything that a ``NeuronGroup`` takes for deterministic dynamics, in Brian2's words and
units, checked where it is written; nothing is built or run here.
"""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field

import numpy as np
from brian2.core.functions import DEFAULT_CONSTANTS, DEFAULT_FUNCTIONS
from brian2.core.namespace import DEFAULT_UNITS
from brian2.core.variables import Constant, Variable
from brian2.equations.equations import EquationError, Equations
from brian2.equations.refractory import add_refractoriness
from brian2.equations.unitcheck import check_units_statements
from brian2.parsing.expressions import (
    is_boolean_expression,
    parse_expression_dimensions,
)
from brian2.stateupdaters.base import StateUpdateMethod, UnsupportedEquationsException
from brian2.stateupdaters.exact import get_linear_system
from brian2.units import Quantity, second
from brian2.units.fundamentalunits import (
    DIMENSIONLESS,
    DimensionMismatchError,
    get_dimensions,
    get_or_create_dimension,
    get_unit,
)

from .texts import check_expression, pointing, split_statements
from .units import as_number

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
PERIOD = "refractory_period"  # the name of a refractory period in the equations
NORMAL = "_normal_"  # before a name of noise: standard normal numbers
_CLOCK = {"t": second.dim, "dt": second.dim}
# What the names of units, functions and constants stand for.
_OUTSIDE = {
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
_RESERVED = {*_CLOCK, "i", "j", "N", "xi", "not_refractory", "lastspike", PERIOD}


@dataclass(frozen=True, eq=False)
class Neuron:
    """Equations, threshold and reset of the neurons of a population.

    Parameters
    ----------
    equations : str
        As for a ``NeuronGroup``: differential equations, subexpressions and parameters,
        each with its unit, and ``(unless refractory)``.
    threshold : str, optional
        When a neuron fires, as ``"v > 1"``; without it none ever does.
    reset : str, optional
        Statements at a spike, as ``"v -= 1; a += beta"``; ``""`` if there are none.
    refractory : Quantity or str, optional
        How long a neuron cannot fire again: a time, the name of a parameter that is
        one, or a condition as ``"v > -40*mV"``.
    method : str, optional
        Any of METHODS; unless given, the first that fits of "exact", "euler", "heun",
        as Brian2 chooses.
    parameters : dict of str to Quantity, number or array
        What the other names stand for: one value, or one for each neuron.
    initial : dict of str to Quantity, number or array
        Each variable's value at the beginning of every sample; 0 unless given.
    currents : dict of str to Quantity
        Inputs that come with each sample, called in the equations as ``I_stim(t, i)``,
        or ``I_stim(t)`` for one that all neurons share, and the unit of each.

    Raises
    ------
    TypeError
        If an argument is of another kind, or a value has another unit than the
        equations need.
    ValueError
        If a text is no equation, expression or statement, names something unknown or
        has inconsistent units, or the method does not fit the equations.
    """

    equations: str
    threshold: str | None = None
    reset: str | None = None
    _: KW_ONLY
    refractory: Quantity | str | None = None
    method: str | None = None
    parameters: Mapping = field(default_factory=dict)
    initial: Mapping = field(default_factory=dict)
    currents: Mapping = field(default_factory=dict)

    def __post_init__(self):
        for name in ("equations", "threshold", "reset", "method"):
            value = getattr(self, name)
            if not isinstance(value, str) and (
                name == "equations" or value is not None
            ):
                raise TypeError(f"'{name}' must be text, got {value!r}.")
        for name in ("parameters", "initial", "currents"):
            if not isinstance(getattr(self, name), Mapping):
                raise TypeError(
                    f"'{name}' must be a dict of names and values, got "
                    f"{getattr(self, name)!r}."
                )
            given = getattr(self, name)
            object.__setattr__(self, name, {n: given[n] for n in sorted(given)})
        self._check_texts()
        _ = self.values, self.initial_values
        self._check_dimensions()
        object.__setattr__(self, "method", self._fitting_method())

    # What the texts say.

    @functools.cached_property
    def _plain_text(self):
        text = "\n".join(line.strip() for line in self.equations.splitlines())
        for name in self.currents:
            text = re.sub(rf"\b{name}\s*\(\s*t\s*(,\s*i\s*)?\)", name, text)
        return text.strip()

    @functools.cached_property
    def parsed(self) -> Equations:
        """The user's equations, with currents as plain variables."""
        try:
            return Equations(self._plain_text)
        except (EquationError, SyntaxError, ValueError) as error:
            raise ValueError(f"'equations' cannot be read: {error}") from error

    @functools.cached_property
    def states(self) -> tuple[str, ...]:
        """Names of all that changes in a sample, each starting at its initial value."""
        parsed = self.parsed
        return (
            *(
                eq.varname
                for eq in parsed.values()
                if eq.type == "differential equation"
            ),
            *(name for name in parsed if name in self._declared(constant=False)),
        )

    @functools.cached_property
    def frozen_states(self) -> frozenset[str]:
        """Names of what nothing but a reset changes while a neuron is refractory."""
        return frozenset(
            eq.varname for eq in self.parsed.values() if "unless refractory" in eq.flags
        )

    def _declared(self, *, constant):
        return {
            eq.varname
            for eq in self.parsed.values()
            if eq.type == "parameter" and ("constant" in eq.flags) == constant
        }

    @functools.cached_property
    def period(self) -> str | None:
        """Expression of the refractory period; None if it is no time, or none."""
        if self.refractory is None:
            return None
        if isinstance(self.refractory, Quantity):
            return PERIOD
        dimension = parse_expression_dimensions(self.refractory, self.variables)
        return self.refractory if dimension == second.dim else None

    @property
    def refractory_text(self) -> str | bool:
        """What a ``NeuronGroup`` with the equations of `group_equations` takes."""
        if self.refractory is None:
            return False
        return PERIOD if isinstance(self.refractory, Quantity) else self.refractory

    # What the names stand for.

    @functools.cached_property
    def dimensions(self) -> dict:
        """Dimension of each variable, parameter and current."""
        known = {name: eq.dim for name, eq in self.parsed.items()}
        known |= {name: get_dimensions(unit) for name, unit in self.currents.items()}
        if isinstance(self.refractory, Quantity):
            known[PERIOD] = second.dim
        for name, value in self.parameters.items():
            known.setdefault(name, get_dimensions(value))
        return known

    @functools.cached_property
    def values(self) -> dict[str, float | np.ndarray]:
        """Each parameter in SI units: a number, or an array of one for each neuron."""
        given = dict(self.parameters)
        if isinstance(self.refractory, Quantity):
            given[PERIOD] = self.refractory
        states = set(self.states)
        # In an order that no file of settings changes.
        return {
            name: self._in_si(given[name], name, "parameters")
            for name in sorted(given)
            if name not in states
        }

    @functools.cached_property
    def initial_values(self) -> dict[str, float | np.ndarray]:
        """Each variable at the beginning of a sample, in SI units."""
        given = {name: v for name, v in self.parameters.items() if name in self.states}
        for name, value in self.initial.items():
            if name not in self.states:
                raise ValueError(
                    f"'initial' names {name!r}, which is no variable of the equations; "
                    f"they are {', '.join(self.states)}."
                )
            given[name] = value
        start = dict.fromkeys(self.states, 0.0)
        return start | {n: self._in_si(v, n, "initial") for n, v in given.items()}

    def _in_si(self, value, name, argument):
        dimension = self.dimensions[name]
        if get_dimensions(value) != dimension and not (
            argument == "initial" and np.ndim(value) == 0 and value == 0
        ):
            unit = get_unit(dimension)
            raise TypeError(
                f"'{argument}' must give {name!r} in {unit!r}, got {value!s}; "
                f"write {name}={np.asarray(value).flat[0]:g}*{unit!r} or in a unit of "
                "that kind."
                if dimension is not DIMENSIONLESS
                else f"'{argument}' must give {name!r} as a plain number, got {value!s}."
            )
        plain = np.array(value, dtype=float)
        if not np.isfinite(plain).all():
            raise ValueError(f"'{argument}' must be finite, got {name}={value!s}.")
        if plain.ndim > 1:
            raise ValueError(
                f"'{argument}' must give {name!r} as one value or one for each neuron, "
                f"got shape {plain.shape}."
            )
        if plain.ndim == 0:
            return as_number(float(plain), name)
        plain.setflags(write=False)
        return plain

    def size_of(self, name) -> int | None:
        """Return for how many neurons a parameter or initial value is given, or None."""
        both = {**self.initial_values, **self.values}
        return len(both[name]) if np.ndim(both[name]) else None

    @functools.cached_property
    def size(self) -> int | None:
        """For how many neurons there are values, or None if for any number."""
        both = {**self.initial_values, **self.values}
        sizes = {name: len(v) for name, v in both.items() if np.ndim(v)}
        if len(set(sizes.values())) > 1:
            raise ValueError(
                f"values are given for different numbers of neurons: {sizes}."
            )
        return next(iter(sizes.values()), None)

    @functools.cached_property
    def variables(self) -> dict:
        """Brian2's variables for all names, without a device."""
        dims = self.dimensions
        shared = {name for name, value in self.values.items() if np.ndim(value) == 0}
        found = {
            name: Variable(
                name,
                dimensions=dims[name],
                scalar=name in shared,
                constant=name not in self.states and name not in self._subexpressions,
            )
            for name in dims
        }
        found |= {
            n: Variable(n, dimensions=dim, scalar=True) for n, dim in _CLOCK.items()
        }
        found["i"] = Variable("i", dtype=np.int32, constant=True)
        found["N"] = Variable("N", dtype=np.int32, constant=True, scalar=True)
        for name in self.parsed.stochastic_variables:
            found[name] = Variable(name, dimensions=(second**-0.5).dim)
        if self.refractory is not None:
            found["not_refractory"] = Variable("not_refractory", dtype=bool)
        return {**_OUTSIDE, **found}

    @functools.cached_property
    def _subexpressions(self):
        return {e.varname for e in self.parsed.values() if e.type == "subexpression"}

    # For Brian2.

    @functools.cached_property
    def group_equations(self) -> str:
        """Equations of a ``NeuronGroup`` in which every parameter is a variable."""
        declared = set(self.parsed)
        lines = [self._plain_text]
        for name in (*self.values, *self.currents):
            if name in declared:
                continue
            unit = unit_name(self.dimensions[name])
            shared = name in self.values and np.ndim(self.values[name]) == 0
            shared = shared or name in self.shared_currents
            flags = "shared, constant" if shared else "constant"
            lines.append(f"{name} : {unit} ({flags})")
        return "\n".join(lines)

    @functools.cached_property
    def shared_currents(self) -> frozenset[str]:
        """Currents that all neurons share."""
        each = {
            name
            for name in self.currents
            if re.search(rf"\b{name}\s*\(\s*t\s*,", self.equations)
        }
        return frozenset(self.currents) - each

    @functools.cached_property
    def texts(self) -> dict:
        """All that determines the neuron's program, ready for JSON."""
        return {
            "equations": self.group_equations,
            "threshold": self.threshold,
            "reset": self.reset,
            "refractory": self.refractory_text,
            "method": self.method,
        }

    @functools.cached_property
    def full_equations(self) -> Equations:
        """The equations with Brian2's mechanism of refractoriness."""
        if self.refractory is None:
            return self.parsed
        return add_refractoriness(self.parsed)

    @functools.cached_property
    def update(self) -> str:
        """The code of one step of integration, as Brian2 writes it.

        Normal numbers, which Brian2 draws there, are the program's to provide.

        Raises
        ------
        ValueError
            If Brian2 finds no solution in closed form.
        """
        try:
            code = StateUpdateMethod.apply_stateupdater(
                self.full_equations, self._without_clock, self.method
            )
        except (UnsupportedEquationsException, NotImplementedError) as error:
            raise ValueError(
                f"'method' {self.method!r} does not fit the equations: {error}"
            ) from error
        return re.sub(
            r"(?m)^(xi\w*) = dt\*\*\.5 \* randn\(\)$",
            rf"\1 = dt**.5 * {NORMAL}\1",
            code,
        )

    @property
    def _without_clock(self):
        # The length of a step is not known yet.
        return {n: v for n, v in self.variables.items() if n != "dt"}

    def adjoint(self, *learn: str):
        """Return the derived `Adjoint`, whose text shows the backward equations.

        Parameters
        ----------
        *learn : str
            Parameters whose derivatives are wanted.
        """
        from .adjoint import Adjoint  # which is made of neurons

        return Adjoint(self, learn)

    # Checks.

    def _check_texts(self):
        parsed = self.parsed
        if not self.states:
            raise ValueError(
                "'equations' must have a differential equation, such as "
                "'dv/dt = -v/tau : 1'."
            )
        for name in (*parsed, *self.parameters, *self.currents):
            if name in _RESERVED:
                raise ValueError(f"{name!r} cannot be redefined: Brian2 means its own.")
        for name, unit in self.currents.items():
            if not isinstance(unit, Quantity) and unit != 1:
                raise TypeError(
                    f"'currents' must give the unit of {name!r}, such as amp, got "
                    f"{unit!r}."
                )
        for equation in parsed.values():
            for flag in equation.flags:
                if flag in ("constant over dt", "linked", "event-driven"):
                    raise ValueError(
                        f"the flag ({flag}) of {equation.varname!r} is not supported; "
                        "write the expression without it."
                    )
        if self.frozen_states and self.refractory is None:
            raise ValueError(
                "'equations' say (unless refractory), but no 'refractory' is given."
            )
        if self.threshold is None and (self.reset or self.refractory is not None):
            raise ValueError("'reset' and 'refractory' need a 'threshold'.")
        if self.threshold is not None and self.reset is None:
            if self.refractory is None:
                raise ValueError(
                    "'threshold' needs a 'reset' or a 'refractory' period, or the "
                    'neuron fires in every step; write reset="" if that is meant.'
                )
            object.__setattr__(self, "reset", "")
        known = {*self.dimensions, *parsed.stochastic_variables, *_CLOCK, "i", "N"}
        known |= set(_OUTSIDE) | (
            {"not_refractory"} if self.refractory is not None else set()
        )
        for name, equation in parsed.items():
            if equation.expr is not None:
                check_expression(
                    equation.expr.code, known, "equations", within=self.equations
                )
        if isinstance(self.refractory, str):
            check_expression(self.refractory, known, "refractory")
        elif self.refractory is not None and not isinstance(self.refractory, Quantity):
            raise TypeError(
                "'refractory' must be a time, such as 2*ms, or text, got "
                f"{self.refractory!r}."
            )
        if self.threshold is not None:
            check_expression(self.threshold, known, "threshold")
        for name, expression in split_statements(self.reset or "", "reset"):
            if name not in self.states:
                raise ValueError(
                    f"'reset' assigns to {name!r}, which is no variable of the "
                    f"equations; they are {', '.join(self.states)}.\n"
                    + pointing(self.reset, name)
                )
            check_expression(expression, known, "reset", within=self.reset)

        texts = [self.equations, self.threshold, self.reset, self.refractory]
        used = set(re.findall(r"\w+", " ".join(t for t in texts if isinstance(t, str))))
        for kind in ("parameters", "currents"):
            for name in getattr(self, kind):
                if name not in used:
                    raise ValueError(
                        f"{kind!r} names {name!r}, which no text uses; declare it in "
                        "the equations if a synapse needs it."
                    )

    def _check_dimensions(self):
        variables = self.variables
        for name, equation in self.parsed.items():
            if equation.expr is None:
                continue
            per = (
                second.dim
                if equation.type == "differential equation"
                else DIMENSIONLESS
            )
            with _told(f"'equations' of {name!r} have inconsistent units"):
                found = parse_expression_dimensions(equation.expr.code, variables)
            if found != equation.dim / per:
                raise ValueError(
                    f"'equations' give {name!r} the unit {unit_name(equation.dim)}, but "
                    f"its right-hand side has the unit {unit_name(found)} in place of "
                    f"{unit_name(equation.dim / per)}.\n"
                    + pointing(self.equations, name)
                )
        if self.threshold is not None:
            with _told("'threshold' is no condition"):
                parse_expression_dimensions(self.threshold, variables)
                if not is_boolean_expression(self.threshold, variables):
                    raise ValueError(f"{self.threshold!r} never compares")
        if self.reset:
            with _told("'reset' has inconsistent units"):
                check_units_statements(self.reset, variables)
        if isinstance(self.refractory, str) and self.period is None:
            with _told("'refractory' is neither a time nor a condition"):
                if not is_boolean_expression(self.refractory, variables):
                    raise ValueError(f"{self.refractory!r} never compares")
        if isinstance(self.refractory, Quantity):
            if self.refractory.dim != second.dim or np.ndim(self.refractory):
                raise TypeError(
                    f"'refractory' must be a time, got {self.refractory!s}."
                )
            if self.refractory < 0 * second:
                raise ValueError(
                    f"'refractory' must not be negative, got {self.refractory!s}."
                )

    def _fitting_method(self):
        if self.method is not None and self.method not in METHODS:
            raise ValueError(
                f"'method' must be one of {', '.join(METHODS)}, got {self.method!r}."
            )
        tried = (self.method,) if self.method else _METHODS
        reasons = []
        for method in tried:
            try:
                if method in ("exact", "linear"):  # the solution itself takes seconds
                    get_linear_system(self.full_equations, self._without_clock)
                    if self.full_equations.is_stochastic:
                        raise UnsupportedEquationsException("it has noise.")
                else:
                    StateUpdateMethod.apply_stateupdater(
                        self.full_equations, self._without_clock, method
                    )
            except (UnsupportedEquationsException, NotImplementedError) as error:
                reasons.append(f"{method}: {error}")
            else:
                return method
        raise ValueError(f"'method' does not fit the equations: {' '.join(reasons)}")

    def to_dict(self) -> dict:
        """Return what `from_dict` needs, in SI units, ready for JSON."""
        return {
            "equations": self.equations,
            "threshold": self.threshold,
            "reset": self.reset,
            "refractory": (
                self.refractory if isinstance(self.refractory, str) else None
            ),
            "method": self.method,
            **{
                kind: {
                    name: {"value": np.asarray(value).tolist(), "unit": _powers(dim)}
                    for name, value, dim in listed
                }
                for kind, listed in {
                    "parameters": [
                        (n, v, self.dimensions[n]) for n, v in self.values.items()
                    ],
                    "initial": [
                        (n, v, self.dimensions[n])
                        for n, v in self.initial_values.items()
                    ],
                    "currents": [(n, 1.0, self.dimensions[n]) for n in self.currents],
                }.items()
            },
        }

    @classmethod
    def from_dict(cls, values: Mapping) -> Neuron:
        """Return the neuron that `to_dict` wrote.

        Raises
        ------
        TypeError, ValueError
            If `values` are not those of a neuron.
        """
        try:
            named = {
                kind: {name: _with_unit(given) for name, given in values[kind].items()}
                for kind in ("parameters", "initial", "currents")
            }
            period = named["parameters"].pop(PERIOD, None)
            texts = ("equations", "threshold", "reset", "refractory", "method")
            given = {name: values[name] for name in texts}
        except (KeyError, AttributeError) as error:
            raise ValueError(f"'values' describe no neuron ({error!r}).") from error
        if period is not None:
            given["refractory"] = period
        return cls(**given, **named)


def unit_name(dimension):
    """Return the unit of a dimension as equations spell it."""
    return "1" if dimension is DIMENSIONLESS else repr(get_unit(dimension))


def _powers(dimension):
    """Return a dimension as its powers of m, kg, s, A, K, mol, cd."""
    return [float(power) for power in dimension._dims]


def _with_unit(given):
    values = np.asarray(given["value"], float)
    dimension = get_or_create_dimension(tuple(given["unit"]))
    plain = float(values) if values.ndim == 0 else values
    return plain if dimension is DIMENSIONLESS else Quantity(plain, dim=dimension)


@contextlib.contextmanager
def _told(what):
    """Say what Brian2 refused, in its own words."""
    try:
        yield
    except (DimensionMismatchError, SyntaxError, TypeError, ValueError) as error:
        raise ValueError(f"{what}: {error}") from error
