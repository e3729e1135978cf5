"""Nodes and edges of NIR, of any library, as a network; see `bsnn.interchange.nir`."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np
from brian2.units import Hz, Quantity, second

from bsnn.delays import OF_SYNAPSE, delay_kind
from bsnn.equations.neuron import Neuron
from bsnn.equations.units import positive_seconds
from bsnn.network import Connection, Inputs, Network, Population
from bsnn.patterns import Pattern, convolution, one_to_one

from .nir_export import nir_library

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
MAX_NODES = 10_000


def network_of(graph, dt: Quantity, duration: Quantity):
    """Return network and weights of a graph; see `bsnn.interchange.nir.from_nir`."""
    nir, seconds = nir_library(), positive_seconds(dt, "dt")
    nodes, edges = graph.nodes, [tuple(edge) for edge in graph.edges]
    if len(nodes) > MAX_NODES:
        raise ValueError(
            f"'graph' must not have more than {MAX_NODES} nodes, got {len(nodes)}."
        )
    for edge in edges:
        for end in edge:
            if end not in nodes:
                raise ValueError(f"'graph' has an edge to {end!r}, which is no node.")
    _check_ends(nir, nodes, edges)
    names = _population_names(nir, nodes)
    populations, connections, weights = [], [], {}
    for name, node in nodes.items():
        if name not in names:
            continue
        if isinstance(node, nir.Input):
            size = int(np.prod(node.input_type["input"]))
            populations.append(Inputs(names[name], size))
            continue
        paths = _paths_to(nir, nodes, edges, name)
        neuron, on_pre, size = _neuron(nir, node, paths, seconds, name)
        record = ["v"] if neuron.threshold is None else ()
        populations.append(Population(names[name], size, neuron, record=record))
        for path in paths:
            connection, weight = _connection(
                path, names, name, size, on_pre, connections
            )
            connections.append(connection)
            weights[connection.name] = weight
    network = Network(populations, connections, dt=dt, duration=duration)
    return network, weights


# --- neurons --------------------------------------------------------------------------


def _neuron(nir, node, paths, dt, name):
    """Return a node's neuron, what a spike does to it, and how many there are."""
    given = {n: np.asarray(v, float) for n, v in vars(node).items() if _is_number(v)}
    size = next(v.size for n, v in given.items() if n == "r")
    for which, value in given.items():
        if value.size != size:
            raise ValueError(
                f"node {name!r} has {value.size} values of {which!r}, but {size} of "
                "'r'."
            )
        if not np.isfinite(value).all():
            raise ValueError(f"node {name!r} has {which!r} that are not finite.")
        if which.startswith("tau") and (value <= 0).any():
            raise ValueError(f"node {name!r} has {which!r} that are not positive.")
    given = {n: v.ravel() for n, v in given.items()}
    given["bias"] = sum((path.bias for path in paths), np.zeros(size))
    v_leak = given.get("v_leak", np.zeros(size))
    method, variable = "exact", "v"
    if isinstance(node, (nir.CubaLIF, nir.CubaLI)):
        equations, variable = CURRENT, "i_syn"
        given["jump"] = given["w_in"] * dt / given["tau_syn"]
        if np.isclose(given["tau_mem"], given["tau_syn"], rtol=CLOSE, atol=0).any():
            method = "rk4"
    elif isinstance(node, (nir.LIF, nir.LI)):
        equations = LEAKY
        given["jump"] = given["r"] * dt / given["tau"]
    else:
        equations, method = PERFECT, "euler"  # which is exact of a constant rate
        given["jump"] = given["r"] * dt
        given["r"] = given["r"] * Hz
    for which in ("tau", "tau_mem", "tau_syn"):
        if which in given:
            given[which] = given[which] * second
    fires = "v_threshold" in given
    neuron = Neuron(
        equations,
        THRESHOLD if fires else None,
        RESET if fires else None,
        method=method,
        parameters={which: _shared(value) for which, value in given.items()},
        initial={"v": _shared(v_leak)},
    )
    return neuron, f"{variable} += jump*w", size


def _is_number(value):
    return isinstance(value, (np.ndarray, np.number, float, int))


def _shared(values):
    """Return the value that all neurons share, or an array of those of each."""
    return values[0] if (values == values[0]).all() else values


def _population_names(nir, nodes):
    """Return what the populations are called that neurons and inputs become."""
    kinds = (nir.Input, nir.CubaLIF, nir.CubaLI, nir.LIF, nir.LI, nir.IF, nir.I)
    names = {}
    for name, node in nodes.items():
        if not isinstance(node, kinds):
            continue
        plain = re.sub(r"[^A-Za-z0-9_]", "_", name)
        plain = plain if re.match(r"[A-Za-z]", plain) else f"n{plain}"
        while plain in names.values():
            plain += "_"
        names[name] = plain
    return names


