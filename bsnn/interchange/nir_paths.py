"""What spikes meet in a graph of NIR on their way from one population to the next."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import csr_array, diags_array

from bsnn.network import MAX_PARTS
from bsnn.patterns import Pattern, convolution, pooling

MAX_PAIRS = 50_000_000  # of a convolution


@dataclass(frozen=True)
class Path:
    """A way from a population to another, and what it does to spikes.

    Parameters
    ----------
    source : str
        The node where it begins.
    n_pre, n_post : int
    matrix : ndarray or csr_array, shape (n_post, n_pre), or None
        What it multiplies spikes by; None if that is 1.
    shared : (Pattern, ndarray), or None
        The pairs and weights of a single convolution, which `matrix` holds, too.
    before, after : ndarray, shape (n_pre,) and (n_post,)
        Delays in seconds.
    bias : ndarray, shape (n_post,)
        What it adds to the input at all times.
    """

    source: str
    n_pre: int
    n_post: int
    matrix: np.ndarray | csr_array | None
    shared: tuple[Pattern, np.ndarray] | None
    before: np.ndarray
    after: np.ndarray
    bias: np.ndarray

    @classmethod
    def of(cls, source: str, size: int) -> Path:
        """Return the path that begins at a node of so many neurons."""
        nothing = np.zeros(size)
        return cls(source, size, size, None, None, nothing, nothing, nothing)

    def times(self, matrix, bias=0.0, shared=None) -> Path:
        """Return the path that goes on with a multiplication."""
        fresh = self.matrix is None
        with np.errstate(over="ignore", invalid="ignore"):  # told of the whole path
            product = matrix if fresh else matrix @ self.matrix
            bias = matrix @ self.bias + bias
        return replace(
            self,
            n_post=matrix.shape[0],
            matrix=product,
            shared=shared if fresh else None,
            after=np.zeros(matrix.shape[0]),
            bias=bias,
        )


def paths_to(nir, nodes, edges, target, passing) -> list[Path]:
    """Return a `Path` for each way on which spikes reach a node.

    Parameters
    ----------
    nir : module
    nodes : dict of str to node
    edges : list of (str, str)
    target : str
    passing : type
        Of nodes that do nothing.

    Raises
    ------
    ValueError
        If there are more than a network may have connections, or a node on a way does
        what none of them can do.
    """
    found, before = [], {}
    for a, b in edges:
        before.setdefault(b, []).append(a)
    ways = [(a, ()) for a in before.get(target, ())]
    n_steps = 0
    while ways:
        name, chain = ways.pop()
        node, n_steps = nodes[name], n_steps + 1
        if n_steps > 100 * MAX_PARTS:
            raise ValueError(f"too many ways lead to node {target!r}.")
        if name in chain:
            raise ValueError(
                f"'graph' has a circle through {', '.join(chain)} without a neuron."
            )
        if isinstance(node, (nir.Input, nir.CubaLIF, nir.LIF, nir.IF)):
            path = Path.of(name, size_of(nir, node))
            for step in chain:
                path = through(nir, path, nodes[step], step, passing)
            found.append(path)
            continue
        if isinstance(node, (nir.LI, nir.CubaLI, nir.I)):
            raise ValueError(
                f"node {name!r} is a {type(node).__name__}, which never fires, but "
                f"drives {target!r}; here spikes alone do. A synapse that decays is "
                "part of a CubaLIF."
            )
        if not before.get(name):
            raise ValueError(f"nothing leads to node {name!r}; remove it.")
        ways += [(a, (name, *chain)) for a in before[name]]
    return found[::-1]


def size_of(nir, node) -> int:
    """Return how many neurons a node has."""
    if isinstance(node, nir.Input):
        return int(np.prod(node.input_type["input"]))
    return int(np.size(node.r))


def through(nir, path, node, name, passing) -> Path:
    """Return a path that goes on through a node."""
    if isinstance(node, (nir.Flatten, passing)):
        return path
    if isinstance(node, nir.Delay):
        return _delayed(path, node, name)
    if isinstance(node, nir.Scale):
        scale = diags_array(_each(node.scale, path, name)).tocsr()
        return replace(path.times(scale), after=path.after)
    if path.after.any():
        raise ValueError(
            f"node {name!r} mixes what comes through a Delay after another weight "
            "matrix; put the delay before the first, or behind the last."
        )
    if isinstance(node, nir.Conv2d):
        return _convolved(path, node, name)
    if isinstance(node, (nir.SumPool2d, nir.AvgPool2d)):
        return _pooled(path, node, name, mean=isinstance(node, nir.AvgPool2d))
    weight = np.asarray(node.weight)
    if weight.ndim != 2 or weight.shape[1] != path.n_post:
        raise ValueError(
            f"node {name!r} must have a weight of shape (n, {path.n_post}), got "
            f"{weight.shape}."
        )
    path = path.times(weight)
    if isinstance(node, nir.Affine):
        path = replace(path, bias=path.bias + _each(node.bias, path, name))
    return path


def _each(values, path, name):
    """Return the values of a node, one for each neuron that a path reaches."""
    values = np.asarray(values, float).ravel()
    if values.size != path.n_post:
        raise ValueError(
            f"node {name!r} must have {path.n_post} values, got {values.size}."
        )
    return values


def _delayed(path, node, name):
    delay = _each(node.delay, path, name)
    if not (np.isfinite(delay).all() and (delay >= 0).all()):
        raise ValueError(f"node {name!r} has a delay that is negative or not finite.")
    if path.matrix is None:
        return replace(path, before=path.before + delay)
    return replace(path, after=path.after + delay)


def _convolved(path, node, name):
    weight = np.asarray(node.weight)
    stride, padding, dilation = (
        _one_number(getattr(node, which), which, name)
        for which in ("stride", "padding", "dilation")
    )
    if dilation != 1 or node.groups != 1:
        raise ValueError(
            f"node {name!r} has dilation or groups, which a convolution here has not; "
            "write it as Linear."
        )
    if weight.ndim != 4 or weight.shape[2] != weight.shape[3]:
        raise ValueError(
            f"node {name!r} must have square kernels, its weight the shape (channels, "
            f"channels before, kernel, kernel), got {weight.shape}."
        )
    if node.input_shape is None:
        raise ValueError(f"node {name!r} does not say the shape of its input.")
    before = (weight.shape[1], *np.ravel(node.input_shape).astype(int).tolist())
    _check_shape(before, path, name)
    if weight.size * before[1] * before[2] > MAX_PAIRS:
        raise ValueError(f"node {name!r} joins more than {MAX_PAIRS} pairs.")
    pattern = convolution(
        before, len(weight), weight.shape[2], stride=stride, padding=padding
    )
    if pattern.n_weights != weight.size:
        raise ValueError(f"node {name!r} has weights that only padding would meet.")
    n_post, weights = int(pattern.j.max()) + 1, weight.ravel()
    bias = np.asarray(node.bias, float).ravel()
    if bias.size != len(weight):
        raise ValueError(
            f"node {name!r} must have a bias for each channel, got {bias.size}."
        )
    matrix = _sparse(pattern, weights, n_post, path.n_post)
    return path.times(matrix, np.repeat(bias, n_post // bias.size), (pattern, weights))


def _pooled(path, node, name, mean):
    shape = node.input_type["input"]
    if shape is None or np.size(shape) != 3:
        raise ValueError(f"node {name!r} does not say the shape of its input.")
    sizes = [_one_number(getattr(node, n), n, name) for n in ("kernel_size", "stride")]
    if sizes[0] != sizes[1] or np.any(node.padding):
        raise ValueError(
            f"node {name!r} must have its kernel for stride, and no padding; write it "
            "as Linear."
        )
    shape = tuple(int(n) for n in shape)
    _check_shape(shape, path, name)
    pattern = pooling(shape, sizes[0])
    weights = np.array([1 / sizes[0] ** 2 if mean else 1.0])
    n_post = int(pattern.j.max()) + 1
    return path.times(_sparse(pattern, weights, n_post, path.n_post))


def _check_shape(shape, path, name):
    if len(shape) != 3 or min(shape) < 1 or int(np.prod(shape)) != path.n_post:
        raise ValueError(
            f"node {name!r} takes {shape}, but {path.n_post} neurons lead to it."
        )


def _one_number(values, which, name):
    found = np.unique(np.asarray(values))
    if found.size != 1 or found.dtype.kind not in "iu":
        raise ValueError(
            f"node {name!r} has {which} {values!s:.40}, and needs the same number for "
            "rows and columns."
        )
    return int(found[0])


def _sparse(pattern, weights, n_post, n_pre):
    values = weights[pattern.weight], (pattern.j, pattern.i)
    return csr_array(values, shape=(n_post, n_pre))
