r"""Adaptive exponential integrate-and-fire neuron (AdEx) with conductance synapses.

    C dv/dt = g_L (E_L - v) + g_L Delta_T exp((v - V_T)/Delta_T) - u + g_e (E_e - v)
    tau_u du/dt = a (v - E_L) - u        spike when v passes V_cut:  v = V_r;  u += b
    tau_e dg_e/dt = -g_e
    on a presynaptic spike:  g_e += w nS

u is the adaptation current, which the paper calls w. Where the step is coarse beside
the upstroke, as when parameters are fitted at 0.25 ms, a V_cut far above V_T makes
states and derivatives of any size: write a neuron with V_T + 4 Delta_T as threshold.

References
----------
Brette & Gerstner 2005, doi:10.1152/jn.00686.2005.
"""

from brian2.units import ms, mV, nA, nS, pF

from bsnn.equations.neuron import Neuron

EQUATIONS = """
dv/dt   = (g_L*(E_L - v) + upstroke - u + g_e*(E_e - v))/C : volt
du/dt   = (a*(v - E_L) - u)/tau_u                          : amp
dg_e/dt = -g_e/tau_e                                       : siemens
upstroke = g_L*Delta_T*exp((v - V_T)/Delta_T)              : amp
"""
THRESHOLD, RESET, METHOD = "v > V_cut", "v = V_r; u += b", "rk2"
SYNAPSE = "g_e += w*nS"


def adex(*, refractory=None, method=METHOD, **parameters) -> Neuron:
    """Return an AdEx neuron; any parameter by its name in the equations."""
    defaults = {
        "C": 281 * pF,
        "g_L": 30 * nS,
        "E_L": -70.6 * mV,
        "V_T": -50.4 * mV,
        "Delta_T": 2 * mV,
        "V_cut": -40.4 * mV,
        "V_r": -70.6 * mV,
        "tau_u": 144 * ms,
        "a": 4 * nS,
        "b": 0.0805 * nA,
        "E_e": 0 * mV,
        "tau_e": 5 * ms,
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
