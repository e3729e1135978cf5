"""Derivatives of a loss, and how those of groups of samples are added.

The groups are the leaves of a binary tree, along which they are added, so that every
number of programs gives the same bits.
"""

import functools
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Derivatives:
    """Derivatives of a loss.

    Parameters
    ----------
    weights : list of array
        Of each connection.
    parameters : dict of (str, str) to array
        By population and name.
    delays : dict of str to array
        Of connections whose delays are learned, in 1/s.
    inputs : dict of str to array
        By the time of each input spike, in 1/s.
    currents : dict of (str, str) to array
    n_clamped : int
        Slopes below the floor.
    """

    weights: list
    parameters: dict
    delays: dict
    inputs: dict
    currents: dict
    n_clamped: int


@dataclass(frozen=True, kw_only=True)
class PartialDerivatives:
    """The answer of one program.

    `sums` has (level, index, (weights, parameters, delays)) of groups of samples: node
    `index` of a level of the binary tree of all groups of the batch, whose leaves have
    level 0.
    """

    sums: list
    inputs: dict
    currents: dict
    n_clamped: int
    differs: int | None  # a sample that did not repeat its spikes


def summed(parts):
    """Return the derivatives of a whole batch, added in the order of the tree."""
    nodes = []
    for node in (node for part in parts for node in part.sums):
        nodes.append(node)
        while len(nodes) > 1 and _are_siblings(*nodes[-2:]):
            level, index, *_ = nodes[-2]
            nodes[-2:] = [(level + 1, index // 2, _added(nodes[-2][2], nodes[-1][2]))]
    weights, parameters, delays = functools.reduce(_added, (n[2] for n in nodes))
    return Derivatives(
        weights=[_own(w) for w in weights],
        parameters={key: _own(p) for key, p in parameters.items()},
        delays={name: _own(d) for name, d in delays.items()},
        inputs={
            name: np.concatenate([p.inputs[name] for p in parts])
            for name in parts[0].inputs
        },
        currents={
            key: np.concatenate([p.currents[key] for p in parts])
            for key in parts[0].currents
        },
        n_clamped=sum(p.n_clamped for p in parts),
    )


def _own(array):
    """Return an array that is no view of what the next answer overwrites."""
    return array if array.base is None else array.copy()


def _are_siblings(one, other):
    return one[0] == other[0] and one[1] % 2 == 0 and other[1] == one[1] + 1


def _added(one, other):
    weights, *others = one
    return (
        [a + b for a, b in zip(weights, other[0], strict=True)],
        *(
            {key: a[key] + b[key] for key in a}
            for a, b in zip(others, other[1:], strict=True)
        ),
    )


def nodes_of(first, n):
    """Return the (level, index) of the largest nodes of the tree that n leaves fill."""
    nodes = []
    for leaf in range(first, first + n):
        nodes.append((0, leaf))
        while len(nodes) > 1 and _are_siblings(*nodes[-2:]):
            level, index = nodes.pop()
            nodes[-1] = level + 1, index // 2
    return nodes
