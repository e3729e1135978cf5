"""The table of neurons that go through one suite, and a network of all of them."""

from dataclasses import dataclass

import numpy as np
from brian2.units import amp, ms, mV, nA, pF

from bsnn import Connection, Inputs, Network, Neuron, Population, Spikes
from bsnn.equations.models import (
    adex,
    alif,
    coba_lif,
    cuba,
    hodgkin_huxley,
    izhikevich,
    lif,
    qif,
)

SIZE, N_INPUTS = 5, 12
DT, DURATION = 0.1 * ms, 40 * ms
NOISY = {"noisy"}  # of which stock Brian2 draws other numbers


@dataclass
class Case:
    """A neuron with a synapse, and weights that make it fire."""

    neuron: Neuron
    on_pre: str
    strength: float


def _condition():
    """A refractory condition on a variable that the reset raises."""
    return Neuron(
        """
        dv/dt = (I - v)/tau : 1
        dI/dt = -I/tau_s    : 1
        dr/dt = -r/tau_r    : 1
        """,
        "v > theta",
        "v = 0; r += 1",
        refractory="r > 0.5",
        method="exact",
        parameters={"tau": 10 * ms, "tau_s": 4 * ms, "tau_r": 5 * ms, "theta": 1.0},
    )


def _each():
    """Values one for each neuron, declared and not; names that mean something here."""
    return Neuron(
        """
        dpotential/dt = (-potential + reset)/beta : 1
        dreset/dt = -reset/gamma : 1
        bound : 1 (constant)
        gamma : second (constant)
        """,
        "potential > bound",
        "potential -= factor",
        method="exact",
        parameters={
            "beta": np.linspace(8, 16, SIZE) * ms,
            "gamma": 5 * ms,
            "bound": np.linspace(0.8, 1.3, SIZE),
            "factor": np.linspace(0.7, 1.2, SIZE),
        },
        initial={"potential": np.linspace(0, 0.5, SIZE)},
    )


def _volt():
    """Units in volt, a synapse onto the membrane itself, and a refractory period."""
    return Neuron(
        "dU/dt = (E - U)/tau : volt (unless refractory)",
        "U >= U_spike",
        "U = U_low",
        refractory=1.5 * ms,
        method="euler",
        parameters={
            "E": -60 * mV,
            "tau": 9 * ms,
            "U_spike": -50 * mV,
            "U_low": -62 * mV,
        },
        initial={"U": -60 * mV},
    )


def _current():
    """A subexpression, currents of each sample, and a variable of the reset alone."""
    return Neuron(
        """
        dv/dt = total/C - (v - E)/tau : volt
        dg/dt = -g/tau_g              : siemens
        total = I_stim(t, i) + I_all(t) + g*(E_e - v) - tired : amp
        tired : amp
        """,
        "v > V_T + shift",
        "v = E; tired += step",
        method="exponential_euler",
        parameters={
            "C": 100 * pF,
            "E": -65 * mV,
            "tau": 10 * ms,
            "tau_g": 3 * ms,
            "E_e": 0 * mV,
            "V_T": -52 * mV,
            "shift": 1 * mV,
            "step": 0.01 * nA,
        },
        initial={"v": -65 * mV},
        currents={"I_stim": amp, "I_all": amp},
    )


def _learned_period():
    """A refractory period by name, with a bent synapse target and a soft reset."""
    return Neuron(
        """
        dv/dt = (1.6*tanh(s) - v + v**2/4)/tau : 1 (unless refractory)
        ds/dt = -s/tau_s : 1
        """,
        "1 < v",
        "v -= 0.8*depth",
        refractory="pause",
        method="rk4",
        parameters={"tau": 6 * ms, "tau_s": 5 * ms, "depth": 1.1, "pause": 2 * ms},
    )


def _noisy():
    """Additive and multiplicative noise, by a method that takes the latter."""
    return Neuron(
        """
        dv/dt = (drive - v)/tau + 0.2*xi_1*tau**-0.5 + 0.3*v*xi_2*tau**-0.5 : 1
        ddrive/dt = -drive/tau_s : 1
        """,
        "v > 1",
        "v = 0",
        method="heun",
        parameters={"tau": 8 * ms, "tau_s": 5 * ms},
    )


