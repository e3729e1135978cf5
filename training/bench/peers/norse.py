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

        def rest(zero):
            return LIFFeedForwardState(zero, zero)

        return in_steps(step, parameters, case.dt, rest)

    return in_torch(case, layer, tau_mem)


def in_steps(step, parameters, dt, rest):
    """Return a function of the input currents of a layer, by step: its spikes.

    `rest(zero)` is the state that a sample begins with, made of zeros. Norse's own loop
    over time takes the steps by index, whose gradient is four times as slow as that of
    an iteration.
    """

    def run(currents):
        state, spikes = rest(torch.zeros_like(currents[0])), []
        for current in currents:
            spike, state = step(current, state, parameters, dt)
            spikes.append(spike)
        return torch.stack(spikes)

    return run