# --- what lies between them -----------------------------------------------------------


@dataclass(frozen=True)
class _Path:
    """What spikes meet on their way from one population to another.

    Parameters
    ----------
    source : str
        Its node.
    n_pre : int
    matrix : ndarray, shape (n_post, n_pre), or None
        None where there is none yet, or a pattern.
    pattern, weight : Pattern and ndarray, or None
        Of a convolution.
    before, after : ndarray or float
        Seconds, of each neuron of the source, and of each that the spikes reach.
    bias : ndarray or float
        What is added to the input at all times.
    """

    source: str
    n_pre: int
    n_post: int
    matrix: np.ndarray | None = None
    pattern: Pattern | None = None
    weight: np.ndarray | None = None
    before: np.ndarray | float = 0.0
    after: np.ndarray | float = 0.0
    bias: np.ndarray | float = 0.0

    def dense(self):
        if self.matrix is not None:
            return self.matrix
        if self.pattern is None:
            return np.eye(self.n_pre)
        matrix = np.zeros((self.n_post, self.n_pre), self.weight.dtype)
        matrix[self.pattern.j, self.pattern.i] = self.weight[self.pattern.weight]
        return matrix


def _paths_to(nir, nodes, edges, target):
    """Return a `_Path` for each way on which spikes reach a node."""
    found = []
    sources = {}
    for a, b in edges:
        sources.setdefault(b, []).append(a)

    def walk(name, chain):
        node = nodes[name]
        if name in chain:
            raise ValueError(
                f"'graph' has a circle of {', '.join(chain)} without a neuron in it."
            )
        if _is_source(nir, node):
            path = _Path(name, _size_of(nir, node), _size_of(nir, node))
            for step in chain:
                path = _through(nir, path, nodes[step], step)
            found.append(path)
            return
        if isinstance(node, (nir.LI, nir.CubaLI, nir.I)):
            raise ValueError(
                f"node {name!r} is a {type(node).__name__}, which never fires, but "
                f"drives {target!r}; here only spikes do. A synapse of its own is a "
                "CubaLIF in NIR."
            )
        if not isinstance(
            node,
            (nir.Linear, nir.Affine, nir.Scale, nir.Delay, nir.Flatten, nir.Conv2d),
        ):
            raise ValueError(
                f"node {name!r} is a {type(node).__name__}, which a network here "
                "cannot do; write it as Linear, or replace it before the export."
            )
        if not sources.get(name):
            raise ValueError(f"nothing leads to node {name!r}; remove it.")
        for before in sources[name]:
            walk(before, (name, *chain))

    for before in sources.get(target, ()):
        walk(before, ())
    return found


def _is_source(nir, node):
    return isinstance(node, (nir.Input, nir.CubaLIF, nir.LIF, nir.IF))


def _size_of(nir, node):
    if isinstance(node, nir.Input):
        return int(np.prod(node.input_type["input"]))
    return int(np.size(node.r))


def _through(nir, path, node, name):
    """Return a path that goes on through a node."""
    if isinstance(node, nir.Flatten):
        return path
    if isinstance(node, nir.Delay):
        return _delayed(path, np.asarray(node.delay, float).ravel(), name)
    if isinstance(node, nir.Scale):
        scale = _fitting(node.scale, path, name)
        bias = path.bias * scale
        matrix = scale[:, None] * path.dense()
        return replace(path, matrix=matrix, pattern=None, bias=bias)
    if np.any(path.after):
        raise ValueError(
            f"node {name!r} mixes what came through a Delay after another weight "
            "matrix; put the delay before the first, or behind the last."
        )
    if isinstance(node, nir.Conv2d):
        return _convolved(path, node, name)
    weight = np.asarray(node.weight)
    if weight.ndim != 2 or weight.shape[1] != path.n_post:
        raise ValueError(
            f"node {name!r} must have a weight of shape (n, {path.n_post}), got "
            f"{weight.shape}."
        )
    untouched = path.matrix is None and path.pattern is None
    matrix = weight if untouched else weight @ path.dense()
    bias = weight @ np.broadcast_to(path.bias, (path.n_post,))
    if isinstance(node, nir.Affine):
        bias = bias + np.ravel(node.bias)
    return replace(path, n_post=len(weight), matrix=matrix, pattern=None, bias=bias)


def _fitting(values, path, name):
    values = np.asarray(values).ravel()
    if values.size not in (1, path.n_post):
        raise ValueError(
            f"node {name!r} must have {path.n_post} values, got {values.size}."
        )
    return np.broadcast_to(values, (path.n_post,))


