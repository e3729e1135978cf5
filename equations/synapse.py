"""What a presynaptic spike does to a neuron: ``on_pre`` as text."""

import functools
import re

import sympy as sp
from brian2.core.variables import Variable
from brian2.parsing.expressions import parse_expression_dimensions
from brian2.units.fundamentalunits import DIMENSIONLESS, get_unit

from .adjoint import END, LAMBDA, OPEN, SLOPE, Adjoint
from .checks import told
from .dimensions import unit_name
from .neuron import Neuron
from .statements import algebra_of, code_of, derivative, render, symbol
from .texts import check_expression, count_terms, pointing, split_statements

WEIGHT = "w"
ADDED, LEFT = "_added_", "_left_"
_INT = sp.Function("int_")


class Synapse:
    """The statements of an ``on_pre``, each adding to a variable of the target.

    Parameters
    ----------
    on_pre : str
    neuron : Neuron
        Of the target.
    where : str
        Name of the connection, for error messages.

    Attributes
    ----------
    code : str
        The statements, for Brian2.
    added : dict of str to expression
        What each target variable increases by.
    unit : Unit
        Of the weight.

    Raises
    ------
    ValueError
        If the text is none that adds to variables of the target, or names something
        else than the weight, constants and the target's parameters.
    """

    def __init__(self, on_pre: str, neuron: Neuron, where: str):
        self.on_pre, self.neuron, self._where = on_pre, neuron, where
        self.code = "\n".join(part.strip() for part in re.split(r"[;\n]", on_pre))
        self.added = {}
        argument = f"on_pre of {where}"
        known = {WEIGHT, *neuron.variables} - {*neuron.changing, "dt", "i", "N"}
        for name, expression in split_statements(on_pre, argument):
            line = pointing(on_pre, name)
            if name.removesuffix("_post") != name:
                raise ValueError(
                    f"'{argument}' writes {name!r}; here the target's variable is "
                    f"called {name.removesuffix('_post')!r}.\n{line}"
                )
            if name not in neuron.states:
                raise ValueError(
                    f"'{argument}' adds to {name!r}, which is no variable of the "
                    f"target; they are {', '.join(neuron.states)}.\n{line}"
                )
            if not re.search(rf"(?<!\w){name}\s*\+=", on_pre):
                raise ValueError(
                    f"'{argument}' must add to {name!r}, as '{name} += w'.\n{line}"
                )
            for other in neuron.changing:
                if re.search(rf"(?<!\w){other}(?!\w)", expression):
                    raise ValueError(
                        f"'{argument}' reads {other!r}, which changes; it may read the "
                        "weight, constants and parameters of the target.\n"
                        + pointing(on_pre, other)
                    )
            for before in re.findall(r"(?<!\w)\w+_pre(?!\w)", expression):
                if before not in known:
                    raise ValueError(
                        f"'{argument}' reads {before!r} of the presynaptic neuron, of "
                        "which a spike carries nothing; scale the weight instead.\n"
                        + pointing(on_pre, before)
                    )
            check_expression(expression, known, argument, within=on_pre)
            count_terms(expression, argument, {})
            if name in self.added:
                raise ValueError(f"'{argument}' adds to {name!r} twice.\n{line}")
            self.added[name] = algebra_of(expression, argument)
        if not any(value.has(symbol(WEIGHT)) for value in self.added.values()):
            raise ValueError(f"'{argument}' must add an expression of the weight w.")
        with told(f"'{argument}' has inconsistent units"):
            self.unit = get_unit(self._dimension(argument))

    def _dimension(self, argument):
        """Return the dimension of the weight, the same in every statement."""
        found = set()
        for name, value in self.added.items():
            slope = derivative(value, WEIGHT)
            if slope == 0:
                continue
            if slope.has(symbol(WEIGHT)):
                found.add(DIMENSIONLESS)
                continue
            scale = parse_expression_dimensions(render(slope), self.neuron.variables)
            found.add(self.neuron.dimensions[name] / scale)
        if len(found) > 1:
            raise ValueError(f"'{argument}' uses w in different units.")
        if not found:
            raise ValueError(f"'{argument}' adds the same whatever the weight is.")
        (dimension,) = found
        weight = {WEIGHT: Variable(WEIGHT, dimensions=dimension)}
        for name, value in self.added.items():
            given = parse_expression_dimensions(
                render(value), {**self.neuron.variables, **weight}
            )
            if given != self.neuron.dimensions[name]:
                raise ValueError(
                    f"'{argument}' adds {unit_name(given)} to {name!r}, whose unit is "
                    f"{unit_name(self.neuron.dimensions[name])}."
                )
        return dimension

    @functools.cached_property
    def is_plain(self) -> bool:
        """Whether a spike adds just the weight to one variable that is never frozen."""
        return list(self.added.values()) == [symbol(WEIGHT)] and not (
            set(self.added) & self.neuron.frozen_states
        )

    @property
    def addition(self) -> str:
        """What is on its way to each target variable x, as ``_added_x``."""
        return code_of([(ADDED + name, value) for name, value in self.added.items()])

    def adjoint(self, adjoint: Adjoint, bent: bool) -> str:
        """Return what one arrival gives: ``_dw`` to its weight, ``_shift`` to dL/dT.

        Where rates are `bent` in what synapses add to, arrivals are visited last to
        first: ``_left_x`` is what each leaves of a variable x that it has added to.
        """
        return code_of(self._given(adjoint, bent))

    def worth(self) -> str:
        """Return what one arrival gives to dL/ds of its spike, ``_gain``."""
        gained = sum(
            symbol(LAMBDA + name) * value for name, value in self._arriving().items()
        )
        return code_of([("_gain", sp.sympify(gained))])

    def met(self, adjoint: Adjoint, bent: bool) -> set[str]:
        """Return the names that the code of `adjoint` reads."""
        given = self._given(adjoint, bent)
        return {x.name for _, value in given for x in value.free_symbols}

    def _arriving(self):
        """Return what reaches each variable, nothing where it is frozen."""
        frozen = self.neuron.frozen_states
        return {
            name: value * (_INT(symbol(OPEN)) if name in frozen else 1)
            for name, value in self.added.items()
        }

    def _given(self, adjoint, bent):
        arriving = self._arriving()
        by_weight = sum(
            symbol(LAMBDA + name) * derivative(value, WEIGHT)
            for name, value in arriving.items()
        )
        code = [("_dw", sp.sympify(by_weight))]
        if bent:
            code += [
                (LEFT + name, symbol(END + name) - value)
                for name, value in arriving.items()
            ]
            shift = self._jump(adjoint)
        else:
            shift = -sum(
                value * symbol(SLOPE + name) for name, value in arriving.items()
            )
        return [*code, ("_shift", sp.sympify(shift))]

    def _jump(self, adjoint):
        """Return lambda.(f(before) - f(after)) of one arrival among others."""
        after = {symbol(n): symbol(END + n) for n in self.neuron.states}
        before = after | {symbol(n): symbol(LEFT + n) for n in self.added}
        jump = 0
        for name, rate in adjoint.rates().items():
            # What does not depend on what is added would only cancel.
            _, rate = sp.expand_mul(rate).as_independent(
                *map(symbol, self.added), as_Add=True
            )
            rise = rate.xreplace(before) - rate.xreplace(after)
            jump += symbol(LAMBDA + name) * rise
        return jump
