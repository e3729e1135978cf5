"""Norse: the neurons of its `LIFAdExCell`, with currents in place of conductances.

They take Euler steps and fire at V_T, where the upstroke begins, which is less work. A
current is that of a conductance there.
"""

import torch
from norse.torch.functional.lif_adex import (
    LIFAdExFeedForwardState,
    LIFAdExParameters,
    lif_adex_feed_forward_step,
)

from bsnn.training.bench.peers.in_torch import in_torch
from bsnn.training.bench.peers.norse import in_steps


def make(case):
    """Return functions that simulate the batch, and train on it once."""
    advance = torch.compile(lif_adex_feed_forward_step)
    tau_mem, tau_syn = case.tau
    adex = case.adex

    def layer(threshold):
        numbers = {  # in mV and seconds
            "adaptation_current": adex["a"] / adex["g_L"],
            "adaptation_spike": 1e3 * adex["b"] / adex["g_L"],
            "delta_T": adex["Delta_T"],
            "tau_ada_inv": 1 / adex["tau_u"],
            "tau_syn_inv": 1 / tau_syn,
            "tau_mem_inv": 1 / tau_mem,
            "v_leak": adex["E_L"],
            "v_th": threshold,
            "v_reset": adex["V_r"],
        }
        parameters = LIFAdExParameters(
            **{name: torch.as_tensor(value) for name, value in numbers.items()}
        )

        def rest(zero):
            return LIFAdExFeedForwardState(v=zero + adex["E_L"], i=zero, a=zero)

        return in_steps(advance, parameters, case.dt, rest)

    return in_torch(case, layer, (adex["E_e"] - adex["V_T"]) / adex["g_L"])
