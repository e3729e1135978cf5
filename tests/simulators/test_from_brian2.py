"""Networks taken over from Brian2: the same spikes, step by step, there and back."""

import brian2 as b2
import numpy as np
import pytest
import torch
from brian2 import ms, mV, nS, pA, pF, second

from bsnn import Network
from bsnn.simulators.network import NetworkSimulator
from bsnn.training import DerivedNetwork

pytestmark = pytest.mark.cpp

SIZE, N_EXCITATORY = 4000, 3200
DT = 0.1 * ms


@pytest.fixture(autouse=True, scope="module")
def quick_brian2():
    before = b2.prefs.codegen.target, b2.defaultclock.dt
    b2.prefs.codegen.target, b2.defaultclock.dt = "numpy", DT
    yield
    b2.prefs.codegen.target, b2.defaultclock.dt = before


def brian2_spikes(monitor):
    """Step and neuron of each spike that was recorded; shape (2, n_spikes)."""
    steps = np.rint(np.asarray(monitor.t) / float(DT)).astype(int)
    neurons = np.asarray(monitor.i)
    return np.stack([steps, neurons])[:, np.lexsort((neurons, steps))]


def plain(spikes):
    assert spikes.n_samples == 1
    return np.stack([spikes.step, spikes.neuron])


# The benchmark networks of Brette et al. 2007, doi:10.1007/s10827-007-0038-6, fed back
# to themselves and driven by a steady current alone.


def current_based():
    """Synapses add to currents, by constants; delays and refractoriness as usual."""
    rng = np.random.default_rng(11)
    namespace = {
        **{"tau_m": 20 * ms, "tau_exc": 5 * ms, "tau_inh": 10 * ms},
        **{"steady": -49 * mV, "V_fire": -50 * mV, "V_reset": -60 * mV},
        **{"up": 1.62 * mV, "down": 9 * mV},
    }
    cells = b2.NeuronGroup(
        SIZE,
        """
        du/dt = (steady - u + exc - inh)/tau_m : volt (unless refractory)
        dexc/dt = -exc/tau_exc : volt
        dinh/dt = -inh/tau_inh : volt
        """,
        threshold="u > V_fire",
        reset="u = V_reset",
        refractory=5 * ms,
        name="current_based",
    )
    cells.u = (-60 + 10 * rng.random(SIZE)) * mV
    exciting = b2.Synapses(cells, cells, on_pre="exc += up", name="exciting")
    calming = b2.Synapses(cells, cells, on_pre="inh_post += down", name="calming")
    b2.seed(12)
    exciting.connect("i < 3200", p=0.02)
    calming.connect("i >= 3200", p=0.02)
    return b2.Network(cells, exciting, calming, b2.SpikeMonitor(cells)), namespace


def conductance_based():
    """Synapses open conductances, each pair with a weight of its own; subgroups."""
    rng = np.random.default_rng(13)
    namespace = {
        **{"C": 200 * pF, "g_leak": 10 * nS, "E_leak": -60 * mV, "I": 150 * pA},
        **{"E_exc": 0 * mV, "E_inh": -80 * mV, "V_fire": -50 * mV},
        **{"tau_exc": 5 * ms, "tau_inh": 10 * ms},
    }
    cells = b2.NeuronGroup(
        SIZE,
        """
        du/dt = (g_leak*(E_leak - u) + flow + I)/C : volt (unless refractory)
        flow = exc*(E_exc - u) + inh*(E_inh - u) : amp
        dexc/dt = -exc/tau_exc : siemens
        dinh/dt = -inh/tau_inh : siemens
        """,
        threshold="u > V_fire",
        reset="u = E_leak",
        refractory=5 * ms,
        method="exponential_euler",
        name="conductance_based",
    )
    cells.u = (-65 + 5 * rng.normal(size=SIZE)) * mV
    cells.exc = (40 + 15 * rng.normal(size=SIZE)) * nS
    cells.inh = (200 + 120 * rng.normal(size=SIZE)) * nS
    parts = {"exciting": cells[:N_EXCITATORY], "calming": cells[N_EXCITATORY:]}
    strong, weak = b2.Synapses, {"model": "J : siemens"}
    exciting = strong(
        parts["exciting"], cells, **weak, on_pre="exc_post += J", name="exciting"
    )
    calming = strong(parts["calming"], cells, **weak, on_pre="inh += J", name="calming")
    b2.seed(14)
    exciting.connect(p=0.02)
    calming.connect(p=0.02)
    exciting.J = 6 * nS * rng.uniform(0.5, 1.5, len(exciting))
    calming.J = 67 * nS * rng.uniform(0.5, 1.5, len(calming))
    return b2.Network(cells, exciting, calming, b2.SpikeMonitor(cells)), namespace


