"""The steps of a network replayed in torch, with the recorded spikes, in double.

Every map of a step is read from Brian2's own code and run by torch; what moves with a
spike's delivered time T is added as (T - its value) times the jump of the flow there.
Nothing is shared with the derived adjoint but the meaning of a gradient.
"""

import functools
import math

import numpy as np
import torch
from brian2.core.namespace import DEFAULT_UNITS

from bsnn.equations.dimensions import NORMAL


def _exprel(x):
    near = x.abs() < 1e-3
    safe = torch.where(near, torch.ones_like(x), x)
    return torch.where(
        near, 1 + x / 2 + x**2 / 6 + x**3 / 24 + x**4 / 120, torch.expm1(safe) / safe
    )


_FUNCTIONS = {
    "exp": torch.exp,
    "tanh": torch.tanh,
    "sqrt": torch.sqrt,
    "abs": torch.abs,
    "exprel": _exprel,
    "int": lambda x: x,
}


def _of_tensor(function):
    return lambda x: function(torch.as_tensor(x, dtype=torch.float64))


_GLOBALS = {
    "__builtins__": {},
    **{
        n: torch.tensor(float(u), dtype=torch.float64) for n, u in DEFAULT_UNITS.items()
    },
    **{name: _of_tensor(function) for name, function in _FUNCTIONS.items()},
}


@functools.cache
def _compiled(text):
    return compile(text.strip(), "<equation>", "eval")


def evaluate(text, names):
    """Evaluate an expression of Brian2's language, whose operators are Python's."""
    return torch.as_tensor(eval(_compiled(text), _GLOBALS, names), dtype=torch.float64)


@functools.cache
def _statements(code):
    found = []
    for line in code.replace(";", "\n").splitlines():
        if line.strip():
            left, right = line.split("=", 1)
            op = left[-1] if left[-1] in "+-*/" else ""
            found.append((left.rstrip("+-*/ ").strip(), op, right))
    return found


def execute(code, names):
    """Run statements of Brian2's language; return all names."""
    names = dict(names)
    for target, op, right in _statements(code):
        value = evaluate(right, names)
        if op:
            old = names[target]
            value = {"+": old + value, "-": old - value, "*": old * value}[op]
        names[target] = value
    return names


@functools.cache
def _without(code, skip):
    """Leave out what is assigned to some variables, and what only they read."""
    return "\n".join(
        line
        for line in code.splitlines()
        if line.split("=")[0].strip().strip("_").removeprefix("BA_") not in skip
    )


class ReplayedNeuron:
    """The maps of one population's step."""

    def __init__(self, part, parameters):
        self.part, self.neuron, self.p = part, part.neuron, parameters
        equations = self.neuron.full_equations.get_substituted_expressions(
            self.neuron.variables, include_subexpressions=True
        )
        self.named = {n: e.code for n, e in equations}
        self.freezes = bool(self.neuron.frozen_states)

    def names(self, state, free, extra):
        full = {**self.p, **extra, **state, "not_refractory": free}
        for equation in self.neuron.parsed.values():
            if equation.type == "subexpression":
                full[equation.varname] = evaluate(self.named[equation.varname], full)
        return full

    def update(self, state, free, dt, extra):
        """F(state, dt), where what is (unless refractory) is left alone if not free."""
        # Exact and exponential Euler updates of a frozen variable divide 0 by 0.
        moved = {}
        for value in (0.0, 1.0) if self.freezes else (1.0,):
            flag = torch.full_like(free, value)
            names = {**self.p, **extra, **state, "not_refractory": flag, "dt": dt}
            skip = self.neuron.frozen_states if value == 0 else ()
            done = execute(_without(self.neuron.update, frozenset(skip)), names)
            moved[value] = {n: state[n] if n in skip else done[n] for n in state}
        return {
            n: torch.where(free > 0, moved[1.0][n], moved[0.0][n])
            if self.freezes
            else moved[1.0][n]
            for n in state
        }

    def rates(self, state, free, extra):
        names = self.names(state, free, {**extra, **self._quiet()})
        zero = torch.zeros_like(free)
        return {
            n: evaluate(self.named[n], names) + zero if n in self.named else zero
            for n in state
        }

    def _quiet(self):
        return dict.fromkeys(self.neuron.parsed.stochastic_variables, torch.tensor(0.0))

    def margin(self, state, extra):
        names = self.names(state, torch.ones(()), extra)
        for op, sign in ((">=", 1), ("<=", -1), (">", 1), ("<", -1)):
            if op in self.neuron.threshold:
                left, right = self.neuron.threshold.split(op)
                return sign * (evaluate(left, names) - evaluate(right, names))
        raise NotImplementedError

    def reset(self, state, extra):
        done = execute(self.neuron.reset, self.names(state, torch.ones(()), extra))
        return {n: done[n] for n in state}


