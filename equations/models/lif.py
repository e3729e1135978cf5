r"""Leaky integrate-and-fire neuron (LIF) with exponential currents and hard reset.

    dv/dt     = (-v + i_syn)/tau_mem    spike when v passes v_threshold;  v = v_reset
    di_syn/dt = -i_syn/tau_syn
    on a presynaptic spike:  i_syn += w

v and i_syn are dimensionless; i_syn is the potential that the current would hold.

References
----------
Lapicque 1907; Gerstner et al. 2014, Neuronal Dynamics, doi:10.1017/CBO9781107447615,
section 1.3.
"""

from brian2.units import ms

from bsnn.equations.neuron import Neuron

EQUATIONS = """
dv/dt     = (-v + i_syn)/tau_mem : 1 (unless refractory)
di_syn/dt = -i_syn/tau_syn       : 1
"""
THRESHOLD, RESET, METHOD = "v > v_threshold", "v = v_reset", "exact"
SYNAPSE = "i_syn += w"


def lif(*, refractory=2 * ms, **parameters) -> Neuron:
    """Return a LIF neuron; any parameter by its name in the equations."""
    defaults = {
        "tau_mem": 20 * ms,
        "tau_syn": 5 * ms,
        "v_threshold": 1.0,
        "v_reset": 0.0,
    }
    return Neuron(
        EQUATIONS,
        THRESHOLD,
        RESET,
        refractory=refractory,
        method=METHOD,
        parameters={**defaults, **parameters},
    )
