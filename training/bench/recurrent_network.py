"""The recurrent network that is measured, and the sizes of it that are varied."""

import math
from dataclasses import dataclass

import numpy as np
from brian2.units import ms

from bsnn.equations.models import alif
from bsnn.equations.neuron import Neuron
from bsnn.network import Connection, Inputs, Network, Population
from bsnn.patterns import random_pairs
from bsnn.spikes import Spikes

N_INPUTS, N_OUT = 80, 10
ALIF = {"tau_mem": 20 * ms, "tau_syn": 5 * ms, "tau_a": 200 * ms, "beta": 0.1}
INTEGRATOR = """
dv/dt     = (-v + i_syn)/tau_mem : 1
di_syn/dt = -i_syn/tau_syn       : 1
"""
INPUT_SPIKES = 3  # a sample and step
ON_PRE = "i_syn += w"


@dataclass(frozen=True, kw_only=True)
class Recurrent:
    """Inputs, recurrent ALIF neurons, and integrators that are read out.

    The weights are such that the neurons fire at about 10 Hz, to which Bellec et al.
    2020, doi:10.1038/s41467-020-17236-y, regularise theirs.

    Parameters
    ----------
    size : int
        Recurrent neurons.
    n_steps : int
        Of 1 ms.
    delay : int
        Of the recurrent synapses, in steps.
    longest : int
        In place of that, each recurrent synapse has a delay of its own, up to so many
        steps.
    probability : float
        Of a recurrent synapse; 1 joins all to all.
    """

    size: int = 256
    n_steps: int = 500
    delay: int = 0
    longest: int = 0
    probability: float = 1.0

    @property
    def network(self):
        """The `Network`; its integrators have the time constants of the neurons."""
        constants = {name: ALIF[name] for name in ("tau_mem", "tau_syn")}
        integrator = Neuron(INTEGRATOR, method="exact", parameters=constants)
        pattern = None
        if self.probability < 1:
            pattern = random_pairs(self.size, self.size, self.probability, seed=0)
        delay = self.delay
        if self.longest:
            shape = (self.size,) * 2 if pattern is None else len(pattern.i)
            rng = np.random.default_rng(0)
            delay = rng.integers(0, self.longest, shape, endpoint=True)
        return Network(
            [
                Inputs("in", N_INPUTS),
                Population("hidden", self.size, alif(**ALIF)),
                Population("out", N_OUT, integrator, record=["v"]),
            ],
            [
                Connection("in", "hidden", on_pre=ON_PRE),
                Connection(
                    "hidden",
                    "hidden",
                    on_pre=ON_PRE,
                    pattern=pattern,
                    delay=delay * ms,
                ),
                Connection("hidden", "out", on_pre=ON_PRE),
            ],
            dt=1 * ms,
            duration=self.n_steps * ms,
        )

    def weights(self, network, seed):
        """Return normally distributed weights of each connection, by its name."""
        rng = np.random.default_rng(seed)
        deviations = 0.6, 3 / math.sqrt(self.size * self.probability), 0.3
        return {
            connection.name: deviation * rng.standard_normal(shape)
            for connection, deviation, shape in zip(
                network.connections, deviations, network.weight_shapes, strict=True
            )
        }

    def batch(self, n_samples, seed):
        """Return input `Spikes`, of the same rate everywhere, and random labels."""
        rng = np.random.default_rng(seed)
        shape = n_samples, self.n_steps, N_INPUTS
        sample, step, neuron = np.nonzero(rng.random(shape) < INPUT_SPIKES / N_INPUTS)
        spikes = Spikes.from_events(
            sample=sample,
            neuron=neuron,
            step=step,
            n_samples=n_samples,
            n_neurons=N_INPUTS,
            dt=1 * ms,
        )
        return spikes, rng.integers(0, N_OUT, n_samples)

    def synaptic_events(self, spikes):
        """Return the arrivals at synapses of so many spikes of inputs and neurons."""
        entering, recurrent = spikes
        fan_out = self.size * self.probability + N_OUT
        return entering * self.size + recurrent * fan_out
