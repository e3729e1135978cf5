r"""Hodgkin-Huxley neuron with conductance synapses, after Traub & Miles.

    C dv/dt = g_L (E_L - v) + g_Na m^3 h (E_Na - v) + g_K n^4 (E_K - v) + g_e (E_e - v)
    dx/dt   = alpha_x(v) (1 - x) - beta_x(v) x     for the gates x = m, n, h
    tau_e dg_e/dt = -g_e
    on a presynaptic spike:  g_e += w nS

There is no reset: a spike is where v passes V_T + 43 mV, and the next one cannot come
before v has fallen below it. The rates alpha and beta in 1/ms are those of Traub &
Miles 1991, shifted by V_T, with alpha_m and beta_m, which are 0/0 at one voltage,
written with exprel(x) = (exp(x) - 1)/x.

References
----------
Hodgkin & Huxley 1952, doi:10.1113/jphysiol.1952.sp004764.
Brette et al. 2007, doi:10.1007/s10827-007-0038-6 (COBAHH).
"""

from brian2.units import ms, mV, nS, pF, uS

from bsnn.equations.neuron import Neuron

EQUATIONS = """
dv/dt = (I_leak + I_Na + I_K + g_e*(E_e - v))/C : volt
dm/dt = alpha_m*(1 - m) - beta_m*m : 1
dn/dt = alpha_n*(1 - n) - beta_n*n : 1
dh/dt = alpha_h*(1 - h) - beta_h*h : 1
dg_e/dt = -g_e/tau_e : siemens
I_leak  = g_L*(E_L - v)         : amp
I_Na    = g_Na*m**3*h*(E_Na - v) : amp
I_K     = g_K*n**4*(E_K - v)    : amp
x       = v - V_T               : volt
alpha_m = 1.28/exprel((13*mV - x)/(4*mV))/ms : Hz
beta_m  = 1.4/exprel((x - 40*mV)/(5*mV))/ms : Hz
alpha_n = 0.16/exprel((15*mV - x)/(5*mV))/ms : Hz
beta_n  = 0.5*exp((10*mV - x)/(40*mV))/ms : Hz
alpha_h = 0.128*exp((17*mV - x)/(18*mV))/ms : Hz
beta_h  = 4/(1 + exp((40*mV - x)/(5*mV)))/ms : Hz
"""
THRESHOLD, REFRACTORY, METHOD = "v > V_spike", "v > V_spike", "exponential_euler"
SYNAPSE = "g_e += w*nS"


def hodgkin_huxley(*, method=METHOD, **parameters) -> Neuron:
    """Return a Hodgkin-Huxley neuron; any parameter by its name in the equations.

    It starts at its leak potential, with m = 0.01, n = 0.1 and h = 0.99, near to where
    its gates rest.
    """
    defaults = {
        "C": 200 * pF,
        "g_L": 10 * nS,
        "E_L": -60 * mV,
        "g_Na": 20 * uS,
        "E_Na": 50 * mV,
        "g_K": 6 * uS,
        "E_K": -90 * mV,
        "V_T": -63 * mV,
        "V_spike": -20 * mV,
        "E_e": 0 * mV,
        "tau_e": 5 * ms,
    }
    values = {**defaults, **parameters}
    return Neuron(
        EQUATIONS,
        THRESHOLD,
        "",
        refractory=REFRACTORY,
        method=method,
        parameters=values,
        initial={"v": values["E_L"], "m": 0.01, "n": 0.1, "h": 0.99},
    )
