"""The generated program equals independent models, spike by spike."""

import os

import numpy as np
import pytest
from brian2 import Hz, ms, second

import bsnn
from bsnn.builds import cache_dir
from bsnn.simulators.grid import GridSimulator
from tests.models import BLOCK, SIZES, draw, grid_model, study_model
from tests.oracles import event as event_oracles
from tests.oracles import grid as oracles

pytestmark = pytest.mark.cpp

DT_MS = [0.5, 1, 7]


@pytest.fixture(scope="module")
def simulators():
    """One built program for each kind, whatever dt it is asked for."""
    opened = {}

    def get(model, **options):
        options = {"workers": 1, **options}
        simulator = GridSimulator(model, **options)
        opened[id(simulator)] = simulator
        return simulator

    yield get
    for simulator in opened.values():
        simulator.close()


def assert_same_spikes(found, expected):
    for layer, (one, other) in enumerate(zip(found, expected, strict=True), start=1):
        assert one.n_spikes > 0, f"layer {layer} is silent"
        np.testing.assert_array_equal(one.offset, other.offset)
        np.testing.assert_array_equal(one.step, other.step)
        np.testing.assert_array_equal(one.neuron, other.neuron)


def by_numpy_model(model, weights, inputs):
    """Each layer's spikes in one sample, and how near one came to the threshold."""
    neurons = [neuron.parameters for neuron in model.neurons]
    return oracles.grid_spikes(
        weights,
        [(p["tau_mem"], p["tau_syn"]) for p in neurons],
        [p["v_threshold"] for p in neurons],
        [p["delta_v"] for p in neurons],
        model.n_steps,
        model.dt_seconds,
        list(zip(inputs.step, inputs.neuron, strict=True)),
    )


