r"""The adjoint of a neuron, derived from its equations: text in, text out.

One step of Brian2 takes the state a to b = F(a, dt), fires where g(b) >= 0, lets
synapses take b to c and the reset take c to R(c). Backwards in time, with
lambda = dL/d(state) and dL/dT_z the total derivative of the loss with respect to the
delivered time of spike z,

    reset       dL/dT_z += lambda.(DR f(c) - f(R(c)));     lambda <- DR^T lambda
    synapses    dL/dT_i += lambda.(f(before) - f(after));  dL/dw += lambda d(on_pre)/dw
    crossing    g(F(a, h)) = 0;    q_z = -(dL/dT_z) / max(dg(F(a, h))/dh, slope_min)
                lambda_a += DF(a, h)^T grad g q_z
    update      lambda <- DF(a, dt)^T lambda + lambda_a
    refractory  dL/dT_z += lambda.(f_refractory - f_free)  where its period ends

and parameters gather the same products with the derivatives of F, g and R by them. The
derivative of a crossing is along the method's own partial step, so that the time it
yields is differentiated exactly.

References
----------
Bohte et al. 2002, doi:10.1016/S0925-2312(01)00658-0 (the derivative of a crossing).
Wunderlich & Pehle 2021, doi:10.1038/s41598-021-91786-z (the adjoint of a jump).
Bengio et al. 2013, arXiv:1308.3432 (straight-through).
"""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass

import sympy as sp

from .dynamics import Dynamics
from .statements import (
    code_of,
    derivative,
    prune,
    pull_back,
    push_forward,
    render,
    symbol,
)

# Names in the texts below; no user's name begins with an underscore.
LAMBDA, BEFORE, END = "_lambda_", "_before_", "_end_"
SLOPE, GRADIENT = "_slope_", "_grad_"
SENT = "_sent_"  # dL/ds of the spike that a neuron sends in a step, or does not
OPEN = "_open"  # whether synapses reach what is (unless refractory)
_FREE = symbol("not_refractory")
_INT = sp.Function("int_")