def _directional(function, state, direction):
    """Derivative of a map of states along a direction, without a graph."""
    names = list(state)
    _, moved = torch.func.jvp(
        lambda *x: tuple(function(dict(zip(names, x, strict=True))).values()),
        tuple(state[n].detach() for n in names),
        tuple(direction[n].detach() for n in names),
    )
    return dict(zip(names, moved, strict=True))


def _crossing(cell, a, free, dt, extra, taken):
    """Return the slope and the margin at the crossing, a function of what made it."""
    detached = {n: x.detach() for n, x in a.items()}
    fixed = {n: x.detach() for n, x in extra.items()}
    frozen = ReplayedNeuron(cell.part, {n: x.detach() for n, x in cell.p.items()})

    def margin(h):
        return frozen.margin(frozen.update(detached, free, h, fixed), fixed)

    def slope(h):  # of each neuron, whose margin depends on its own h alone
        h = h.detach().requires_grad_()
        return torch.autograd.grad(margin(h).sum(), h)[0]

    zero = torch.zeros_like(free)
    low, high = zero.clone(), zero + dt
    above = margin(zero) >= 0
    with torch.no_grad():
        for _ in range(60):
            middle = (low + high) / 2
            below = margin(middle) < 0
            low, high = (
                torch.where(below, middle, low),
                torch.where(below, high, middle),
            )
    h = torch.where(above, zero, (low + high) / 2)
    inside = slope(h)
    if taken == "linear":
        rise = margin(zero + dt) - margin(zero)
        h = torch.where(above, zero, -margin(zero) / rise * dt)
        inside = rise / dt
    elif taken == "end":
        h = zero + dt
        inside = slope(h)
    steep = torch.where(above, torch.maximum(slope(zero), slope(zero + dt)), inside)
    return steep, cell.margin(cell.update(a, free, h, extra), extra)


