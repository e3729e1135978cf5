"""What a program of a network reads beside weights and inputs: numbers and pairs."""

import types

import numpy as np

from bsnn.delays import OF_CONNECTION, OF_SYNAPSE
from bsnn.errors import NumbersError

_NOTHING = types.MappingProxyType({})


class Numbers:
    """What the programs of a network read behind its weights.

    Parameters, initial values, numbers of spikes' derivatives, and delays where they
    differ. Arrays of what a batch does not change are made once.

    Parameters
    ----------
    network : Network
    real : dtype
        Of the program.
    """

    def __init__(self, network, real):
        self._network, self._real = network, real
        self._parameters = {
            (part.name, name): self._filled(part, name, value)
            for part in network.groups
            for name, value in part.neuron.values.items()
        }
        self._initial = {
            part.name: [
                np.full(part.size, part.neuron.initial_values[name], real)
                for name in part.neuron.states
            ]
            for part in network.groups
        }
        self._delays = list(map(in_order, network.connections, network.delays))

    def _filled(self, part, name, value):
        if not np.isfinite(value).all():
            raise NumbersError(
                f"parameter {name!r} of {part.name!r} must be finite, got {value}; "
                "a learning rate that is too high is the usual cause."
            )
        size = 1 if part.neuron.is_shared(name) else part.size
        return np.full(size, value, self._real)

    def arrays(self, parameters=_NOTHING, of_spikes=_NOTHING, delays=None):
        """Return the arrays in the order in which programs read them.

        Parameters
        ----------
        parameters : dict of (str, str) to float or array
            Values in place of those of the neurons, by population and name.
        of_spikes : dict of str to (float, float)
            By population the least and the largest slope of its crossings, or a
            surrogate's width and height.
        delays : sequence of ndarray, optional
            In steps, of each connection, in place of the network's.

        Raises
        ------
        NumbersError
            If a parameter is not finite.
        """
        network, found = self._network, []
        for part in network.groups:
            for name in part.neuron.values:
                key = part.name, name
                found.append(
                    self._filled(part, name, parameters[key])
                    if key in parameters
                    else self._parameters[key]
                )
            found += self._initial[part.name]
        given = [of_spikes.get(part.name, (0.0, 0.0)) for part in network.populations]
        found.append(np.array(given, float).T.copy())
        own = network.delays
        for k, connection in enumerate(network.connections):
            if connection.delay_of != OF_CONNECTION:
                steps = own[k] if delays is None else delays[k]
                same = steps is own[k]
                found.append(self._delays[k] if same else in_order(connection, steps))
        return found


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
