"""snnTorch: neurons with a synaptic current, without adaptation."""

import snntorch

from .in_torch import in_torch


def make(case):
    """Return functions that simulate the batch, and train on it once."""
    neuron = snntorch.Synaptic(
        alpha=case.syn_decay, beta=case.mem_decay, threshold=case.settled
    )

    def begin():
        syn, mem = neuron.reset_mem()

        def step(current):
            nonlocal syn, mem
            spikes, syn, mem = neuron(current, syn, mem)
            return spikes

        return step

    return in_torch(case, begin, case.gain)