def replay(
    network,
    weights,
    inputs,
    spikes,
    sample,
    *,
    learn,
    slope_min,
    normal=None,
    taken="exact",
    cap=math.inf,
):
    """Replay a sample; return leaves, delivered times and traces.

    Crossings are `taken` to be exact, linear in their step or at its end; their slopes
    count as at most `cap` times `slope_min`.

    Returns
    -------
    leaves : dict
        "weights": list of Tensor; "parameters", "currents": by (population, name);
        "delays": by name of the connection, in seconds;
        "inputs": by name, the times of input spikes.
    times : dict of str to Tensor
        Delivered time of each recorded spike, as its value plus 0 of a crossing.
    traces : dict of (str, str) to Tensor, shape (n_steps, n_neurons)
    """
    dt, n_steps = network.dt_seconds, network.n_steps
    double = {"dtype": torch.float64}
    leaves = {
        "weights": [torch.tensor(w, requires_grad=True, **double) for w in weights],
        "parameters": {},
        "currents": {},
        "inputs": {},
        "delays": {
            c.name: torch.tensor(np.asarray(c.delay), requires_grad=True, **double)
            for c in network.connections
            if "delay" in learn.get(c.name, ())
        },
    }
    cells, state, free, current, last = {}, {}, {}, {}, {}
    fired = {}  # population: list over steps of (neurons, first index of its spikes)
    for part in network.populations:
        source = inputs if part.name in inputs and part in network.inputs else spikes
        if part.name in source:
            own = source[part.name].select(sample, sample + 1)
            edges = np.searchsorted(own.step, np.arange(n_steps + 1))
            fired[part.name] = [
                (own.neuron[a:b], a) for a, b in zip(edges[:-1], edges[1:], strict=True)
            ]
        if part in network.inputs:
            leaves["inputs"][part.name] = torch.tensor(
                own.arrival, requires_grad=True, **double
            )
            continue
        parameters = {}
        for name, value in part.neuron.values.items():
            learned = name in learn.get(part.name, ())
            if not part.neuron.is_shared(name):
                value = np.broadcast_to(value, part.size).copy()
            parameters[name] = torch.tensor(value, requires_grad=learned, **double)
            if learned:
                leaves["parameters"][part.name, name] = parameters[name]
        for name in part.neuron.currents:
            values = torch.tensor(
                inputs[part.name][name][sample],
                requires_grad=name in learn.get(part.name, ()),
                **double,
            )
            current[part.name, name] = values
            if values.requires_grad:
                leaves["currents"][part.name, name] = values
        cells[part.name] = ReplayedNeuron(part, parameters)
        state[part.name] = {
            n: torch.as_tensor(
                np.broadcast_to(v, part.size).copy(), **double
            ).requires_grad_(False)
            for n, v in part.neuron.initial_values.items()
        }
        free[part.name] = torch.ones(part.size, **double)
        last[part.name] = torch.full((part.size,), -1e9, **double)
    times = {
        n: [None] * len(spikes[n].select(sample, sample + 1).neuron) for n in spikes
    }
    latest = {n: [None] * network.named[n].size for n in cells}
    traces = {(p.name, v): [] for p in network.groups for v in p.record}
    landings = [
        _landings(c, delays, fired[c.source], network)
        for c, delays in zip(network.connections, network.delays, strict=True)
    ]
    for step in range(n_steps):
        after, was_free = {}, {}
        for name, cell in cells.items():
            neuron, a = cell.neuron, state[name]
            extra = {c: current[name, c][step] for c in neuron.currents}
            if neuron.parsed.stochastic_variables:
                extra |= {
                    NORMAL + x: normal(name, x, step, sample)
                    for x in neuron.parsed.stochastic_variables
                }
            extra["t"] = torch.tensor(step * dt, **double)
            before = free[name]
            now = now_free(cell, before, last[name], a, step, dt, extra)
            if cell.freezes:
                a = _with_release(cell, a, now, before, latest[name], extra)
            for variable in cell.part.record:
                traces[name, variable].append(a[variable])
            b = cell.update(a, now, torch.tensor(dt, **double), extra)
            was_free[name] = now
            index, first = fired.get(name, [((), 0)] * n_steps)[step]
            if len(index):
                at = list(index)
                one = {n: x[at] for n, x in a.items()}
                own = ReplayedNeuron(
                    cell.part, {n: x[at] if x.ndim else x for n, x in cell.p.items()}
                )
                here = {n: x[at] if x.numel() > 1 else x for n, x in extra.items()}
                steep, margin = _crossing(own, one, now[at], dt, here, taken)
                least = slope_min[name]
                moved = -margin / torch.clamp(steep, min=least, max=cap * least)
                for k, j in enumerate(index):
                    sent = (step + 1) * dt + moved[k] - moved[k].detach()
                    times[name][first + k] = latest[name][j] = sent
            if neuron.refractory is not None:
                hit = torch.zeros_like(now)
                hit[list(index)] = 1.0
                free[name] = torch.where(hit > 0, torch.zeros_like(now), now)
                last[name] = torch.where(
                    hit > 0, torch.full_like(now, step), last[name]
                )
            after[name] = (b, extra)
        arrived = {}
        for q, connection in enumerate(network.connections):
            cell = cells[connection.target]
            is_input = connection.source in leaves["inputs"]
            sent = leaves["inputs"] if is_input else times
            for sent_in, z, i, reached in landings[q][step]:
                names = {**cell.p, "w": _row(leaves["weights"][q], connection, i, cell)}
                added = {}
                for line in connection.on_pre.split(";"):
                    variable, expression = line.split("+=")
                    variable = variable.strip()
                    value = evaluate(expression, names) * reached
                    if variable in cell.neuron.frozen_states:
                        value = value * free[connection.target]
                    added[variable] = value
                late = leaves["delays"].get(connection.name, torch.zeros(()))
                late = _row(late, connection, i, cell, of_delays=True)
                moved = sent[connection.source][z] + late
                shift = moved - moved.detach()
                # Those that meet come in this order: see native/graph_adjoint.h.
                order = (connection.delay_of == "connection", sent_in, q)
                arrived.setdefault(connection.target, []).append((order, added, shift))
        for name, cell in cells.items():
            b, extra = after[name]
            c = dict(b)
            met = sorted(arrived.get(name, ()), key=lambda x: x[0])
            for _, added, _ in met:
                c = {n: x + added[n] if n in added else x for n, x in c.items()}
            shifted, running = dict(c), {n: x.detach() for n, x in b.items()}
            for _, added, shift in met:
                earlier = running
                running = {
                    n: x + added[n].detach() if n in added else x
                    for n, x in earlier.items()
                }
                f_before = cell.rates(earlier, was_free[name], extra)
                f_after = cell.rates(running, was_free[name], extra)
                for n in shifted:
                    jump = (f_before[n] - f_after[n]).detach()
                    shifted[n] = shifted[n] + shift * jump
            fixed = {n: x.detach() for n, x in c.items()}
            index, first = fired.get(name, [((), 0)] * n_steps)[step]
            index = list(index)
            if index:
                shifted = _with_reset(
                    cell, shifted, fixed, index, times[name], first, free[name], extra
                )
            state[name] = shifted
    return (
        leaves,
        {
            n: torch.stack(t) if t else torch.zeros(0, **double)
            for n, t in times.items()
        },
        {key: torch.stack(rows) for key, rows in traces.items()},
    )


