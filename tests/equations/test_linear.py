"""Which neurons are linear, and the modes of those that are."""

import numpy as np
import pytest
from brian2.units import ms

from bsnn import CubaLIF, Neuron
from bsnn.equations.linear import modes_of
from bsnn.equations.models import adex, alif, coba_lif, cuba, lif, qif
from bsnn.equations.synapse import Synapse

TIMES = {"tau_mem": 20 * ms, "tau_syn": 8 * ms}
DELAY = np.linspace(0, 0.1, 7)


def found(neuron, on_pre="i_syn += w"):
    return modes_of(neuron, Synapse(on_pre, neuron, "a->b"))


def test_modes_are_those_of_the_written_neuron():
    written = CubaLIF(v_threshold=0.7, delta_v=0.4, **TIMES).modes
    derived = found(cuba(v_threshold=0.7, delta_v=0.4, **TIMES))
    for name in ("response", "response_slope", "reset_response"):
        np.testing.assert_allclose(
            getattr(derived, name)(DELAY), getattr(written, name)(DELAY), rtol=1e-12
        )


def test_the_margin_of_an_adaptive_neuron_falls_with_its_adaptation():
    neuron = alif(tau_a=90 * ms, beta=0.3)
    modes = found(neuron, "i_syn += 2*w")
    tau_mem, tau_syn, tau_a = (
        neuron.values[n] for n in ("tau_mem", "tau_syn", "tau_a")
    )
    assert sorted(modes.tau) == pytest.approx(sorted([tau_mem, tau_syn, tau_a]))
    expected = -np.exp(-DELAY / tau_mem) - 0.3 * np.exp(-DELAY / tau_a)
    np.testing.assert_allclose(modes.reset_response(DELAY), expected, rtol=1e-12)
    leak = np.exp(-DELAY / tau_mem) - np.exp(-DELAY / tau_syn)
    np.testing.assert_allclose(
        modes.response(DELAY), 2 * tau_syn / (tau_mem - tau_syn) * leak, atol=1e-12
    )


def leaky(threshold="v > theta", reset="v -= 1", rate="tau", method="exact", **options):
    values = {"tau": 10 * ms, "theta": 1.0, **options}
    equations = f"""
    dv/dt = (E + I - v)/{rate} : 1
    dI/dt = -I/(3*ms) : 1
    E : 1 (shared, constant)
    """
    return Neuron(
        equations, threshold, reset, method=method, parameters={**values, "E": 0.2}
    )


@pytest.mark.parametrize("theta", [1.0, np.array([1.0, 1.1])])
def test_drive_and_thresholds_leave_a_neuron_linear(theta):
    modes = found(leaky(theta=theta), "I += w")
    assert sorted(modes.tau) == pytest.approx([0.003, 0.01])
    np.testing.assert_allclose(modes.reset_response(DELAY), -np.exp(-DELAY / 0.01))


@pytest.mark.parametrize(
    ("neuron", "on_pre"),
    [
        (adex(), "g_e += w*nS"),
        (qif(), "i_syn += w"),
        (coba_lif(), "g_e += w*nS"),
        (lif(), "i_syn += w"),  # a hard reset, and frozen while refractory
        (leaky(), "v += w"),  # an arrival alone may cross
        (leaky(reset="v = 0"), "I += w"),
        (leaky(reset="v -= 0.1*v"), "I += w"),
        (leaky(threshold="v**2 > theta"), "I += w"),
        (leaky(method="euler"), "I += w"),
        (leaky(tau=np.array([8, 9]) * ms), "I += w"),
        (leaky(), "I += w**2"),
        (leaky(), "I += w + 1"),
        (leaky(rate="(-tau)"), "I += w"),  # grows without bound
    ],
)
def test_others_have_none(neuron, on_pre):
    assert found(neuron, on_pre) is None
