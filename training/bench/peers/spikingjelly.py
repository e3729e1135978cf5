"""SpikingJelly."""

import torch
from spikingjelly.activation_based import functional, neuron

from .in_torch import in_torch


def make(case):
    """Return functions that simulate the batch, and train on it once."""

    def layer(threshold):
        node = neuron.CUBALIFNode(
            c_decay=case.syn_decay,
            v_decay=case.mem_decay,
            v_threshold=threshold,
            v_reset=None,  # subtracts the threshold
        ).to(case.device)

        # Its multi-step mode takes the steps by index, as slow as in Norse.
        def run(currents):
            functional.reset_net(node)
            return torch.stack([node(current) for current in currents])

        return run

    return in_torch(case, layer, case.gain)
