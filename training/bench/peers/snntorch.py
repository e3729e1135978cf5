"""snnTorch."""

import snntorch
import torch

from .in_torch import in_torch


def make(case):
    """Return functions that simulate the batch, and train on it once."""

    def layer(threshold):
        neuron = snntorch.Synaptic(
            alpha=case.syn_decay, beta=case.mem_decay, threshold=threshold
        ).to(case.device)

        def run(currents):
            syn, mem = (torch.zeros_like(currents[0]) for _ in range(2))
            spikes = []
            for current in currents:
                spike, syn, mem = neuron(current, syn, mem)
                spikes.append(spike)
            return torch.stack(spikes)

        return run

    return in_torch(case, layer, case.gain)
