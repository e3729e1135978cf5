"""The network that `to_nir` put into a graph's metadata, held against its nodes."""

from __future__ import annotations

import dataclasses
import json

import numpy as np

from bsnn.network import Network

from .nir_export import FORMAT, NETWORK, REFRACTORY, VERSION, Names, graph_of

# What damaged metadata make of a network.
DAMAGE = (AttributeError, LookupError, RecursionError, TypeError, ValueError)
REMEDY = (
    f"remove {NETWORK!r} from its metadata, to read its nodes by what NIR says of them"
)


def restored(graph):
    """Return network and weights by the metadata of a graph, or None without any.

    Raises
    ------
    ValueError
        If the metadata are damaged, or describe another network than the nodes. Other
        weights are no difference, nor is what single precision rounds.
    """
    text = graph.metadata.get(NETWORK)
    if text is None:
        return None
    if graph.metadata.get(FORMAT) != VERSION:
        raise ValueError(
            f"'graph' has metadata of bsnn of format {graph.metadata.get(FORMAT)!r}, "
            f"which this version does not know; {REMEDY}."
        )
    try:
        network = Network.from_dict(json.loads(text))
        _check_sizes(network, graph)
        weights = _weights(network, graph)
        refractory = str(graph.metadata.get(REFRACTORY))
        again = graph_of(network, weights, refractory=refractory)
        difference = _difference(again, graph)
    except DAMAGE as error:
        raise ValueError(
            f"the metadata of 'graph' describe no network that it holds ({error}); "
            f"{REMEDY}."
        ) from error
    if difference:
        raise ValueError(
            "the metadata of 'graph' describe another network than its nodes: "
            f"{difference}; {REMEDY}."
        )
    return network, weights


def with_times(network, dt, duration):
    """Return a network with another time step or duration, where they are given."""
    given = {"dt": dt, "duration": duration}
    changes = {name: value for name, value in given.items() if value is not None}
    return dataclasses.replace(network, **changes) if changes else network


def _check_sizes(network, graph):
    """Raise before anything of a size is made that is in the metadata alone."""
    for part in network.populations:
        (size,) = graph.nodes[part.name].output_type.values()
        if int(np.prod(size)) != part.size:
            raise ValueError(f"{part.name!r} has {np.prod(size)} neurons")


def _weights(network, graph):
    names, found = Names(network), {}
    for connection in network.connections:
        matrix = np.asarray(graph.nodes[names.linear(connection)].weight)
        pattern = connection.pattern
        if pattern is None:
            found[connection.name] = np.ascontiguousarray(matrix.T)
            continue
        if matrix.ndim == 4:  # of a convolution
            found[connection.name] = matrix.ravel()
            continue
        weight = np.zeros(pattern.n_weights, matrix.dtype)
        weight[pattern.weight] = matrix[pattern.j, pattern.i]
        found[connection.name] = weight
    return found


def _difference(expected, graph):
    """Return how a graph differs from the one that was expected, or None."""
    if set(map(tuple, graph.edges)) != set(expected.edges):
        return "its edges are others"
    if set(graph.nodes) != set(expected.nodes):
        return "its nodes have other names"
    for name, node in expected.nodes.items():
        other = graph.nodes[name]
        if type(other) is not type(node):
            return f"{name!r} is a {type(other).__name__}, not a {type(node).__name__}"
        for field, value in node.to_dict().items():
            if isinstance(value, np.ndarray):
                given = np.asarray(other.to_dict()[field])
                tolerance = 0.0 if field == "weight" else 1e-5
                if given.shape != value.shape or not np.allclose(
                    given, value, rtol=tolerance, atol=0
                ):
                    return f"{field!r} of {name!r} is another"
    return None
