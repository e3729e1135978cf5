"""Nodes and edges of NIR, of any library, as a network; see `bsnn.interchange.nir`."""

from __future__ import annotations

import re

import numpy as np
from brian2.units import Hz, Quantity, second
from scipy.sparse import issparse

from bsnn.equations.neuron import Neuron
from bsnn.equations.units import positive_seconds
from bsnn.network import Connection, Inputs, Network, Population
from bsnn.patterns import Pattern, one_to_one

from .nir_export import nir_library
from .nir_paths import paths_to, size_of

# As NIR has them; `bias` is what an Affine node adds, `jump` what a spike of weight 1.
CURRENT = """
dv/dt     = (v_leak - v + r*i_syn)/tau_mem : 1
di_syn/dt = (w_in*bias - i_syn)/tau_syn    : 1
jump : 1 (constant)
"""
LEAKY = """
dv/dt = (v_leak - v + r*bias)/tau : 1
jump : 1 (constant)
"""
PERFECT = """
dv/dt = r*bias : 1
jump : 1 (constant)
"""
THRESHOLD, RESET = "v > v_threshold", "v = v_reset"
CLOSE = 1e-3  # time constants whose exact solution would lose digits
MAX_NODES, MAX_DEPTH = 10_000, 16


class _Passing:
    """An Input or Output within a graph in a graph, which does nothing."""


def network_of(graph, dt: Quantity, duration: Quantity):
    """Return network and weights of a graph; see `bsnn.interchange.nir.from_nir`."""
    nir, seconds = nir_library(), positive_seconds(dt, "dt")
    nodes, edges = _flat(nir, graph)
    _check(nir, nodes, edges)
    names = _population_names(nir, nodes)
    populations, connections, weights = [], [], {}
    for node_name, name in names.items():
        node = nodes[node_name]
        size = size_of(nir, node)
        if size < 1:
            raise ValueError(f"node {node_name!r} has no neurons.")
        if isinstance(node, nir.Input):
            populations.append(Inputs(name, size))
            continue
        paths = paths_to(nir, nodes, edges, node_name, _Passing)
        for path in paths:
            if path.n_post != size:
                raise ValueError(
                    f"node {node_name!r} has {size} neurons, but {path.n_post} inputs "
                    f"lead to it from {path.source!r}."
                )
            _check_numbers(path, node_name)
        bias = sum((path.bias for path in paths), np.zeros(size))
        neuron, on_pre = _neuron(nir, node, bias, seconds, node_name)
        record = ["v"] if neuron.threshold is None else ()
        populations.append(Population(name, size, neuron, record=record))
        for path in paths:
            connection, weight = _connection(path, names, name, on_pre, weights)
            connections.append(connection)
            weights[connection.name] = weight
    return Network(populations, connections, dt=dt, duration=duration), weights


# --- the graph ------------------------------------------------------------------------


def _flat(nir, graph, depth=0):
    """Return all nodes and edges; a graph in the graph becomes a part of it."""
    nodes, edges = dict(graph.nodes), [tuple(edge) for edge in graph.edges]
    for name, node in graph.nodes.items():
        if not isinstance(node, nir.NIRGraph):
            continue
        if depth == MAX_DEPTH:
            raise ValueError(f"'graph' nests graphs deeper than {MAX_DEPTH}.")
        inner, more = _flat(nir, node, depth + 1)
        ends = {}
        for kind in (nir.Input, nir.Output):
            found = [n for n, x in inner.items() if isinstance(x, kind)]
            if len(found) != 1:
                raise ValueError(
                    f"the graph in node {name!r} must have one {kind.__name__}, got "
                    f"{len(found)}."
                )
            (end,) = found
            ends[kind], inner[end] = f"{name}.{end}", _Passing()
        del nodes[name]
        for inner_name, x in inner.items():
            if f"{name}.{inner_name}" in nodes:
                raise ValueError(f"'graph' has two nodes '{name}.{inner_name}'.")
            nodes[f"{name}.{inner_name}"] = x
        edges = [
            (ends[nir.Output] if a == name else a, ends[nir.Input] if b == name else b)
            for a, b in edges
        ]
        edges += [(f"{name}.{a}", f"{name}.{b}") for a, b in more]
    return nodes, edges


def _check_numbers(path, target):
    weight = path.matrix.data if issparse(path.matrix) else path.matrix
    for values in (() if weight is None else weight, path.bias):
        if not np.isfinite(values).all():
            raise ValueError(
                f"the weights from {path.source!r} to {target!r}, or what is added to "
                "them, are not finite."
            )


def _neurons(nir):
    return (nir.CubaLIF, nir.CubaLI, nir.LIF, nir.LI, nir.IF, nir.I)


