"""Norse."""

import torch
from norse.torch import LIFParameters
from norse.torch.functional.lif import LIFFeedForwardState, lif_feed_forward_step

from .in_torch import in_torch


def make(case):
    """Return functions that simulate the batch, and train on it once."""
    tau_mem, tau_syn = case.tau
    step = torch.compile(lif_feed_forward_step)

    def layer(threshold):
        parameters = LIFParameters(
            tau_mem_inv=torch.as_tensor(1 / tau_mem, device=case.device),
            tau_syn_inv=torch.as_tensor(1 / tau_syn, device=case.device),
            v_th=torch.as_tensor(threshold, device=case.device),
        )

        # Norse's own loop over time takes the steps by index, whose gradient is four
        # times as slow as that of an iteration.
        def run(currents):
            state = LIFFeedForwardState(*(torch.zeros_like(currents[0]),) * 2)
            spikes = []
            for current in currents:
                spike, state = step(current, state, parameters, case.dt)
                spikes.append(spike)
            return torch.stack(spikes)

        return run

    return in_torch(case, layer, tau_mem)
