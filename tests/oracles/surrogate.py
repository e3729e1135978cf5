"""A network of spikes that exist or do not, simulated in torch, in double.

Every map of a step is read from Brian2's own code and run by torch; a spike is a
function of its own, a step forwards and sigma' backwards, as other libraries have it.
What moves with a delay is added as (delay - its value) times the jump of the flow where
a spike arrives, for synapses in whose targets rates are affine. Nothing is shared with
the derived adjoint but the meaning of a surrogate gradient.
"""

import numpy as np
import torch

from bsnn.equations.dimensions import NORMAL
from tests.oracles.replay import ReplayedNeuron, evaluate, now_free


class Spike(torch.autograd.Function):
    """1 where the margin is not negative; backwards the given derivative."""

    @staticmethod
    def forward(ctx, margin, slope):
        ctx.save_for_backward(margin)
        ctx.slope = slope
        return (margin >= 0).to(margin.dtype)

    @staticmethod
    def backward(ctx, grad):
        (margin,) = ctx.saved_tensors
        return grad * ctx.slope(margin), None


def simulate(network, weights, inputs, sample, *, slopes, learn, normal=None):
    """Simulate a sample; return leaves, spikes and traces.

    Parameters
    ----------
    slopes : dict of str to callable
        sigma' of each population, a function of the margin.
    learn : dict of str to sequence of str
        Parameters and currents of each population, and "delay" of each connection.
    normal : callable, optional
        ``normal(population, noise, step, sample)``.

    Returns
    -------
    leaves : dict
        "weights": list of Tensor; "parameters", "currents": by (population, name);
        "delays": by name of the connection, in seconds.
    spikes : dict of str to Tensor, shape (n_steps, n_neurons)
    traces : dict of (str, str) to Tensor, shape (n_steps, n_neurons)
    """
    double = {"dtype": torch.float64}
    dt, n_steps = torch.tensor(network.dt_seconds, **double), network.n_steps
    leaves = {
        "weights": [torch.tensor(w, requires_grad=True, **double) for w in weights],
        "parameters": {},
        "currents": {},
        "delays": {
            c.name: torch.tensor(np.asarray(c.delay), requires_grad=True, **double)
            for c in network.connections
            if "delay" in learn.get(c.name, ())
        },
    }
    cells, state, free, last, current, raster = {}, {}, {}, {}, {}, {}
    for part in network.populations:
        raster[part.name] = []
        if part in network.inputs:
            given = inputs[part.name].select(sample, sample + 1)
            dense = torch.zeros(n_steps, part.size, **double)
            dense[given.step.tolist(), given.neuron.tolist()] = 1
            raster[part.name] = list(dense)
            continue
        values = {}
        for name, value in part.neuron.values.items():
            wanted = name in learn.get(part.name, ())
            if not part.neuron.is_shared(name):
                value = np.broadcast_to(value, part.size).copy()
            values[name] = torch.tensor(value, requires_grad=wanted, **double)
            if wanted:
                leaves["parameters"][part.name, name] = values[name]
        for name in part.neuron.currents:
            wanted = name in learn.get(part.name, ())
            given = inputs[part.name][name][sample]
            values_in_time = torch.tensor(given, requires_grad=wanted, **double)
            current[part.name, name] = values_in_time
            if wanted:
                leaves["currents"][part.name, name] = values_in_time
        cells[part.name] = ReplayedNeuron(part, values)
        state[part.name] = {
            n: torch.tensor(np.broadcast_to(v, part.size).copy(), **double)
            for n, v in part.neuron.initial_values.items()
        }
        free[part.name] = torch.ones(part.size, **double)
        last[part.name] = torch.full((part.size,), -1e9, **double)
    joined = [
        _pairs(connection, delays, network)
        for connection, delays in zip(network.connections, network.delays, strict=True)
    ]
    traces = {(p.name, v): [] for p in network.groups for v in p.record}
    for step in range(n_steps):
        after, extras = {}, {}
        for name, cell in cells.items():
            neuron, a = cell.neuron, state[name]
            extra = {c: current[name, c][step] for c in neuron.currents}
            for noise in neuron.parsed.stochastic_variables:
                extra[NORMAL + noise] = normal(name, noise, step, sample)
            extra["t"] = step * dt
            for (population, variable), rows in traces.items():
                if population == name:
                    rows.append(a[variable])
            free[name] = now_free(cell, free[name], last[name], a, step, dt, extra)
            b = cell.update(a, free[name], dt, extra)
            if neuron.threshold is not None:
                fired = Spike.apply(cell.margin(b, extra), slopes[name]) * free[name]
                raster[name].append(fired)
                if neuron.refractory is not None:
                    hit = fired.detach() > 0
                    free[name] = torch.where(hit, 0.0, free[name])
                    last[name] = torch.where(hit, float(step), last[name])
            after[name], extras[name] = b, extra
        for q, connection in enumerate(network.connections):
            cell, b = cells[connection.target], dict(after[connection.target])
            i, j, which, delay = joined[q]
            arriving = delay <= step
            sent = torch.stack(raster[connection.source])[
                step - delay[arriving], i[arriving]
            ]
            of_target = {
                n: v if v.ndim == 0 else v[j[arriving]] for n, v in cell.p.items()
            }
            w = leaves["weights"][q].reshape(-1)[which[arriving]]
            late, jumps = leaves["delays"].get(connection.name), dict(b)
            for line in connection.on_pre.split(";"):
                variable, expression = (x.strip() for x in line.split("+="))
                value = evaluate(expression, {**of_target, "w": w}) * sent
                zero = torch.zeros(cell.part.size, **double)
                frozen = variable in cell.neuron.frozen_states
                reached = free[connection.target] if frozen else 1
                if late is not None:
                    moved = _by_pair(connection, late - late.detach(), i)[arriving]
                    jump = zero.index_add(0, j[arriving], moved * value.detach())
                    jumps[variable] = jumps[variable] + jump * reached
                total = zero.index_add(0, j[arriving], value)
                b[variable] = b[variable] + total * reached
            if late is not None:
                # Rates are affine, so that it is the same before or after others.
                met = free[connection.target], extras[connection.target]
                with_, without = (
                    cell.rates(x, *met) for x in (jumps, after[connection.target])
                )
                b = {n: x - (with_[n] - without[n]) for n, x in b.items()}
            after[connection.target] = b
        for name, cell in cells.items():
            c = after[name]
            if cell.neuron.threshold is not None:
                done, fired = cell.reset(c, extras[name]), raster[name][-1]
                c = {n: x + fired * (done[n] - x) for n, x in c.items()}
            state[name] = c
    return (
        leaves,
        {name: torch.stack(raster[name]) for name in cells if raster[name]},
        {key: torch.stack(rows) for key, rows in traces.items()},
    )


def _pairs(connection, delays, network):
    """Return neurons, weight numbers and delays of all pairs that are joined."""
    n_pre = network.named[connection.source].size
    n_post = network.named[connection.target].size
    if connection.pattern is None:
        i, j = (x.ravel() for x in np.indices((n_pre, n_post)))
        which = np.arange(i.size)
    else:
        i, j, which = (
            np.asarray(x)
            for x in (
                connection.pattern.i,
                connection.pattern.j,
                connection.pattern.weight,
            )
        )
    found = (torch.tensor(np.array(x), dtype=torch.long) for x in (i, j, which))
    i, j, which = found
    return i, j, which, _by_pair(connection, torch.tensor(delays), i).long()


def _by_pair(connection, delays, i):
    """Return the delay of each pair, whose presynaptic neurons are given."""
    if delays.ndim == 0:
        return delays.expand(len(i))
    if delays.ndim == 1:
        return delays
    return delays[i, 0] if delays.shape[1] == 1 else delays.reshape(-1)
