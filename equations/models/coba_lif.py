r"""Conductance-based LIF neuron (COBA LIF) with excitation and inhibition.

    C dv/dt = g_L (E_L - v) + g_e (E_e - v) + g_i (E_i - v)    spike when v passes V_T
    tau_e dg_e/dt = -g_e                                       v = V_r, refractory
    tau_i dg_i/dt = -g_i
    on a presynaptic spike:  g_e += w nS,  or  g_i += w nS

References
----------
Brette et al. 2007, doi:10.1007/s10827-007-0038-6 (COBA networks).
"""

from brian2.units import ms, mV, nS, pF

from bsnn.equations.neuron import Neuron

EQUATIONS = """
dv/dt   = (g_L*(E_L - v) + g_e*(E_e - v) + g_i*(E_i - v))/C : volt (unless refractory)
dg_e/dt = -g_e/tau_e : siemens
dg_i/dt = -g_i/tau_i : siemens
"""
THRESHOLD, RESET, METHOD = "v > V_T", "v = V_r", "exponential_euler"
SYNAPSE = "g_e += w*nS"


def coba_lif(*, refractory=5 * ms, method=METHOD, **parameters) -> Neuron:
    """Return a COBA LIF neuron; any parameter by its name in the equations."""
    defaults = {
        "C": 200 * pF,
        "g_L": 10 * nS,
        "E_L": -60 * mV,
        "V_T": -50 * mV,
        "V_r": -60 * mV,
        "E_e": 0 * mV,
        "E_i": -80 * mV,
        "tau_e": 5 * ms,
        "tau_i": 10 * ms,
    }
    values = {**defaults, **parameters}
    return Neuron(
        EQUATIONS,
        THRESHOLD,
        RESET,
        refractory=refractory,
        method=method,
        parameters=values,
        initial={"v": values["E_L"]},
    )