CASES = {
    "cuba": Case(cuba(v_threshold=0.15), "i_syn += w*hertz", 12),
    "lif": Case(lif(), "i_syn += w", 1.6),
    "alif": Case(alif(), "i_syn += w", 1.6),
    "adex": Case(adex(), "g_e += w*nS", 14),
    "adex_rk4": Case(adex(method="rk4", V_cut=-44 * mV), "g_e += w*nS", 14),
    "adex_euler": Case(adex(method="euler"), "g_e += w*nS", 14),
    "qif": Case(qif(), "i_syn += w", 1.6),
    "qif_heun": Case(qif(method="heun"), "v += w", 0.3),
    "izhikevich": Case(izhikevich(), "i_syn += w*mV", 6),
    "coba_lif": Case(coba_lif(), "g_e += w*nS; g_i += 0.1*w*nS", 7),
    "coba_lif_rk2": Case(coba_lif(method="rk2"), "g_e += w*nS", 7),
    "hodgkin_huxley": Case(hodgkin_huxley(), "g_e += w*nS", 9),
    "condition": Case(_condition(), "I += w", 1.6),
    "each": Case(_each(), "reset += w", 1.2),
    "volt": Case(_volt(), "U += w*mV", 2.5),
    "current": Case(_current(), "g += w*nS", 3),
    "noisy": Case(_noisy(), "drive += w", 1.6),
    "learned_period": Case(_learned_period(), "s += w", 1.8),
}


def all_neurons(duration=DURATION, names=tuple(CASES)):
    """A network with a recurrent population of each neuron, all driven alike.

    Each recurrent synapse has a delay of its own.
    """
    rng = np.random.default_rng(0)
    populations, connections = [Inputs("inputs", N_INPUTS)], []
    for name in names:
        case = CASES[name]
        populations.append(
            Population(name, SIZE, case.neuron, record=case.neuron.states[:1])
        )
        connections += [
            Connection("inputs", name, on_pre=case.on_pre),
            Connection(
                name,
                name,
                on_pre=case.on_pre,
                delay=rng.integers(3, 12, (SIZE, SIZE)) * DT,
            ),
        ]
    return Network(populations, connections, dt=DT, duration=duration)


def learned():
    """Every parameter, current and recurrent delay of `all_neurons`."""
    return {
        name: [*case.neuron.values, *case.neuron.currents]
        for name, case in CASES.items()
    } | {f"{name}->{name}": ["delay"] for name in CASES}


def draw(network, rng, n_samples=2, n_spikes=8):
    """Random weights, input spikes and currents that make the neurons fire."""
    weights = []
    for connection, shape in zip(
        network.connections, network.weight_shapes, strict=True
    ):
        case = CASES[connection.target]
        low = 0.2 if connection.source == "inputs" else -0.4
        high = 1.0 if connection.source == "inputs" else 0.4
        weights.append(case.strength * rng.uniform(low, high, shape))
    size = (n_samples, N_INPUTS, n_spikes)
    events = np.stack(
        [
            np.broadcast_to(np.arange(n_samples)[:, None, None], size).ravel(),
            np.broadcast_to(np.arange(N_INPUTS)[None, :, None], size).ravel(),
            rng.integers(network.n_steps, size=size).ravel(),
        ]
    )
    sample, neuron, step = np.unique(events, axis=1)
    spikes = Spikes.from_events(
        sample=sample,
        neuron=neuron,
        step=step,
        n_samples=n_samples,
        n_neurons=N_INPUTS,
        dt=network.dt,
    )
    inputs = {"inputs": spikes}
    if "current" in network.named:
        shape = (n_samples, network.n_steps)
        inputs["current"] = {
            "I_stim": 1e-10 * rng.uniform(0, 1.5, (*shape, SIZE)),
            "I_all": 1e-10 * rng.uniform(0, 0.5, (*shape, 1)),
        }
    return weights, inputs