def _landings(connection, delays, fired, network):
    """Return the spikes that arrive in each step.

    As (step in which it was sent, its number, its neuron, whether it reaches a target).
    """
    n_pre = network.named[connection.source].size
    n_post = network.named[connection.target].size
    steps = np.full((n_pre, n_post), -1)
    if connection.pattern is None:
        steps[:] = delays
    else:
        i, j = connection.pattern.i, connection.pattern.j
        steps[i, j] = delays[i, 0] if delays.ndim == 2 else delays
    found = [[] for _ in fired]
    for sent, (neurons, first) in enumerate(fired):
        for k, i in enumerate(neurons):
            for delay in np.unique(steps[i][steps[i] >= 0]):
                if sent + delay < len(fired):
                    reached = torch.from_numpy((steps[i] == delay).astype(float))
                    found[sent + delay].append((sent, first + k, i, reached))
    return found


def _row(values, connection, i, cell, of_delays=False):
    """Return weights or delays of the synapses of neuron i, 0 where there are none."""
    pattern = connection.pattern
    if of_delays and values.ndim in (0, 2):
        return values[i] if values.ndim else values
    if pattern is None:
        return values[i]
    own = pattern.i == i
    which = np.flatnonzero(own) if of_delays else pattern.weight[own]
    row = torch.zeros(cell.part.size, dtype=torch.float64)
    return row.index_put((torch.from_numpy(pattern.j[own]),), values[which])


def now_free(cell, before, last, a, step, dt, extra):
    neuron = cell.neuron
    if neuron.refractory is None:
        return before
    if neuron.period is not None:
        period = evaluate(neuron.period, cell.p).detach()
        return ((step - last) >= torch.floor((period + 1e-3 * dt) / dt)).double()
    left, right = neuron.refractory.split(">")
    names = cell.names({n: x.detach() for n, x in a.items()}, before, extra)
    holds = evaluate(left, names) > evaluate(right, names)
    return torch.maximum(before, (~holds).double())


def _with_release(cell, a, now, before, latest, extra):
    """Let the end of a refractory period move with the spike that began it."""
    released = [j for j in range(len(now)) if now[j] and not before[j]]
    if not released:
        return a
    fixed = {n: x.detach() for n, x in a.items()}
    kept = cell.rates(fixed, torch.zeros_like(now), extra)
    free = cell.rates(fixed, torch.ones_like(now), extra)
    period = evaluate(cell.neuron.period, cell.p)
    a = dict(a)
    for n in a:
        jump = (kept[n] - free[n]).detach()
        terms = []
        for j in range(len(now)):
            if j in released:
                end = latest[j] + (period if period.ndim == 0 else period[j])
                terms.append((end - end.detach()) * jump[j])
            else:
                terms.append(torch.zeros((), dtype=torch.float64))
        a[n] = a[n] + torch.stack(terms)
    return a


def _with_reset(cell, c, fixed, index, times, first, free, extra):
    full = {n: x + torch.zeros_like(free) for n, x in cell.reset(c, extra).items()}
    ones = torch.ones_like(free)
    f_before = cell.rates(fixed, ones, extra)
    carried = _directional(
        lambda x: {
            n: y + torch.zeros_like(free) for n, y in cell.reset(x, extra).items()
        },
        fixed,
        f_before,
    )
    after = {n: x.detach() for n, x in full.items()}
    f_after = cell.rates(after, 1 - ones if cell.freezes else ones, extra)
    done = {}
    for n in c:
        columns = list(c[n].unbind(0))
        for k, j in enumerate(index):
            sent = times[first + k]
            jump = (carried[n][j] - f_after[n][j]).detach()
            columns[j] = full[n][j] + (sent - sent.detach()) * jump
        done[n] = torch.stack(columns)
    return done