def assert_equal_the_numpy_model(
    model, weights, inputs, records, samples, *, nearest=1e-9, rtol=1e-9
):
    """Compare samples of a batch; `nearest` to threshold rounding might decide."""
    for m in samples:
        expected, distance = by_numpy_model(model, weights, inputs.select(m, m + 1))
        assert distance > nearest  # the seeds see to it
        for record, spikes in zip(records, expected, strict=True):
            assert spikes
            got = record.select(m, m + 1)
            steps, indices, v, i_syn = map(np.array, zip(*spikes, strict=True))
            np.testing.assert_array_equal(got.step, steps)
            np.testing.assert_array_equal(got.neuron, indices)
            # The program is compiled with -ffast-math: equal to rounding only.
            np.testing.assert_allclose(got.state["v"], v, rtol=rtol)
            np.testing.assert_allclose(got.state["i_syn"], i_syn, rtol=rtol, atol=rtol)
    for record in records:
        n_blocks = -(-record.n_neurons // BLOCK)
        assert np.unique(record.neuron // BLOCK).tolist() == [*range(n_blocks)]


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("dt_ms", DT_MS)
@pytest.mark.parametrize("name", SIZES)
def test_spikes_equal_the_numpy_model(name, dt_ms, seed, simulators):
    model = grid_model(name, dt_ms)
    weights, inputs = draw(model, np.random.default_rng(seed))
    records = simulators(model).run(weights, inputs)
    assert_equal_the_numpy_model(model, weights, inputs, records, range(3))


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("dt_ms", DT_MS)
@pytest.mark.parametrize("name", SIZES)
def test_spikes_equal_stock_brian2_synapses(name, dt_ms, seed, simulators):
    model = grid_model(name, dt_ms)
    weights, inputs = draw(model, np.random.default_rng(seed), n_samples=1)
    records = simulators(model).run(weights, inputs)
    for record, (step, neuron) in zip(
        records, simulate_with_synapses(model, weights, inputs), strict=True
    ):
        assert record.n_spikes > 0
        np.testing.assert_array_equal(record.step, step)
        np.testing.assert_array_equal(record.neuron, neuron)


def test_one_layer_equals_the_numpy_model(simulators):
    model = study_model((20, 6), 0.12)
    weights, inputs = draw(model, np.random.default_rng(4))
    records = simulators(model).run(weights, inputs)
    assert_equal_the_numpy_model(model, weights, inputs, records, range(3))


def simulate_with_synapses(model, weights, inputs):
    """Stock Brian2 in this process: Synapses, runtime mode, one sample."""
    import brian2 as b2

    b2.prefs.codegen.target = "numpy"
    b2.defaultclock.dt = model.dt
    source = b2.SpikeGeneratorGroup(
        model.n_inputs, inputs.neuron, inputs.step * inputs.dt * second
    )
    network, monitors = b2.Network(source), []
    for weight, parameters in zip(weights, model.neurons, strict=True):
        group = b2.NeuronGroup(
            weight.shape[1],
            """dv/dt = -v/tau_mem + i_syn : 1
               di_syn/dt = -i_syn/tau_syn : Hz""",
            threshold="v >= v_threshold",
            reset="v -= delta_v",
            method="exact",
            namespace=parameters.namespace,
        )
        synapses = b2.Synapses(source, group, "w : Hz", on_pre="i_syn_post += w")
        synapses.connect()
        synapses.w = weight.ravel() * Hz
        monitors.append(b2.SpikeMonitor(group))
        network.add(group, synapses, monitors[-1])
        source = group
    network.run(model.n_steps * model.dt, namespace={})
    return [
        (np.round(np.asarray(m.t_) / inputs.dt).astype(int), np.asarray(m.i))
        for m in monitors
    ]


def test_synapses_inside_the_program_give_the_same_spikes(simulators):
    model = grid_model("blocks")
    weights, inputs = draw(model, np.random.default_rng(5))
    stock = simulators(model, projection="synapses")
    expected = simulators(model).run(weights, inputs)
    assert_same_spikes(stock.run(weights, inputs), expected)
    # Once more: nothing of a batch is left for the next.
    assert_same_spikes(stock.run(weights, inputs), expected)


@pytest.mark.parametrize("seed", [0, 1])
def test_crossings_inside_the_bin_are_detected(seed, simulators):
    # Fast synapses and long bins: many potentials rise and fall inside one bin.
    taus, thresholds = (0.010, 0.003), [1.0, 0.5]
    model = bsnn.Model.dense(
        [20, 30, 6],
        v_threshold=thresholds,
        tau_mem=taus[0] * second,
        tau_syn=taus[1] * second,
        dt=7 * ms,
        duration=200 * ms,
        detect="crossing",
    )
    rng = np.random.default_rng(seed)
    weights, inputs = draw(model, rng, n_samples=1)
    weights = [100 * w for w in weights]

    def rises_inside(layer, v, i_syn):
        return event_oracles.fires_in_bin(
            v,
            i_syn,
            model.dt_seconds,
            tau_mem=taus[0],
            tau_syn=taus[1],
            v_threshold=thresholds[layer],
        )

    sample = list(zip(inputs.step, inputs.neuron, strict=True))
    arguments = (weights, [taus] * 2, thresholds, thresholds)
    steps = (model.n_steps, model.dt_seconds, sample)
    expected, nearest = oracles.grid_spikes(*arguments, *steps, rises_inside)
    assert nearest > 1e-9
    without, _ = oracles.grid_spikes(*arguments, *steps)
    assert len(expected[0]) > len(without[0])
    for record, spikes in zip(
        simulators(model).run(weights, inputs), expected, strict=True
    ):
        assert [(s, n) for s, n, _, _ in spikes] == list(
            zip(record.step, record.neuron, strict=True)
        )


def test_samples_do_not_touch_each_other(simulators):
    model = grid_model()
    weights, inputs = draw(model, np.random.default_rng(1), n_samples=5)
    simulator = simulators(model)
    together = simulator.run(weights, inputs)
    alone = [simulator.run(weights, inputs.select(m, m + 1)) for m in range(5)]
    joined = [bsnn.Spikes.concatenate(parts) for parts in zip(*alone, strict=True)]
    assert_same_spikes(together, joined)


@pytest.mark.parametrize("workers", [2, 3])
def test_any_number_of_workers_gives_the_same_records(workers, simulators):
    model = grid_model()
    weights, inputs = draw(model, np.random.default_rng(2), n_samples=4)
    one = simulators(model).run(weights, inputs)
    many = simulators(model, workers=workers).run(weights, inputs)
    assert_same_spikes(many, one)
    for a, b in zip(many, one, strict=True):
        np.testing.assert_array_equal(a.state["v"], b.state["v"])


@pytest.mark.parametrize(("dt_ms", "seed"), [(2, 58), (7, 54), (11, 43)])
def test_single_precision_equals_the_numpy_model(dt_ms, seed, simulators):
    model = grid_model("blocks", dt_ms)
    weights, inputs = draw(model, np.random.default_rng(seed))
    # Numbers of both precisions.
    weights = [w.astype(np.float32).astype(np.float64) for w in weights]
    records = simulators(model, precision="single").run(weights, inputs)
    assert records[0].state["v"].dtype == np.float32
    # The difference of the two decays in a step of 2 ms is exact to 1e-5.
    assert_equal_the_numpy_model(
        model, weights, inputs, records, range(3), nearest=2e-5, rtol=5e-5
    )


def test_one_build_serves_every_time_step(simulators):
    before = set((cache_dir() / "programs").glob("*/"))
    for dt_ms in (0.25, 2, 3, 11):
        model = grid_model("two layers", dt_ms)
        weights, inputs = draw(model, np.random.default_rng(0))
        assert simulators(model).run(weights, inputs)[0].n_spikes > 0
    assert set((cache_dir() / "programs").glob("*/")) == before


def test_silent_input_and_empty_batches(simulators):
    model = grid_model()
    weights, inputs = draw(model, np.random.default_rng(0))
    nothing = bsnn.Spikes.from_events(
        sample=[],
        neuron=[],
        step=[],
        n_samples=3,
        n_neurons=model.n_inputs,
        dt=model.dt_seconds,
    )
    simulator = simulators(model, workers=2)
    for record in simulator.run(weights, nothing):
        assert record.n_spikes == 0
        assert record.n_samples == 3
    for record in simulator.run(weights, inputs.select(0, 0)):
        assert record.n_samples == 0
    assert simulator.run(weights, inputs)[1].n_spikes > 0


@pytest.mark.parametrize("n_samples", [1, 3, 12, 41])
def test_batches_of_any_size_equal_the_numpy_model(n_samples, simulators):
    """Fewer samples than workers; odd parts; offsets that fill a cache line but for
    one (6 a worker); and more than the first shared memory."""
    model = grid_model("blocks", 0.5)
    rng = np.random.default_rng(4)
    weights, _ = draw(model, rng)
    shape = (n_samples, model.n_steps, model.n_inputs)
    fires = rng.random(shape) < 0.8
    fires[0] = True  # every input in every step: as many as there is room for
    sample, step, neuron = np.nonzero(fires)
    inputs = bsnn.Spikes.from_events(
        sample=sample,
        neuron=neuron,
        step=step,
        n_samples=n_samples,
        n_neurons=model.n_inputs,
        dt=model.dt_seconds,
    )
    records = simulators(model, workers=2).run(weights, inputs)
    if n_samples == 41:  # of each worker, both what it gets and what it gives
        assert 8 * inputs.n_spikes > 2 << 20
        assert 24 * sum(r.n_spikes for r in records) > 2 * 8 * inputs.n_spikes
    samples = sorted({0, n_samples // 2, n_samples - 1})
    assert_equal_the_numpy_model(model, weights, inputs, records, samples)


def test_the_users_brian2_is_not_touched(simulators):
    import brian2 as b2

    b2.defaultclock.dt = 0.3 * ms
    weights, inputs = draw(grid_model(), np.random.default_rng(0))
    simulators(grid_model()).run(weights, inputs)
    assert b2.get_device().__class__.__name__ == "RuntimeDevice"
    assert b2.defaultclock.dt == 0.3 * ms


def test_wrong_arguments_are_refused(simulators):
    model = grid_model()
    weights, inputs = draw(model, np.random.default_rng(0))
    simulator = simulators(model)
    with pytest.raises(ValueError, match=r"'weights' of layer 1.*transpose it"):
        simulator.run([weights[0].T, weights[1]], inputs)
    with pytest.raises(ValueError, match=r"'weights' of layer 2 must be finite.*1 val"):
        broken = weights[1].copy()
        broken[0, 0] = np.nan
        simulator.run([weights[0], broken], inputs)
    with pytest.raises(ValueError, match="'weights' must have 2 matrices"):
        simulator.run(weights[:1], inputs)
    other = grid_model(dt_ms=7)
    with pytest.raises(ValueError, match="'inputs' must be encoded at the model's"):
        simulator.run(weights, draw(other, np.random.default_rng(0))[1])
    with pytest.raises(ValueError, match="'inputs' must have 20 neurons, got 12"):
        three = draw(grid_model("three layers"), np.random.default_rng(0))[1]
        simulator.run(weights, three)
    with pytest.raises(ValueError, match="'workers' must be at least 1"):
        GridSimulator(model, workers=0)
    with pytest.raises(ValueError, match="'precision' must be one of"):
        GridSimulator(model, precision="half")
    with pytest.raises(ValueError, match="'projection' must be one of"):
        GridSimulator(model, projection="sparse")


def test_closing_ends_the_processes():
    simulator = GridSimulator(grid_model(), workers=2)
    pids = simulator.pids
    simulator.close()
    simulator.close()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
