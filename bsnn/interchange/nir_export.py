"""A network as nodes and edges of NIR; see `bsnn.interchange.nir`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

import numpy as np
from brian2.units import Quantity, get_dimensions

from bsnn.chain import chain_network
from bsnn.delays import OF_SYNAPSE
from bsnn.equations.dimensions import unit_name
from bsnn.equations.leaky import leaky, push_of
from bsnn.equations.units import one_of
from bsnn.extras import needed
from bsnn.model import Model
from bsnn.network import Network
from bsnn.outside import floats, plain_array

from .nir_conv import convolutions_of, shapes_of

FORMAT, NETWORK, REFRACTORY = "bsnn_format", "bsnn_network", "bsnn_refractory"
VERSION = 1
MAX_MATRIX = 1 << 30  # bytes of the weight matrix of a pattern


def nir_library():
    """Return the package nir; BackendUnavailable if it is not installed."""
    with needed("graphs of NIR need", "nir", "nir"):
        import nir
    return nir


def graph_of(network, weights, *, refractory="refuse"):
    """Return a network as a ``nir.NIRGraph``; see `bsnn.interchange.nir.to_nir`."""
    nir = nir_library()
    one_of(refractory, "refractory", ("refuse", "metadata"))
    if isinstance(network, Model):
        network, weights = _network_of_chain(network, weights)
    if not isinstance(network, Network):
        raise TypeError(f"'network' must be a Network or Model, got {network!r}.")
    if not network.inputs:
        raise ValueError("'network' has no Inputs, at which a graph of NIR begins.")
    weights = checked_weights(network, weights)
    names, nodes, edges = Names(network), {}, []
    forms = convolutions_of(network)
    shapes = shapes_of(network, forms)
    for part in network.inputs:
        nodes[part.name] = nir.Input({"input": np.array(shapes[part.name])})
    pushes = {}
    for part in network.groups:
        onto = _pushes_onto(network, part)
        pushes |= onto
        shape = shapes[part.name]
        nodes[part.name] = _neuron(nir, network, part, shape, onto, refractory)
    for connection in network.connections:
        name, form = names.linear(connection), forms.get(connection.name)
        weight, shape = weights[connection.name], shapes[connection.source]
        chain = _connection(nir, network, connection, weight, form, shape, name)
        scale = _scale(network, connection, pushes)
        if scale is not None:
            scale = scale.reshape(shapes[connection.target])
            chain[f"{name}_scale"] = nir.Scale(scale=scale)
        path = [connection.source, *chain, connection.target]
        edges += zip(path, path[1:], strict=False)
        nodes |= chain
    for part in _last(network):
        shape = np.array(shapes[part.name])
        nodes[names.output(part)] = nir.Output({"output": shape})
        edges.append((part.name, names.output(part)))
    metadata = {
        "dt": network.dt_seconds,
        "duration": network.duration_seconds,
        "time_unit": "s",
        FORMAT: VERSION,
        REFRACTORY: refractory,
        NETWORK: json.dumps(network.to_dict()),
    }
    return nir.NIRGraph(nodes=nodes, edges=edges, metadata=metadata)


class Names:
    """What the nodes of a network are called, apart from its populations.

    Names of connections may hold what is a path in a file, or no name elsewhere.
    """

    def __init__(self, network):
        taken = set(network.named)
        self._output, self._connection = {}, {}

        def free(name):
            ends = ("", "_delay", "_flat", "_scale")
            while taken & {name + end for end in ends}:
                name += "_"
            taken.update(name + end for end in ends)
            return name

        for connection in network.connections:
            plain = re.sub(r"\W", "_", connection.name.replace("->", "_to_"))
            self._connection[connection.name] = free(plain)
        for part in network.groups:
            self._output[part.name] = free(f"{part.name}_output")

    def output(self, part):
        return self._output[part.name]

    def linear(self, connection):
        return self._connection[connection.name]


def checked_weights(network, weights):
    """Return the weights of all connections in SI units, in their own precision."""
    if not isinstance(weights, Mapping):
        raise TypeError(
            f"'weights' must be a dict by connection, got {type(weights).__name__}."
        )
    names = [connection.name for connection in network.connections]
    if set(names) != set(weights):
        raise ValueError(
            f"'weights' must name {', '.join(names)}, got {', '.join(weights)}."
        )
    shapes = zip(
        network.connections, network.synapses, network.weight_shapes, strict=True
    )
    return {
        connection.name: _plain(weights[connection.name], connection, synapse, shape)
        for connection, synapse, shape in shapes
    }


def _plain(given, connection, synapse, shape):
    name = f"weights of {connection.name!r}"
    if isinstance(given, Quantity):
        if get_dimensions(given) != synapse.unit.dim:
            raise TypeError(f"'{name}' must be in {synapse.unit!r}, got {given.dim}.")
        given = np.asarray(given)
    array = plain_array(given, name)
    if array.dtype not in (np.float32, np.float64):
        array = floats(array, name)
    if array.shape != shape:
        raise ValueError(f"'{name}' must have shape {shape}, got {array.shape}.")
    if not np.isfinite(array).all():
        raise ValueError(f"'{name}' must be finite.")
    return array


def _network_of_chain(model, weights):
    """Return a chain of layers as a network, with its weights by connection."""
    if model.rule != "grid" or model.detect != "end":
        raise ValueError(
            "'network' must have the rule 'grid' with detect='end', as libraries that "
            f"read NIR do, got {model.rule!r} with {model.detect!r}; take "
            "model.with_dt(1*ms, 'grid')."
        )
    network = chain_network(model)
    if isinstance(weights, Mapping):
        return network, weights
    weights = list(weights)
    if len(weights) != model.n_layers:
        raise ValueError(
            f"'weights' must have one array for each of {model.n_layers} layers, got "
            f"{len(weights)}."
        )
    named = (connection.name for connection in network.connections)
    return network, dict(zip(named, weights, strict=True))


def _last(network):
    """Return the populations that drive no other; all, if each drives one."""
    driving = {c.source for c in network.connections if c.source != c.target}
    return [p for p in network.groups if p.name not in driving] or network.groups


def _pushes_onto(network, part):
    """Return what a spike of weight 1 adds, by the name of each connection onto it."""
    form, found = _leaky(part), {}
    where = form.v if form.i is None else form.i
    for connection, synapse in zip(network.connections, network.synapses, strict=True):
        if connection.target != part.name:
            continue
        try:
            push = push_of(synapse)
            if list(push) != [where]:
                raise ValueError(
                    f"its on_pre adds to {', '.join(push)}, and NIR's spikes to "
                    f"{where!r} alone"
                )
            if not np.all(push[where]):
                raise ValueError("its on_pre adds nothing to some neurons")
        except ValueError as error:
            raise ValueError(
                f"connection {connection.name!r} is none of NIR's: {error}."
            ) from error
        found[connection.name] = push[where]
    return found


def _leaky(part):
    try:
        return leaky(part.neuron)
    except ValueError as error:
        raise ValueError(
            f"population {part.name!r} is none of NIR's neurons (CubaLIF, LIF, IF, "
            f"CubaLI, LI, I): its neuron {error}."
        ) from error


def _neuron(nir, network, part, shape, pushes, refractory):
    neuron, form, dt = part.neuron, _leaky(part), network.dt_seconds
    if _can_be_refractory(neuron) and refractory == "refuse":
        raise ValueError(
            f"population {part.name!r} has a refractory period, which NIR does not "
            "know; make it 0*ms, or say refractory='metadata' if other libraries may "
            "simulate the network without it."
        )
    _check_start(part, form)
    push = next(iter(pushes.values()), 1.0)

    def each(value):
        values = np.broadcast_to(np.asarray(value, float), (part.size,))
        return values.reshape(shape).copy()

    fires, given = form.v_threshold is not None, {}
    if fires:
        given["v_threshold"] = each(form.v_threshold)
        soft = form.v_reset is None
        given["v_reset"] = (
            each(form.v_threshold) - each(form.delta_v)
            if soft
            else (each(form.v_reset))
        )
    given["metadata"] = _described(neuron, form, each)
    if form.tau_mem is None:
        return (nir.IF if fires else nir.I)(r=each(push / dt), **given)
    given["v_leak"] = each(form.v_leak)
    if form.i is None:
        r, tau = each(push * form.tau_mem / dt), each(form.tau_mem)
        return (nir.LIF if fires else nir.LI)(tau=tau, r=r, **given)
    return (nir.CubaLIF if fires else nir.CubaLI)(
        tau_syn=each(form.tau_syn),
        tau_mem=each(form.tau_mem),
        r=each(form.tau_mem / dt),
        w_in=each(push * form.gain * form.tau_syn),
        **given,
    )


def _can_be_refractory(neuron):
    period = neuron.refractory
    if isinstance(period, Quantity):
        return bool(np.any(period))
    return period is not None


def _check_start(part, form):
    """Raise unless a sample begins at rest, or at 0, as it does elsewhere."""
    for name, value in part.neuron.initial_values.items():
        rest = form.v_leak if name == form.v else 0.0
        if np.any(value) and not np.allclose(value, rest, rtol=1e-12, atol=0):
            raise ValueError(
                f"population {part.name!r} begins with {name!r} neither at rest nor at "
                "0, and NIR does not know where a sample begins; leave 'initial' out."
            )


def _described(neuron, form, each):
    """Return what NIR has no word for, in plain words and numbers."""
    described = {
        "equations": neuron.equations,
        "method": neuron.method,
        "v_unit": unit_name(neuron.dimensions[form.v]),
    }
    if neuron.threshold is not None:
        described |= {"threshold": neuron.threshold, "reset": neuron.reset or ""}
    if form.delta_v is not None:
        described["delta_v"] = each(form.delta_v)
    if _can_be_refractory(neuron):
        described["refractory"] = str(neuron.refractory)
    return described


def _connection(nir, network, connection, weight, form, shape, name):
    """Return the nodes between source and target, in order, by name.

    Parameters
    ----------
    form : Convolution or None
    shape : tuple of int
        Of the source's node.
    name : str
        Of the node that holds the weights.
    """
    nodes = {}
    n_pre = network.named[connection.source].size
    n_post = network.named[connection.target].size
    synapse = network.synapses[network.connections.index(connection)]
    unit = unit_name(synapse.unit.dim)
    said = {"metadata": {"on_pre": connection.on_pre, "weight_unit": unit}}
    if form is None:
        matrix = _matrix(connection, weight, n_pre, n_post)
        node = nir.Linear(weight=matrix, **said)
    else:
        channels, kernel = (form.after[0], form.before[0]), (form.kernel, form.kernel)
        node = nir.Conv2d(
            input_shape=form.before[1:],
            weight=weight.reshape(channels + kernel),
            stride=form.stride,
            padding=form.padding,
            dilation=1,
            groups=1,
            bias=np.zeros(channels[0], weight.dtype),
            **said,
        )
    if np.any(connection.delay):
        delay = _delay(connection, n_pre).reshape(shape)
        nodes[f"{name}_delay"] = nir.Delay(delay=delay)
    if form is None and len(shape) > 1:
        flat = nir.Flatten({"input": np.array(shape)}, start_dim=0, end_dim=-1)
        nodes[f"{name}_flat"] = flat
    return nodes | {name: node}


def _scale(network, connection, pushes):
    """Return what a connection does of what the neuron's node says, or None."""
    own = np.asarray(pushes[connection.name])
    onto = [c.name for c in network.connections if c.target == connection.target]
    shared = pushes[onto[0]]
    if np.all(own == shared):
        return None
    n_post = network.named[connection.target].size
    return np.broadcast_to(own / shared, (n_post,)).copy()


def _delay(connection, n_pre):
    if connection.delay_of == OF_SYNAPSE:
        raise ValueError(
            f"connection {connection.name!r} has a delay for each synapse, and NIR has "
            "one for each neuron of the source; give it shape (n_pre, 1), or split the "
            "connection."
        )
    seconds = np.asarray(connection.delay, float).reshape(-1)
    return np.broadcast_to(seconds, (n_pre,)).copy()


def _matrix(connection, weight, n_pre, n_post):
    pattern = connection.pattern
    if pattern is None:
        return np.ascontiguousarray(weight.T)
    if n_pre * n_post * weight.itemsize > MAX_MATRIX:
        raise ValueError(
            f"the pattern of connection {connection.name!r} needs a weight matrix of "
            f"{n_post} x {n_pre} in NIR, more than {MAX_MATRIX >> 20} MiB."
        )
    matrix = np.zeros((n_post, n_pre), weight.dtype)
    matrix[pattern.j, pattern.i] = weight[pattern.weight]
    return matrix
