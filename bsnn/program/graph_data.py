"""What a program of a network reads beside weights and inputs: numbers and pairs."""

import numpy as np

from bsnn.delays import OF_CONNECTION, OF_SYNAPSE
from bsnn.errors import NumbersError


def numbers_of(network, real, parameters, of_spikes, delays):
    """Return parameters, initial values, numbers of spikes' derivatives, and delays.

    Parameters
    ----------
    network : Network
    real : dtype
        Of the program.
    parameters : dict of (str, str) to float or array
        Values in place of those of the neurons, by population and name.
    of_spikes : dict of str to (float, float)
        By population the least and the largest slope of its crossings, or a
        surrogate's width and height.
    delays : sequence of ndarray
        In steps, of each connection.

    Raises
    ------
    NumbersError
        If a parameter is not finite.
    """
    numbers = []
    for part in network.groups:
        neuron = part.neuron
        for name, value in neuron.values.items():
            value = parameters.get((part.name, name), value)
            if not np.isfinite(value).all():
                raise NumbersError(
                    f"parameter {name!r} of {part.name!r} must be finite, got {value}; "
                    "a learning rate that is too high is the usual cause."
                )
            size = 1 if neuron.is_shared(name) else part.size
            numbers.append(np.full(size, value, real))
        for name in neuron.states:
            numbers.append(np.full(part.size, neuron.initial_values[name], real))
    given = [of_spikes.get(part.name, (0.0, 0.0)) for part in network.populations]
    return [
        *numbers,
        np.array(given, float).T.copy(),
        *(
            in_order(connection, steps)
            for connection, steps in zip(network.connections, delays, strict=True)
            if connection.delay_of != OF_CONNECTION
        ),
    ]


def in_order(connection, of_delays):
    """Return numbers that belong to delays in the order in which pairs are visited."""
    if connection.pattern is not None and connection.delay_of == OF_SYNAPSE:
        return of_delays[connection.pattern.order]
    return of_delays


def as_given(connection, of_delays):
    """Undo `in_order`."""
    if connection.pattern is not None and connection.delay_of == OF_SYNAPSE:
        found = np.empty_like(of_delays)
        found[connection.pattern.order] = of_delays
        return found
    return of_delays


def pairs_of(network):
    """Yield of each pattern where each neuron's pairs begin, targets and weights."""
    for connection in network.connections:
        if connection.pattern is not None:
            start, target, weight = connection.pattern.rows
            n_pre = network.named[connection.source].size
            yield np.pad(start, (0, n_pre + 1 - len(start)), mode="edge")
            yield from (target, weight)
