"""Norse: the neurons of its `LSNNRecurrentCell`, which adapt and reset to zero."""

import torch
from norse.torch.functional.lsnn import (
    LSNNFeedForwardState,
    LSNNParameters,
    lsnn_feed_forward_step,
)

from .in_torch import in_torch


def make(case):
    """Return functions that simulate the batch, and train on it once."""
    advance = torch.compile(lsnn_feed_forward_step)
    shape = case.inputs.shape[1], len(case.weights[1])
    # Its Euler steps decay as the exact ones of the model.
    parameters = LSNNParameters(
        tau_mem_inv=torch.as_tensor((1 - case.mem_decay) / case.dt),
        tau_syn_inv=torch.as_tensor((1 - case.syn_decay) / case.dt),
        tau_adapt_inv=torch.as_tensor((1 - case.adapt_decay) / case.dt),
        beta=torch.as_tensor(case.beta),
    )

    def begin():
        rest = torch.zeros(shape)
        state = LSNNFeedForwardState(v=rest, i=rest, b=rest + parameters.v_th)

        def step(current):
            nonlocal state
            spikes, state = advance(current, state, parameters, case.dt)
            return spikes

        return step

    return in_torch(case, begin, case.gain / (1 - case.mem_decay))