def _delayed(path, delay, name):
    delay = _fitting(delay, path, name)
    if not (np.isfinite(delay).all() and (delay >= 0).all()):
        raise ValueError(f"node {name!r} has a delay that is negative or not finite.")
    if path.matrix is None and path.pattern is None:
        return replace(path, before=path.before + delay)
    return replace(path, after=path.after + delay)


def _convolved(path, node, name):
    weight, bias = np.asarray(node.weight), np.asarray(node.bias)
    square = {}
    for which in ("stride", "padding", "dilation"):
        values = np.unique(getattr(node, which))
        if values.size != 1 or values.dtype.kind not in "iu":
            raise ValueError(
                f"node {name!r} has {which} {getattr(node, which)}, and a convolution "
                "here has the same number for rows and columns."
            )
        square[which] = int(values[0])
    if square.pop("dilation") != 1 or node.groups != 1:
        raise ValueError(
            f"node {name!r} has dilation or groups, which a convolution here does not; "
            "write it as Linear."
        )
    if weight.ndim != 4 or weight.shape[2] != weight.shape[3]:
        raise ValueError(
            f"node {name!r} must have square kernels of shape (channels, channels "
            f"before, kernel, kernel), got {weight.shape}."
        )
    if node.input_shape is None:
        raise ValueError(f"node {name!r} does not say the shape of its input.")
    before = (weight.shape[1], *(int(n) for n in np.ravel(node.input_shape)))
    if int(np.prod(before)) != path.n_post:
        raise ValueError(
            f"node {name!r} takes {before}, but {path.n_post} neurons lead to it."
        )
    pattern = convolution(before, len(weight), weight.shape[2], **square)
    n_post = int(pattern.j.max()) + 1
    part = _Path("", path.n_post, n_post, pattern=pattern, weight=weight.ravel())
    given = np.repeat(
        np.broadcast_to(bias.ravel(), (len(weight),)), n_post // len(weight)
    )
    if path.matrix is None and path.pattern is None:
        kernel = {"pattern": pattern, "weight": weight.ravel()}
        return replace(path, n_post=n_post, bias=given, **kernel)
    matrix = part.dense()
    bias = matrix @ np.broadcast_to(path.bias, (path.n_post,)) + given
    matrix = matrix @ path.dense()
    return replace(path, n_post=n_post, matrix=matrix, pattern=None, bias=bias)


def _connection(path, names, target, size, on_pre, connections):
    """Return a path as a connection, and its weights."""
    if path.n_post != size:
        raise ValueError(
            f"{path.n_post} inputs lead from {path.source!r} to node {target!r}, which "
            f"has {size} neurons."
        )
    pattern, weight = path.pattern, path.weight
    if pattern is None and path.matrix is None:
        pattern, weight = one_to_one(size), np.ones(size)
    if pattern is None:
        weight = np.ascontiguousarray(path.matrix.T)
    weight = weight if weight.dtype == np.float32 else weight.astype(float)
    before = np.broadcast_to(path.before, (path.n_pre,))
    delay = before[:, None]
    if np.any(path.after):
        delay = delay + np.broadcast_to(path.after, (size,))
    delay = _narrow(delay)
    if pattern is not None and delay_kind(delay) == OF_SYNAPSE:
        delay = delay[pattern.i, pattern.j]
    name = f"{names[path.source]}->{names[target]}"
    while any(other.name == name for other in connections):
        name += "_"
    connection = Connection(
        names[path.source],
        names[target],
        on_pre=on_pre,
        delay=Quantity(delay, dim=second.dim),
        pattern=pattern,
        name=name,
    )
    return connection, weight


def _narrow(delay):
    """Return the delay that all share, or those of each neuron, where that says it."""
    if (delay == delay.flat[0]).all():
        return delay.flat[0]
    if (delay == delay[:, :1]).all():
        return delay[:, :1]
    return delay


def _check_ends(nir, nodes, edges):
    """Raise if an output is anything but what neurons do."""
    for a, b in edges:
        if isinstance(nodes[b], nir.Input) or isinstance(nodes[a], nir.Output):
            raise ValueError(
                f"'graph' has an edge from {a!r} to {b!r}, into an Input or out of an "
                "Output."
            )
        if isinstance(nodes[b], nir.Output) and not isinstance(
            nodes[a],
            (nir.Input, nir.CubaLIF, nir.CubaLI, nir.LIF, nir.LI, nir.IF, nir.I),
        ):
            raise ValueError(
                f"node {a!r} is a {type(nodes[a]).__name__}, and leads to the output "
                f"{b!r}; here neurons do. Let an LI stand between."
            )
