"""A neuron as its user writes it: Brian2 equations, threshold and reset, as text.

Everything that a ``NeuronGroup`` takes for its dynamics, in Brian2's words and units,
checked where it is written; nothing is built or run here.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field

import numpy as np
from brian2.core.variables import Variable
from brian2.equations.equations import Equations
from brian2.equations.refractory import add_refractoriness
from brian2.parsing.expressions import parse_expression_dimensions
from brian2.stateupdaters.base import StateUpdateMethod, UnsupportedEquationsException
from brian2.units import Quantity, second
from brian2.units.fundamentalunits import DIMENSIONLESS, get_dimensions, get_unit

from .adjoint import Adjoint
from .checks import (
    check_dimensions,
    check_solution,
    check_texts,
    fitting_method,
    told,
)
from .dimensions import (
    CLOCK,
    NORMAL,
    OUTSIDE,
    PERIOD,
    powers_of,
    unit_name,
    with_unit,
)
from .texts import check_equations
from .units import as_number


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
        check_texts(self)
        _ = self.values, self.initial_values, self.size
        check_dimensions(self)
        object.__setattr__(self, "method", fitting_method(self))
        check_solution(self)

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
        check_equations(self._plain_text)
        with told("'equations' cannot be read"):
            return Equations(self._plain_text)

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
    def changing(self) -> tuple[str, ...]:
        """Names of all that changes in a sample: `states`, and what depends on them."""
        found = [*self.states, *self.currents, *self.parsed.stochastic_variables]
        found += ["t", "not_refractory"]
        for equation in self.parsed.ordered:  # subexpressions before their use
            if equation.type == "subexpression" and equation.identifiers & set(found):
                found.append(equation.varname)
        return tuple(found)

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
        for name, value in given.items():
            if np.ndim(value) and "shared" in getattr(
                self.parsed.get(name), "flags", ()
            ):
                raise ValueError(
                    f"'parameters' give {name!r} {np.size(value)} values, but the "
                    "equations say that it is (shared)."
                )
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
                else f"'{argument}' must give {name!r} as a plain number, got "
                f"{value!s}."
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

    def is_shared(self, name) -> bool:
        """Return whether a parameter has one value for all neurons.

        One that the equations declare has a value for each, unless it is ``(shared)``.
        """
        if name in self.parsed:
            return "shared" in self.parsed[name].flags
        return np.ndim(self.values[name]) == 0

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
            n: Variable(n, dimensions=dim, scalar=True) for n, dim in CLOCK.items()
        }
        found["i"] = Variable("i", dtype=np.int32, constant=True)
        found["N"] = Variable("N", dtype=np.int32, constant=True, scalar=True)
        for name in self.parsed.stochastic_variables:
            found[name] = Variable(name, dimensions=(second**-0.5).dim)
        if self.refractory is not None:
            found["not_refractory"] = Variable("not_refractory", dtype=bool)
        return {**OUTSIDE, **found}

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
                self.full_equations, self.without_clock, self.method
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
    def without_clock(self):
        # The length of a step is not known yet.
        return {n: v for n, v in self.variables.items() if n != "dt"}

    def adjoint(self, *learn: str):
        """Return the derived `Adjoint`, whose text shows the backward equations.

        Parameters
        ----------
        *learn : str
            Parameters whose derivatives are wanted.
        """
        return Adjoint(self, learn)

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
                    name: {"value": np.asarray(value).tolist(), "unit": powers_of(dim)}
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
                kind: {name: with_unit(given) for name, given in values[kind].items()}
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