@dataclass(frozen=True)
class Adjoint:
    """The backward step of a neuron as straight-line code for Brian2.

    Parameters
    ----------
    neuron : bsnn.Neuron
    learn : tuple of str
        Parameters and currents whose derivatives are wanted.

    Raises
    ------
    ValueError
        If something cannot be differentiated.
    """

    neuron: object
    learn: tuple[str, ...] = ()

    def __post_init__(self):
        known = {*self.neuron.values, *self.neuron.currents}
        for name in self.learn:
            if name not in known:
                raise ValueError(
                    f"'learn' names {name!r}, which is no parameter of the neuron; "
                    f"they are {', '.join(sorted(known))}."
                )
        dynamics = Dynamics(self.neuron)
        if dynamics.can_freeze and dynamics.period is None:
            raise ValueError(
                "a refractory condition cannot be differentiated together with "
                "(unless refractory); give 'refractory' as a time."
            )
        object.__setattr__(self, "dynamics", dynamics)

    @property
    def states(self):
        return self.neuron.states

    def update(self) -> str:
        """Return ``lambda <- DF^T lambda`` and the derivatives by what is learned."""
        wrt = [*self.states, *self.learn]
        free = self._pulled(*self.dynamics.update(), "_f")
        code, bar = free
        if self.dynamics.can_freeze:
            more, frozen = self._pulled(*self.dynamics.update(free=False), "_z")
            code, bar = code + more, {n: _either(bar[n], frozen[n]) for n in wrt}
        code += [(f"_new_{name}", bar[name]) for name in self.states]
        code += [
            (GRADIENT + name, symbol(GRADIENT + name) + bar[name])
            for name in self.learn
            if bar[name] != 0
        ]
        code += [(LAMBDA + name, symbol(f"_new_{name}")) for name in self.states]
        return code_of(_without_idle(code))

    def _pulled(self, statements, final, prefix):
        statements, final = _renamed(statements, final, prefix)
        seeds = [(final[name], _lambda(name)) for name in self.states]
        wrt = [*self.states, *self.learn]
        added, bar = pull_back(statements, seeds, wrt, prefix=f"_b{prefix}")
        return prune(statements + added, bar.values()), bar

    def reset(self) -> str:
        """Return what a spike's reset does to lambda, and to dL/dT of the spike."""
        dynamics = self.dynamics
        statements, final = dynamics.reset
        seeds = [(final[name], _lambda(name)) for name in self.states]
        wrt = [*self.states, *self.learn]
        added, bar = pull_back(statements, seeds, wrt)
        before = dynamics.rates()
        after = {
            name: rate.xreplace({symbol(n): final[n] for n in self.states})
            for name, rate in dynamics.rates(free=not dynamics.can_freeze).items()
        }
        gained = sum(
            bar[name] * before[name] - _lambda(name) * after[name]
            for name in self.states
        )
        code = [*statements, *added, ("_shift", sp.sympify(gained))]
        changed = [name for name in self.states if bar[name] != _lambda(name)]
        code += [(f"_new_{name}", bar[name]) for name in changed]
        code += [
            (GRADIENT + name, symbol(GRADIENT + name) + bar[name])
            for name in self.learn
            if bar[name] != 0
        ]
        code += [(LAMBDA + name, symbol(f"_new_{name}")) for name in changed]
        return code_of(_at_end(_without_idle(code), self.states))

    def rates(self) -> dict:
        """Return dx/dt of each state, of a refractory neuron where it is one."""
        free = self.dynamics.rates()
        if not self.dynamics.can_freeze:
            return free
        frozen = self.dynamics.rates(free=False)
        return {name: _either(free[name], frozen[name]) for name in self.states}

    def arrival(self, variable: str) -> str:
        """Return how the rate of change of the loss depends on a target variable.

        The sum over states m of lambda_m d(f_m)/d(variable), where synapses act.
        """
        slope = sum(
            _lambda(name) * derivative(rate, variable)
            for name, rate in self.rates().items()
        )
        code = [(SLOPE + variable, sp.sympify(slope))]
        return code_of(_at_end(code, self.states))

    def bends(self, variables) -> bool:
        """Return whether rates are not affine in some target variables together.

        If so, what one arrival does to them depends on those that it meets.
        """
        rates = [
            rate
            for free in (True, False)
            for rate in self.dynamics.rates(free=free).values()
        ]
        pairs = itertools.combinations_with_replacement(sorted(variables), 2)
        return any(
            derivative(derivative(rate, x), y) != 0 for x, y in pairs for rate in rates
        )

    def crossing(self) -> dict[str, str]:
        """Return the code of a crossing, in two blocks.

        "evaluate" gives the margin ``_margin`` a time ``_h`` into the step and its
        slope ``_steepness``; "pull" the slope again, and the margin's derivatives
        ``_by_x`` with respect to each of `gains` at the start of the step.
        """
        code, added, bar = self._crossing
        margin, slope = symbol("_margin"), symbol("_steepness")
        pull = prune([*code, *added], [slope, *bar.values()])
        pull += [(f"_by_{name}", value) for name, value in bar.items()]
        within = {symbol("dt"): symbol("_h")}
        return {
            block: code_of([(n, value.xreplace(within)) for n, value in code])
            for block, code in (
                ("evaluate", prune(code, [margin, slope])),
                ("pull", pull),
            )
        }

    def worth(self) -> str:
        """Return what the reset adds to dL/ds: lambda.(R(c) - c)."""
        statements, final = self.dynamics.reset
        gained = sum(
            _lambda(name) * (final[name] - symbol(name))
            for name in self.states
            if final[name] != symbol(name)
        )
        sent = ("_sent_", symbol(SENT) + gained)
        return code_of(_at_end([*statements, sent], self.states))

    def spike(self, surrogate) -> str:
        """Return what dL/ds of all spikes, sent or not, gives to the step before.

        lambda += DF^T grad g sigma'(g) dL/ds, after the update; see
        `bsnn.equations.estimators.surrogate`.
        """
        code, added, bar = self._crossing
        code = [*code, *added, ("_chance", surrogate.expression)]
        free = _INT(_FREE) if self.neuron.refractory is not None else 1
        code.append(("_given", free * symbol("_chance") * symbol(SENT)))
        code = prune(code, [symbol("_given"), *bar.values()])
        for name, by in bar.items():
            prefix = LAMBDA if name in self.states else GRADIENT
            gathered = symbol(prefix + name) + by * symbol("_given")
            code.append((prefix + name, gathered))
        return code_of(code)

    @property
    def gains(self) -> tuple[str, ...]:
        """States and learned names on which the margin at a crossing depends."""
        return tuple(self._crossing[2])

    @functools.cached_property
    def _crossing(self):
        statements, final = self.dynamics.update()
        statements = [(name, _shorter(value)) for name, value in statements]
        states = {symbol(name): final[name] for name in self.states}
        margin = self.dynamics.margin.xreplace(states)
        added, (steepness,) = push_forward(statements, [margin], "dt")
        named = [("_margin", margin), ("_steepness", steepness)]
        code = [*statements, *added, *named]
        wrt = [*self.states, *self.learn]
        added, bar = pull_back(statements, [(margin, sp.Integer(1))], wrt)
        bar = {name: value for name, value in bar.items() if value != 0}
        return code, added, bar

    def reads(self, name: str) -> bool:
        """Return whether the margin at a crossing, or its slope, depends on a name."""
        code, added, _ = self._crossing
        return any(value.has(symbol(name)) for _, value in [*code, *added])

    def release(self) -> str:
        """Return what the end of a refractory period adds to dL/dT of its spike."""
        free, frozen = self.dynamics.rates(), self.dynamics.rates(free=False)
        shift = sum(_lambda(n) * (frozen[n] - free[n]) for n in self.states)
        code = [("_shift", sp.sympify(shift))]
        for name in self.learn:
            share = derivative(self.dynamics.period, name)
            if share != 0:
                gathered = symbol(GRADIENT + name) + share * symbol("_shift")
                code.append((GRADIENT + name, gathered))
        return code_of(code)

    def __str__(self):
        """Return backward equations, jumps and gradients as a person writes them."""
        dynamics = self.dynamics
        plain = {
            symbol(LAMBDA + name): symbol(f"lambda_{name}") for name in self.states
        } | {symbol(END + name): symbol(name) for name in self.states}

        def shown(expression):
            return render(sp.simplify(sp.sympify(expression).xreplace(plain)))

        rates = dynamics.rates()

        def pulled(name):
            return sum(_lambda(n) * derivative(f, name) for n, f in rates.items())

        flow = [f"-dlambda_{n}/dt = {shown(pulled(n))}" for n in self.states]
        lines = ["Backwards in time, with lambda_x = dL/dx:", "", *_indented(flow)]
        if dynamics.can_freeze:
            frozen = ", ".join(sorted(self.neuron.frozen_states))
            lines += _indented([f"(lambda of {frozen} is constant while refractory)"])
        by_flow = {name: pulled(name) for name in self.learn}
        gathered = [
            f"dL/d{name} += {shown(slope)} dt"
            for name, slope in by_flow.items()
            if slope != 0
        ]
        if self.neuron.threshold is not None:
            lines += ["", f"At a spike ({self.neuron.threshold}), delivered at T:", ""]
            after = dynamics.after_reset
            reset = {
                name: sum(_lambda(n) * derivative(x, name) for n, x in after.items())
                for name in [*self.states, *self.learn]
            }
            later = dynamics.rates(free=not dynamics.can_freeze)
            moved = {symbol(n): after[n] for n in self.states}
            gained = sum(
                reset[n] * rates[n] - _lambda(n) * later[n].xreplace(moved)
                for n in self.states
            )
            margin = dynamics.margin
            rise = sum(derivative(margin, n) * rates[n] for n in self.states)
            jumps = [] if gained == 0 else [f"dL/dT += {shown(gained)}"]
            jumps += [
                f"lambda_{n} <- {shown(reset[n])}"
                for n in self.states
                if reset[n] != _lambda(n)
            ]
            jumps += [
                f"dL/d{n} += {shown(reset[n])}" for n in self.learn if reset[n] != 0
            ]
            jumps.append(f"q = -(dL/dT) / max({shown(rise)}, slope_min)")
            jumps += [
                f"{kind}{n} += {shown(derivative(margin, n) * symbol('q'))}"
                for kind, names in (("lambda_", self.states), ("dL/d", self.learn))
                for n in names
                if derivative(margin, n) != 0
            ]
            lines += _indented(jumps)
        if dynamics.can_freeze:
            ended = sum(
                _lambda(n) * (f - rates[n])
                for n, f in dynamics.rates(free=False).items()
            )
            lines += ["", "Where the refractory period after T ends:", ""]
            lines += _indented([f"dL/dT += {shown(ended)}"])
        if gathered:
            lines += ["", "All along:", "", *_indented(gathered)]
        return "\n".join(lines)


def _indented(lines):
    return [f"    {line}" for line in lines]


def _lambda(name):
    return symbol(LAMBDA + name)


def _either(free, frozen):
    if free == frozen:
        return free
    return _INT(_FREE) * free + (1 - _INT(_FREE)) * frozen


def _shorter(expression):
    """Multiply out products of exponentials, where that leaves less to compute."""
    if not expression.has(sp.exp):
        return expression
    found = sp.powsimp(sp.expand(expression))
    return min(expression, found, key=sp.count_ops)


def _renamed(statements, final, prefix):
    """Give the names assigned in a piece of code another prefix."""
    names = {symbol(name): symbol(prefix + name) for name, _ in statements}
    statements = [(prefix + name, value.xreplace(names)) for name, value in statements]
    return statements, {n: sp.sympify(v).xreplace(names) for n, v in final.items()}


def _at_end(code, states):
    """Read states before the reset, not at the start of the step."""
    end = {symbol(name): symbol(END + name) for name in states}
    return [(name, value.xreplace(end)) for name, value in code]


def _without_idle(code):
    """Leave out ``x = x``, with what stood for it."""
    return [(name, value) for name, value in code if value != symbol(name)]