def _check(nir, nodes, edges):
    """Raise unless a network can have such nodes, and edges between them."""
    if len(nodes) > MAX_NODES:
        raise ValueError(
            f"'graph' must not have more than {MAX_NODES} nodes, got {len(nodes)}."
        )
    between = (
        *(nir.Linear, nir.Affine, nir.Scale, nir.Delay, nir.Flatten, nir.Conv2d),
        *(nir.SumPool2d, nir.AvgPool2d, _Passing),
    )
    ends = (nir.Input, nir.Output, *_neurons(nir))
    for name, node in nodes.items():
        if not isinstance(node, (*ends, *between)):
            raise ValueError(
                f"node {name!r} is a {type(node).__name__}, which a network here "
                "cannot do; write it as Linear, or leave it out of the graph."
            )
    for a, b in edges:
        for end in (a, b):
            if end not in nodes:
                raise ValueError(f"'graph' has an edge to {end!r}, which is no node.")
        if isinstance(nodes[b], nir.Input) or isinstance(nodes[a], nir.Output):
            raise ValueError(
                f"the edge from {a!r} to {b!r} leads into an Input, or out of an "
                "Output."
            )
        if isinstance(nodes[b], nir.Output) and not isinstance(
            nodes[a], (_Passing, *ends)
        ):
            raise ValueError(
                f"node {a!r} is a {type(nodes[a]).__name__}, and leads to the output "
                f"{b!r}, where neurons must; let an LI stand between."
            )


def _population_names(nir, nodes):
    """Return what the populations are called that inputs and neurons become."""
    names = {}
    for name, node in nodes.items():
        if not isinstance(node, (nir.Input, *_neurons(nir))):
            continue
        plain = re.sub(r"[^A-Za-z0-9_]", "_", name)
        plain = plain if re.match(r"[A-Za-z]", plain) else f"n{plain}"
        while plain in names.values():
            plain += "_"
        names[name] = plain
    return names


# --- its nodes ------------------------------------------------------------------------


def _neuron(nir, node, bias, dt, name):
    """Return a node's neuron, and what a spike does to it."""
    given = _numbers(node, name)
    given["bias"] = bias
    method, variable = "exact", "v"
    v_start = given.get("v_leak", 0.0 * bias)
    if isinstance(node, (nir.CubaLIF, nir.CubaLI)):
        equations, variable = CURRENT, "i_syn"
        given["jump"] = given["w_in"] * dt / given["tau_syn"]
        if np.isclose(given["tau_mem"], given["tau_syn"], rtol=CLOSE, atol=0).any():
            method = "rk4"
    elif isinstance(node, (nir.LIF, nir.LI)):
        equations, given["jump"] = LEAKY, given["r"] * dt / given["tau"]
    else:
        equations, given["jump"] = PERFECT, given["r"] * dt
        method = "euler"  # exact where a rate is constant
    units = dict.fromkeys(("tau", "tau_mem", "tau_syn"), second)
    if equations is PERFECT:
        units["r"] = Hz
    fires = "v_threshold" in given
    neuron = Neuron(
        equations,
        THRESHOLD if fires else None,
        RESET if fires else None,
        method=method,
        parameters={n: _shared(v) * units.get(n, 1) for n, v in given.items()},
        initial={"v": _shared(v_start)},
    )
    return neuron, f"{variable} += jump*w"


def _numbers(node, name):
    """Return the parameters of a node, each of shape (n_neurons,)."""
    given = {}
    for which, value in vars(node).items():
        if which in ("input_type", "output_type", "metadata"):
            continue
        given[which] = value = np.asarray(value, float).ravel()
        if value.size != np.size(node.r):
            raise ValueError(
                f"node {name!r} has {value.size} values of {which!r}, but "
                f"{np.size(node.r)} of 'r'."
            )
        if not np.isfinite(value).all():
            raise ValueError(f"node {name!r} has {which!r} that are not finite.")
        if which.startswith("tau") and (value <= 0).any():
            raise ValueError(f"node {name!r} has {which!r} that are not positive.")
    return given


def _shared(values):
    """Return the value that all neurons share, or an array of those of each."""
    return float(values[0]) if (values == values[0]).all() else values


def _connection(path, names, target, on_pre, others):
    """Return a path as a connection, and its weights."""
    pattern, weight = None, path.matrix
    if path.shared is not None:
        pattern, weight = path.shared
    elif weight is None:
        pattern, weight = one_to_one(path.n_pre), np.ones(path.n_pre)
    elif issparse(weight):
        pairs = weight.tocoo()
        pattern, weight = Pattern(pairs.col, pairs.row), pairs.data
    else:
        weight = np.ascontiguousarray(weight.T)
    if weight.dtype != np.float32:
        weight = weight.astype(float)
    if not (np.isfinite(weight).all() and np.isfinite(path.bias).all()):
        raise ValueError(
            f"the weights from {path.source!r} to {target!r} are no numbers."
        )
    source = names[path.source]
    name = f"{source}->{target}"
    while name in others:
        name += "_"
    delay = Quantity(_delay(path, pattern), dim=second.dim)
    connection = Connection(
        source, target, on_pre=on_pre, delay=delay, pattern=pattern, name=name
    )
    return connection, weight


def _delay(path, pattern):
    """Return the delay of all synapses, of each neuron of the source, or of each."""
    if not path.after.any():
        before = path.before[:, None]
        return path.before[0] if (before == before[0]).all() else before
    if pattern is not None:
        return path.before[pattern.i] + path.after[pattern.j]
    return path.before[:, None] + path.after
