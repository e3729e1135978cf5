"""How a batch of a chain of layers is written for its program, and the answer read."""

from dataclasses import dataclass

import numpy as np

from bsnn.model import Model
from bsnn.spikes import Spikes

from .resident import aligned


@dataclass(frozen=True)
class ChainForm:
    """What the programs of `native/resident.cpp` read and write.

    Parameters
    ----------
    model : Model
    real : dtype
        float64 or float32, the precision of the build.
    """

    model: Model
    real: np.dtype

    def write(self, exchange, inputs, weights_at=0):
        """Write the input `Spikes` of a batch; its weights lie at a place in theirs."""
        n_steps, n_inputs = self.model.n_steps, inputs.n_spikes
        block = aligned(4 * n_inputs)
        exchange.reserve(2 * block)
        step = exchange.view(0, np.int32, (n_inputs,))
        step[:] = inputs.sample * n_steps + inputs.step
        exchange.view(block, np.int32, (n_inputs,))[:] = inputs.neuron
        dt = self.model.dt_seconds
        return inputs.n_samples, n_steps, n_inputs, dt, weights_at

    def read(self, exchange, at, inputs, weights_at=0):
        """Return each layer's `Spikes`."""

        def take(dtype, size):
            nonlocal at
            array = exchange.view(at, dtype, (size,))
            at += aligned(array.nbytes)
            return array

        records = []
        layers = zip(self.model.layer_sizes, self.model.neurons, strict=True)
        for size, neuron in layers:
            offset, index, step = take_spikes(
                take, inputs.n_samples, size, self.model.n_steps
            )
            records.append(
                Spikes.known(
                    neuron=index,
                    offset=offset,
                    n_neurons=size,
                    dt=self.model.dt_seconds,
                    step=step,
                    state={name: take(self.real, len(index)) for name in neuron.state},
                )
            )
        return records


def take_spikes(take, n_samples, n_neurons, n_steps):
    """Return offset, neuron and step of spikes that a program wrote.

    `take(dtype, size)` returns what it wrote next. Raises ValueError of nonsense.
    """
    offset = take(np.int64, n_samples + 1)
    if offset[0] != 0 or (offset[1:] < offset[:-1]).any():
        raise ValueError("a number of spikes is negative")
    n_spikes = int(offset[-1])
    index, step = take(np.int32, n_spikes), take(np.int32, n_spikes)
    _check_range("neuron index", index, n_neurons)
    _check_range("step", step, n_steps)
    return offset, index, step


def _check_range(what, values, stop):
    # Without their sign, negative numbers are large.
    if values.size and values.view(np.uint32).max() >= stop:
        raise ValueError(f"a {what} is out of range")
