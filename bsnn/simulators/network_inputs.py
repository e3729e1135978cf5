"""The spikes and currents of a batch, checked before they reach a program."""

from collections.abc import Mapping

import numpy as np

from bsnn.equations.units import as_int
from bsnn.errors import NumbersError
from bsnn.gate import spikes_for
from bsnn.network import Inputs


def checked_inputs(network, inputs, n_samples, real):
    """Return spikes and currents of a batch as the program reads them.

    Parameters
    ----------
    network : Network
    inputs : Spikes, dict or None
    n_samples : int or None
        As for `NetworkSimulator.run`.
    real : dtype
        Of the program.

    Returns
    -------
    spikes : dict of str to Spikes
    currents : dict of (str, str) to array, shape (n_samples, n_steps, n_neurons or 1)
    n_samples : int

    Raises
    ------
    TypeError, ValueError
        If they do not fit the network, leave one out, or are another number of samples.
    NumbersError
        If a current is not finite.
    """
    inputs = {} if inputs is None else inputs
    if not isinstance(inputs, Mapping):
        if len(network.inputs) != 1:
            names = ", ".join(i.name for i in network.inputs)
            raise ValueError(
                f"'inputs' must be a dict of the spikes of each of {names}."
                if names
                else "the network has no Inputs; 'inputs' must be a dict of the "
                "currents of each population."
            )
        inputs = {network.inputs[0].name: inputs}
    spikes, currents = {}, {}
    for name, given in inputs.items():
        part = network.named.get(name)
        if part is None:
            raise ValueError(
                f"'inputs' names {name!r}; the populations are "
                f"{', '.join(network.named)}."
            )
        if isinstance(part, Inputs):
            spikes[name] = spikes_for(network.entrance(part), given)
        else:
            currents |= _currents(network, part, given, real)
    missing = [p.name for p in network.inputs if p.name not in spikes]
    missing += [
        f"{p.name}.{c}"
        for p in network.groups
        for c in p.neuron.currents
        if (p.name, c) not in currents
    ]
    if missing:
        raise ValueError(f"'inputs' lack {', '.join(missing)}.")
    sizes = {s.n_samples for s in spikes.values()}
    sizes |= {len(c) for c in currents.values()}
    if n_samples is not None:
        sizes.add(as_int(n_samples, "n_samples", least=1))
    if not sizes:
        raise ValueError(
            "nothing says how many samples there are: the network has neither Inputs "
            "nor currents; pass n_samples=1."
        )
    if len(sizes) != 1:
        raise ValueError(
            "'inputs' have different numbers of samples, or others than 'n_samples': "
            f"{sorted(sizes)}."
        )
    return spikes, currents, sizes.pop()


def _currents(network, part, given, real):
    if not isinstance(given, Mapping):
        raise TypeError(
            f"'inputs' of {part.name!r} must be a dict of currents, got {given!r}."
        )
    found = {}
    for name, values in given.items():
        if name not in part.neuron.currents:
            raise ValueError(
                f"'inputs' of {part.name!r} name {name!r}, which is none of its "
                f"currents: {', '.join(part.neuron.currents) or 'it has none'}."
            )
        if hasattr(values, "detach"):
            values = values.detach()
        values = np.asarray(values, real)
        size = 1 if name in part.neuron.shared_currents else part.size
        shape = (network.n_steps, size)
        if values.ndim != 3 or values.shape[1:] != shape:
            raise ValueError(
                f"'inputs' of {part.name!r} must give {name!r} in shape "
                f"(n_samples, {shape[0]}, {shape[1]}), got {values.shape}."
            )
        if not np.isfinite(values).all():
            raise NumbersError(f"current {name!r} of {part.name!r} must be finite.")
        found[part.name, name] = values
    return found
