"""What is learned of a network beside weights, and in which units it is kept.

A parameter is kept relative to the size of its first value and a delay in
milliseconds, so that one learning rate suits all.
"""

import numpy as np
import torch
from brian2.units import Quantity, second
from brian2.units.fundamentalunits import get_dimensions, get_unit
from torch import nn

from bsnn.equations.synapse import WEIGHT

MILLISECOND = 1e-3  # of delays
DELAY = "delay"


def split_learn(network, learn):
    """Return what is learned of populations, and of connections, by name.

    Parameters
    ----------
    network : Network
    learn : dict
        Of `DerivedNetwork`.

    Raises
    ------
    ValueError
        If a key names neither a population nor one connection, or a connection is to
        learn something else than "w" and "delay".
    """
    joined = {c.name: [WEIGHT] for c in network.connections}
    parts = {}
    for key, given in learn.items():
        names = [given] if isinstance(given, str) else list(given)
        if isinstance(key, tuple):
            key = _between(network, key)
        if key not in joined:
            parts[key] = names
            continue
        if not set(names) <= {WEIGHT, DELAY}:
            raise ValueError(
                f"'learn' of connection {key!r} may name 'w' and 'delay', got {names}."
            )
        joined[key] = names
    return parts, joined


def _between(network, ends):
    found = [c.name for c in network.connections if (c.source, c.target) == ends]
    if len(found) != 1:
        raise ValueError(
            f"'learn' names {ends!r}, between which there are {len(found)} connections"
            + (f": {', '.join(found)}; name one of them." if found else ".")
        )
    return found[0]


def learned_parameters(network, learn):
    """Return parameters relative to their scales, and the scales.

    Returns
    -------
    learned : ModuleDict of ParameterDict
        By population and name.
    scale : dict of (str, str) to float
    """
    scale, learned = {}, nn.ModuleDict()
    for name, names in learn.items():
        part, found = network.named[name], nn.ParameterDict()
        for parameter in names:
            if parameter in part.neuron.currents:
                continue
            value = np.asarray(part.neuron.values[parameter])
            if not part.neuron.is_shared(parameter):
                value = np.broadcast_to(value, part.size)
            scale[name, parameter] = float(np.abs(value).max()) or 1.0
            found[parameter] = nn.Parameter(
                torch.tensor(value / scale[name, parameter])
            )
        learned[name] = found
    return learned, scale


def first_delay(connection):
    """Return a connection's delays in milliseconds, to be learned."""
    seconds = np.asarray(connection.delay / second)
    return nn.Parameter(torch.tensor(seconds / MILLISECOND))


def all_bounds(network, bounds, scale, delayed):
    """Return (low, high) of what is learned, in the units in which it is kept.

    Delays stay between zero and the last step of a sample, unless `bounds` say
    otherwise.

    Parameters
    ----------
    bounds : dict of str to dict of str to (Quantity, Quantity)
        By population or connection and name.
    scale : dict of (str, str) to float
        Of parameters.
    delayed : sequence of str
        Connections whose delays are learned.

    Raises
    ------
    TypeError, ValueError
        If a bound is in another unit, of what is not learned, or out of order.
    """
    last = (network.n_steps - 1) * network.dt_seconds / MILLISECOND
    found = {(name, DELAY): (0.0, last) for name in delayed}
    for name, named in bounds.items():
        for what, (low, high) in named.items():
            where = f"bounds of {what!r} of {name!r}"
            if (name, what) in scale:
                dimension = network.named[name].neuron.dimensions[what]
                unit = scale[name, what]
            elif (name, what) in found:
                dimension, unit = second.dim, MILLISECOND
            else:
                raise ValueError(
                    f"'bounds' name {what!r} of {name!r}, which is not learned"
                    + ("; weights have 'constraints'." if what == WEIGHT else ".")
                )
            low, high = (plain(x, dimension, where) / unit for x in (low, high))
            if not low <= high:
                raise ValueError(f"'{where}' must rise from low to high.")
            if what == DELAY and (name, what) in found and not 0 <= low <= high <= last:
                raise ValueError(
                    f"'{where}' must lie between 0 and the {last:g} ms after which a "
                    "sample's last step begins."
                )
            found[name, what] = low, high
    return found


def plain(value, dimension, name):
    """Return a quantity, or bare numbers in SI units, as finite floats."""
    if isinstance(value, Quantity) and get_dimensions(value) != dimension:
        raise TypeError(
            f"'{name}' must be in {get_unit(dimension)!r}, got {get_unit(value.dim)!r}."
        )
    found = np.asarray(value, float)
    if not np.isfinite(found).all():
        raise ValueError(f"'{name}' must be finite.")
    return found