@pytest.mark.parametrize("make", [current_based, conductance_based])
def test_spikes_of_4000_neurons_are_brian2s_in_each_of_2000_steps(make):
    whole, namespace = make()
    duration = 200 * ms
    taken = Network.from_brian2(whole, duration=duration, namespace=namespace)
    whole.run(duration, namespace=namespace)
    (monitor,) = (o for o in whole.objects if isinstance(o, b2.SpikeMonitor))
    expected = brian2_spikes(monitor)
    assert taken.inputs(4) == {}
    weights = list(taken.weights.values())
    with NetworkSimulator(taken.network) as simulator:
        records = simulator.run(weights, n_samples=1)
        with pytest.raises(ValueError, match="pass n_samples=1"):
            simulator.run(weights, taken.inputs())
        with pytest.raises(ValueError, match="at least 1, got 0"):
            simulator.run(weights, n_samples=0)
    found = plain(records.spikes[make.__name__])
    # In the last 50 ms, recurrent drive alone makes them fire.
    assert (expected[0] > 1500).sum() > 500
    assert len(np.unique(expected[1, expected[0] > 1500])) > 250
    np.testing.assert_array_equal(found, expected)


# There and back.

N_STEPS = 600


def script():
    """Inputs, subgroups, delays, and every kind of weight and of parameter."""
    namespace = {"tau": 10 * ms, "tau_g": 5 * ms, "kick": 6.0, "V_t": 1.0}
    ear = b2.SpikeGeneratorGroup(
        6, np.arange(60) % 6, (0.7 * np.arange(60) + 0.05) * ms, name="ear"
    )
    cells = b2.NeuronGroup(
        20,
        """
        dv/dt = (-v + g + rise*a)/tau : 1 (unless refractory)
        dg/dt = -g/tau_g : 1
        da/dt = (1 - a)/(30*ms) : 1
        rise : 1
        leap : 1 (shared)
        """,
        threshold="v > V_t",
        reset="v -= 1; a -= leap",
        refractory=1 * ms,
        method="euler",
        name="cells",
    )
    cells.rise, cells.leap, cells.a = "1.05 + 0.02*i", 0.05, "0.5 + 0.5*i/N"
    hearing = b2.Synapses(ear, cells, "J : 1", on_pre="g += J", name="hearing")
    hearing.connect()
    hearing.J = "0.5 + 0.01*i + 0.03*j"
    hearing.delay = "0.3*ms*j"
    chain = b2.Synapses(cells[:12], cells[5:], "w : 1", on_pre="v -= w", name="chain")
    chain.connect("i != j", p=0.4)
    chain.delay = "1.5*ms + 0.2*ms*i"
    chain.w = "0.02 + 0.001*j"
    named = b2.Synapses(cells, cells, on_pre="g += kick/10", name="named")
    named.connect(j="(i + 1) % N_post")
    bare = b2.Synapses(cells, cells, on_pre="a += 0.01", delay=0.4 * ms, name="bare")
    bare.connect(j="(i + 7) % N_post")
    one = b2.Synapses(cells, cells, "w : 1 (shared)", on_pre="g += w", name="one")
    one.connect(j="(i + 3) % N_post")
    one.w = -0.2
    monitor = b2.SpikeMonitor(cells, name="fired")
    trace = b2.StateMonitor(cells, "v", record=[0, 3], name="trace")
    synapses = hearing, chain, named, bare, one
    return b2.Network(ear, cells, synapses, monitor, trace), namespace


def test_what_one_step_of_training_changes_is_put_back():
    b2.seed(15)
    whole, namespace = script()
    whole.store()
    duration = N_STEPS * DT
    taken = Network.from_brian2(whole, duration=duration, namespace=namespace)
    whole.run(duration, namespace=namespace)
    first = brian2_spikes(whole["fired"])
    whole.restore()
    with DerivedNetwork(
        taken.network,
        weights=taken.weights,
        learn={
            "cells": ["tau", "rise", "leap", "refractory_period"],
            **dict.fromkeys(("hearing", "chain", "bare"), ["w", "delay"]),
        },
        precision="double",
    ) as net:
        before = net(taken.inputs())["cells"]
        np.testing.assert_array_equal(plain(before.record), first)
        optimizer = torch.optim.Adam(net.parameters(), lr=0.03)
        before.time.sum().backward()
        assert all((p.grad != 0).any() for p in net.parameters())
        optimizer.step()
        after = net(taken.inputs())["cells"]
        taken.put_back(net)
        values = net.values()
    whole.run(duration, namespace=namespace)
    found = brian2_spikes(whole["fired"])
    assert first.shape[1] > 100
    assert not np.array_equal(found, first)
    np.testing.assert_array_equal(found, plain(after.record))
    # To rounding: Brian2 adds in another order than a compiler does.
    np.testing.assert_allclose(
        whole["trace"].v, after.trace["v"][0, :, [0, 3]].detach().T, rtol=0, atol=1e-12
    )
    assert namespace["kick"] == 6.0 and namespace["tau"] == 10 * ms
    assert whole["cells"].namespace["tau"] == values["cells", "tau"]
    delays = np.asarray(whole["chain"].delay)
    np.testing.assert_array_equal(delays, values["chain", "delay"] / second)
    assert len(np.unique(delays)) > 10
    assert whole["bare"].delay == values["bare", "delay"] != 0.4 * ms
    assert whole["cells"]._refractory == values["cells", "refractory_period"] != 1 * ms
    assert whole["named"].namespace["kick"] != 6.0
    assert whole["bare"].pre.code.startswith("a += (0.0")
