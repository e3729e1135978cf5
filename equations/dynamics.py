"""The maps that one step of a neuron is made of, as algebra.

A step takes the state a to b = F(a, dt), the state update of whatever method Brian2
applies; a neuron fires where its threshold is met; synapses take b to c; the reset R
takes c to the next a. Here F, the rates f = dx/dt, the threshold as a margin g >= 0,
and R are sympy expressions of the names in the user's text.
"""

import functools

import numpy as np
import sympy as sp
from brian2.parsing.sympytools import str_to_sympy

from .dimensions import FUNCTIONS, UNITS
from .statements import derivative, parse, prune, single_assignment, symbol

_FREE = sp.Function("int_")(symbol("not_refractory"))


class Dynamics:
    """The algebra of a neuron.

    Parameters
    ----------
    neuron : bsnn.Neuron
    """

    def __init__(self, neuron):
        self.neuron = neuron
        self.states = neuron.states

    @functools.cached_property
    def _substituted(self):
        """Right-hand sides and subexpressions, free of subexpressions."""
        pairs = self.neuron.full_equations.get_substituted_expressions(
            self.neuron.variables, include_subexpressions=True
        )
        return {name: str_to_sympy(expression.code) for name, expression in pairs}

    @functools.cached_property
    def _named(self):
        subexpressions = {
            equation.varname
            for equation in self.neuron.parsed.values()
            if equation.type == "subexpression"
        }
        return {symbol(name): self._substituted[name] for name in subexpressions}

    @property
    def can_freeze(self) -> bool:
        """Whether a refractory neuron moves in another way than one that is not."""
        return bool(self.neuron.frozen_states) or any(
            rate.has(_FREE) for rate in self._substituted.values()
        )

    def rates(self, *, free=True) -> dict:
        """Return dx/dt of each state, of a refractory neuron unless it is free.

        Without noise, whose rate is not defined.
        """
        quiet = dict.fromkeys(map(symbol, self.neuron.parsed.stochastic_variables), 0)
        return {
            name: self._at(self._substituted.get(name, sp.Integer(0)), free).subs(quiet)
            for name in self.states
        }

    def update(self, *, free=True):
        """Return F as statements, every name assigned once, and the states they give.

        Brian2 writes nothing to what is ``(unless refractory)`` of a refractory neuron.
        """
        statements = [
            (name, self._at(value, free)) for name, value in parse(self.neuron.update)
        ]
        named, final = single_assignment(statements, self.states)
        if not free:
            final |= {name: symbol(name) for name in self.neuron.frozen_states}
        return prune(named, final.values()), final

    @staticmethod
    def _at(expression, free):
        return expression.xreplace({_FREE: sp.Integer(int(free))})

    @functools.cached_property
    def margin(self):
        """The threshold as g, which is not negative where a neuron fires.

        Raises
        ------
        ValueError
            If the threshold is no comparison.
        """
        text = self.neuron.threshold
        condition = str_to_sympy(text)
        if isinstance(condition, (sp.Gt, sp.Ge)):
            margin = condition.lhs - condition.rhs
        elif isinstance(condition, (sp.Lt, sp.Le)):
            margin = condition.rhs - condition.lhs
        else:
            raise ValueError(
                f"'threshold' {text!r} is no single comparison, so it cannot be "
                "differentiated; write it as 'left > right'."
            )
        return margin.xreplace(self._named)

    @functools.cached_property
    def reset(self):
        """R as statements, every name assigned once, and the states they give."""
        statements = [
            (name, value.xreplace(self._named))
            for name, value in parse(self.neuron.reset or "")
        ]
        return single_assignment(statements, self.states, prefix="_r")

    @functools.cached_property
    def after_reset(self):
        """R as one expression of the states before it, for each state."""
        statements, final = self.reset
        known = {}
        for name, value in statements:
            known[symbol(name)] = value.xreplace(known)
        return {n: sp.sympify(x).xreplace(known) for n, x in final.items()}

    @functools.cached_property
    def period(self):
        """Expression of the refractory period, or None."""
        period = self.neuron.period
        return None if period is None else str_to_sympy(period).xreplace(self._named)

    def slope_scale(self) -> float:
        """Return how fast the margin falls, per second, of a neuron held at threshold.

        From its initial state along grad g to where g = 0, and there -grad g.f: for a
        leaky neuron v_threshold/tau_mem. Of a neuron that fires by itself from there,
        which crosses steeply, 0.
        """
        margin, slope, _ = self._at_state(self._start)
        steepness = sum(s**2 for s in slope)
        held = [
            x - s * margin / steepness for x, s in zip(self._start, slope, strict=True)
        ]
        _, slope, rate = self._at_state(held)
        fall = -sum(s * f for s, f in zip(slope, rate, strict=True))
        return float(np.min(np.maximum(fall, 0.0)))

    def depth(self) -> float:
        """Return how far below threshold the initial state lies, as a margin.

        Of neurons with values of their own the median.
        """
        return float(np.median(-self._at_state(self._start)[0]))

    @property
    def _start(self):
        return [np.asarray(v, float) for v in self.neuron.initial_values.values()]

    def _at_state(self, state):
        """Return margin, its gradient, and rates of change at a state, at time 0."""
        neuron = self.neuron
        slopes, evaluate = self._evaluate
        still = [0.0] * len(neuron.currents) + [0.0, 0.0, 1.0]
        values = [*state, *neuron.values.values(), *still, *UNITS.values()]
        found = [np.asarray(x, float) for x in evaluate(*values)]
        return found[0], found[1 : len(slopes) + 1], found[len(slopes) + 1 :]

    @functools.cached_property
    def _evaluate(self):
        neuron = self.neuron
        names = [*neuron.states, *neuron.values]
        slopes = [derivative(self.margin, name) for name in neuron.states]
        rates = [self.rates()[name] for name in neuron.states]
        evaluate = sp.lambdify(
            [symbol(n) for n in [*names, *neuron.currents, "t", "i", "N", *UNITS]],
            [self.margin, *slopes, *rates],
            modules=[FUNCTIONS, "numpy"],
        )
        return slopes, evaluate
