r"""Izhikevich's neuron: a quadratic membrane and a recovery variable.

    dv/dt = (0.04 v^2/mV + 5 v + 140 mV - u + i_syn)/ms
    du/dt = a (b v - u)                     spike when v passes 30 mV:  v = c;  u += d
    di_syn/dt = -i_syn/tau_syn
    on a presynaptic spike:  i_syn += w mV

With the parameters of a regular spiking cell; v and u start at rest.

References
----------
Izhikevich 2003, doi:10.1109/TNN.2003.820440.
"""

from brian2.units import ms, mV

from bsnn.equations.neuron import Neuron

EQUATIONS = """
dv/dt     = (0.04*v**2/mV + 5*v + 140*mV - u + i_syn)/ms : volt
du/dt     = a*(b*v - u)                                  : volt
di_syn/dt = -i_syn/tau_syn                               : volt
"""
THRESHOLD, RESET, METHOD = "v > v_peak", "v = c; u += d", "rk2"
SYNAPSE = "i_syn += w*mV"


def izhikevich(*, method=METHOD, **parameters) -> Neuron:
    """Return an Izhikevich neuron; any parameter by its name in the equations."""
    defaults = {
        "a": 0.02 / ms,
        "b": 0.2,
        "c": -65 * mV,
        "d": 8 * mV,
        "v_peak": 30 * mV,
        "tau_syn": 5 * ms,
    }
    values = {**defaults, **parameters}
    # Rest: 0.04 v^2 + (5 - b) v + 140 = 0 in mV, its lower root.
    slope = 5 - values["b"]
    v_rest = -(slope + (slope**2 - 4 * 0.04 * 140) ** 0.5) / (2 * 0.04) * mV
    return Neuron(
        EQUATIONS,
        THRESHOLD,
        RESET,
        method=method,
        parameters=values,
        initial={"v": v_rest, "u": values["b"] * v_rest},
    )
