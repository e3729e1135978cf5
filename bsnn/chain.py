"""A chain of layers, as `Model` describes it, as a `Network` of the same texts."""

import itertools

from .equations.models.cuba import SYNAPSE, cuba
from .model import Model
from .network import Connection, Inputs, Network, Population


def chain_network(model: Model) -> Network:
    """Return the `Network` that does as a `Model` under the rule "grid" does.

    Its populations are "inputs", "layer_1" and so on; each drives the next.
    """
    layers = zip(model.layer_sizes, model.neurons, strict=True)
    parts = [
        Inputs("inputs", model.n_inputs),
        *(
            Population(f"layer_{layer}", size, cuba(**neuron.namespace))
            for layer, (size, neuron) in enumerate(layers, start=1)
        ),
    ]
    return Network(
        parts,
        [
            Connection(one.name, other.name, on_pre=SYNAPSE)
            for one, other in itertools.pairwise(parts)
        ],
        dt=model.dt,
        duration=model.duration,
    )
