"""The fast gradient of a network that is a chain of linear neurons."""

import numpy as np
import torch

from bsnn.delays import OF_CONNECTION
from bsnn.equations.linear import modes_of
from bsnn.machine import n_cores

from .gradient import Arrivals, Crossings
from .kernel import MAX_MODES, PreparedGradient, as_tensor


def chain_modes(network):
    """Return the `ExponentialModes` of each layer, or None if the network is no chain.

    In a chain the only inputs drive the first population and each population the next,
    each neuron all others there.
    """
    names = list(network.named)
    steps = [(c.source, c.target) for c in network.connections]
    first_is_input = [p.name for p in network.inputs] == names[:1]
    for c in network.connections:
        if c.pattern is not None or c.delay_of != OF_CONNECTION:
            return None
    if not first_is_input or steps != list(zip(names, names[1:], strict=False)):
        return None
    modes = [
        modes_of(part.neuron, synapse)
        for part, synapse in zip(network.groups, network.synapses, strict=True)
    ]
    if any(m is None or not 1 <= len(m.tau) <= MAX_MODES for m in modes):
        return None
    return modes


def prepared_gradients(network, inputs, records, weights, modes, slopes):
    """Return each layer's gradient as a function of dL/dT of its spikes.

    Parameters
    ----------
    network : Network
        A chain.
    inputs : Spikes
    records : Records
        With crossings.
    weights : list of Tensor
    modes : list of ExponentialModes
    slopes : dict of str to (float, float)
        Of each population, between which those of crossings are held.
    """
    spikes = [inputs, *records.spikes.values()]
    return [
        PreparedGradient(
            _arrivals(spikes[layer], delay * network.dt_seconds),
            _crossings(
                spikes[layer + 1], records.crossings[part.name], slopes[part.name][1]
            ),
            weights[layer].detach(),
            modes[layer],
            slope_min=slopes[part.name][0],
            need_pre=layer > 0,
            n_threads=n_cores(),
        )
        for layer, (part, delay) in enumerate(
            zip(network.groups, network.delays, strict=True)
        )
    ]


def _arrivals(spikes, delay):
    return Arrivals(
        offset=as_tensor(spikes.offset),
        neuron=as_tensor(spikes.neuron),
        time=as_tensor(spikes.arrival + delay if delay else spikes.arrival),
    )


def _crossings(spikes, rows, steepest):
    sent = as_tensor(spikes.arrival)
    start = as_tensor(spikes.step).double() * spikes.dt
    return Crossings(
        offset=as_tensor(spikes.offset),
        neuron=as_tensor(spikes.neuron),
        time=start + torch.from_numpy(np.ascontiguousarray(rows[:, 0], float)),
        slope=torch.from_numpy(np.minimum(rows[:, 1], steepest, dtype=float)),
        sent=sent,
        reset=sent,
    )
