r"""Quadratic integrate-and-fire neuron (QIF).

    dv/dt     = (v (v - 1) + i_syn)/tau_mem    spike when v passes v_peak;  v = v_reset
    di_syn/dt = -i_syn/tau_syn
    on a presynaptic spike:  i_syn += w

At rest at v = 0; beyond v = 1 it fires by itself.

References
----------
Ermentrout & Kopell 1986, doi:10.1137/0146017.
Klos & Memmesheimer 2025, arXiv:2309.14523 (spikes that vanish only at a trial's end).
"""

from brian2.units import ms

from bsnn.equations.neuron import Neuron

EQUATIONS = """
dv/dt     = (v*(v - 1) + i_syn)/tau_mem : 1
di_syn/dt = -i_syn/tau_syn              : 1
"""
THRESHOLD, RESET, METHOD = "v > v_peak", "v = v_reset", "rk4"
SYNAPSE = "i_syn += w"


def qif(*, refractory=None, method=METHOD, **parameters) -> Neuron:
    """Return a QIF neuron; any parameter by its name in the equations."""
    defaults = {"tau_mem": 8 * ms, "tau_syn": 5 * ms, "v_peak": 5.0, "v_reset": -0.5}
    return Neuron(
        EQUATIONS,
        THRESHOLD,
        RESET,
        refractory=refractory,
        method=method,
        parameters={**defaults, **parameters},
    )
