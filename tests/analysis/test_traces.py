"""Reconstructed membrane potentials against Brian2 and against threshold crossings."""

import numpy as np
import pytest
from brian2 import (
    Hz,
    Network,
    NeuronGroup,
    SpikeGeneratorGroup,
    SpikeMonitor,
    StateMonitor,
    Synapses,
    ms,
    prefs,
    second,
)

import bsnn
from bsnn.analysis import traces
from bsnn.analysis.metrics import as_spikes
from bsnn.spikes import Spikes
from tests.oracles import event as event_oracles

N_PRE, N_POST = 12, 4
PARAMETERS = {"tau_mem": 20e-3, "tau_syn": 10e-3, "v_threshold": 0.4, "delta_v": 0.3}


def model(dt_ms, rule=None):
    return bsnn.Model.dense(
        [N_PRE, N_POST],
        v_threshold=PARAMETERS["v_threshold"],
        delta_v=PARAMETERS["delta_v"],
        tau_mem=20 * ms,
        tau_syn=10 * ms,
        dt=dt_ms * ms,
        duration=60 * ms,
        rule=rule,
    )


@pytest.fixture
def weights():
    return np.random.default_rng(7).uniform(-20, 90, (N_PRE, N_POST))


def simulated(lif, weights, step, dt):
    """Input, spikes and StateMonitor of v, from Brian2 with stock synapses."""
    source = SpikeGeneratorGroup(
        N_PRE, np.arange(N_PRE), step * dt, dt=dt, name="traced_source"
    )
    group = NeuronGroup(
        N_POST,
        lif.equations,
        threshold=lif.threshold,
        reset=lif.reset,
        method=lif.method,
        namespace=lif.namespace,
        dt=dt,
        name="traced_group",
    )
    synapses = Synapses(
        source, group, "w : Hz", on_pre="i_syn_post += w", name="traced_synapses"
    )
    synapses.connect()
    synapses.w[:] = weights.ravel() * Hz
    recorded = [
        SpikeMonitor(source, name="traced_input"),
        SpikeMonitor(group, name="traced_output"),
        StateMonitor(group, "v", record=True, dt=dt, name="traced_v"),
    ]
    Network(source, group, synapses, *recorded).run(60 * ms, namespace={})
    return recorded


def test_trace_equals_brian2_with_resets(weights):
    target = prefs.codegen.target
    prefs.codegen.target = "numpy"
    try:
        net = model(0.5)
        step = np.random.default_rng(8).integers(0, 80, N_PRE)
        inputs, output, recorded = simulated(net.neurons[0], weights, step, 0.5 * ms)
    finally:
        prefs.codegen.target = target
    layers = [as_spikes(inputs), as_spikes(output)]
    assert layers[1].n_spikes > 5
    # A StateMonitor records at the start of a step, after the last one's reset.
    times = np.arange(recorded.v.shape[1]) * 0.5e-3
    resets = traces.reset_times(layers[1], net)
    for neuron in range(N_POST):
        v = traces.membrane_trace(
            net.neurons[0].modes,
            weights[:, neuron],
            layers[0],
            resets[layers[1].neuron == neuron] * second,
            layers[0].dt * np.arange(len(times)) * second,
        )
        np.testing.assert_allclose(v, recorded.v[neuron], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("dt_ms", [0, 0.5, 4])
def test_under_event_rules_v_is_at_threshold_when_it_resets(weights, dt_ms):
    rng = np.random.default_rng(9)
    dt = dt_ms * 1e-3
    net = model(dt_ms, "quantised-event" if dt_ms else None)
    sample = np.zeros(N_PRE, int)
    given = {"sample": sample, "neuron": np.arange(N_PRE), "n_samples": 1}
    inputs = Spikes.from_events(
        **given, n_neurons=N_PRE, dt=dt, time=rng.uniform(0, 0.04, N_PRE)
    )
    found = event_oracles.simulate_layer(
        list(zip(inputs.arrival, inputs.neuron, strict=True)),
        weights,
        duration=0.06,
        dt=dt,
        **PARAMETERS,
    )
    time, _, step, neuron = (np.array(values) for values in zip(*found, strict=True))
    output = Spikes.from_events(
        sample=0 * neuron,
        neuron=neuron,
        n_samples=1,
        n_neurons=N_POST,
        dt=dt,
        time=time,
        step=step if dt else None,
    )
    assert output.n_spikes > 5
    table = traces.trace_table(net, [weights], [inputs, output], 0, range(N_POST))
    v, drop = table.v.to_numpy(), -PARAMETERS["delta_v"]
    fell = np.flatnonzero(
        (np.diff(v) < drop / 2) & (np.diff(table.neuron.to_numpy()) == 0)
    )
    np.testing.assert_allclose(v[fell], PARAMETERS["v_threshold"], rtol=1e-9)
    np.testing.assert_allclose(v[fell + 1] - v[fell], drop, rtol=1e-9)
    np.testing.assert_allclose(
        np.sort(table.time_ms[fell + 1]), np.sort(1e3 * output.time), rtol=1e-12
    )


def test_raster_holds_every_spike_where_it_takes_effect():
    layers = [
        Spikes.from_events(
            sample=[0, 0], neuron=[2, 0], n_samples=1, n_neurons=3, dt=1e-3, step=[0, 4]
        ),
        Spikes.from_events(
            sample=[0], neuron=[1], n_samples=1, n_neurons=2, dt=1e-3, step=[6]
        ),
    ]
    table = traces.raster_table(layers)
    assert table.layer.tolist() == [0, 0, 1]
    assert table.n_neurons.tolist() == [3, 3, 2]
    assert table.neuron.tolist() == [2, 0, 1]
    np.testing.assert_allclose(table.time_ms, [1, 5, 7], rtol=1e-12)


def test_arguments_that_do_not_fit_are_refused(weights):
    modes = model(1).neurons[0].modes
    empty = {"sample": [], "neuron": [], "dt": 1e-3, "step": []}
    two = Spikes.from_events(**empty, n_samples=2, n_neurons=N_PRE)
    one = Spikes.from_events(**empty, n_samples=1, n_neurons=N_PRE)
    with pytest.raises(ValueError, match="must hold one sample, got 2"):
        traces.membrane_trace(modes, weights[:, 0], two, [], [0] * ms)
    with pytest.raises(ValueError, match=r"'weights' must have shape \(12,\)"):
        traces.membrane_trace(modes, weights, one, [], [0] * ms)
