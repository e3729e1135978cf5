r"""Adaptive leaky integrate-and-fire neuron (ALIF): its threshold rises as it fires.

    dv/dt     = (-v + i_syn)/tau_mem    spike when v passes 1 + a
    di_syn/dt = -i_syn/tau_syn          soft reset  v -= 1
    da/dt     = -a/tau_a                a += beta
    on a presynaptic spike:  i_syn += w

References
----------
Bellec et al. 2018, arXiv:1803.09574 (recurrent networks of adaptive neurons).
"""

from brian2.units import ms

from bsnn.equations.neuron import Neuron

EQUATIONS = """
dv/dt     = (-v + i_syn)/tau_mem : 1
di_syn/dt = -i_syn/tau_syn       : 1
da/dt     = -a/tau_a             : 1
"""
THRESHOLD, RESET, METHOD = "v > 1 + a", "v -= 1; a += beta", "exact"
SYNAPSE = "i_syn += w"


def alif(*, refractory=None, **parameters) -> Neuron:
    """Return an ALIF neuron; any parameter by its name in the equations."""
    defaults = {"tau_mem": 20 * ms, "tau_syn": 5 * ms, "tau_a": 200 * ms, "beta": 0.1}
    return Neuron(
        EQUATIONS,
        THRESHOLD,
        RESET,
        refractory=refractory,
        method=METHOD,
        parameters={**defaults, **parameters},
    )
