"""Numbers of any kind are taken, whatever holds them; what is none is named."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch
from brian2 import Hz, Quantity, kHz, ms, mV, second

from bsnn import CubaLIF, Model, Spikes, make_simulator
from bsnn.analysis import (
    Measurement,
    first_spike_latency,
    mean_latency,
    membrane_trace,
    prediction_confidence,
    sample_latency,
)
from bsnn.equations.units import as_int, as_number, in_hertz, times_in_seconds
from bsnn.inputs.datasets import load_dataset
from bsnn.settings import Settings
from bsnn.training import SpikeCountLoss, SpikingNetwork


def model(**changes):
    times = {"tau_syn": 130 * ms, "tau_mem": 260 * ms, "dt": 1 * ms}
    values = {"v_threshold": 1.0, **times, "duration": 200 * ms, **changes}
    return Model.dense(values.pop("sizes", [4, 3, 2]), **values)


SPIKES = Spikes.from_events(
    sample=[0], neuron=[1], step=[3], n_samples=1, n_neurons=2, dt=1e-3
)
MODES = CubaLIF().modes


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (3, 3.0),
        (0.25, 0.25),
        (np.int64(3), 3.0),
        (np.float32(0.25), 0.25),
        (np.array(0.25), 0.25),
        (np.array(3), 3.0),
        (torch.tensor(0.25, requires_grad=True), 0.25),
        (torch.tensor(3), 3.0),
        (torch.tensor(0.25, dtype=torch.bfloat16), 0.25),
        (Fraction(1, 4), 0.25),
        (Decimal("0.25"), 0.25),
        (Quantity(0.25), 0.25),
        (25 * mV / (100 * mV), 0.25),
    ],
)
def test_the_same_number_is_taken_whatever_holds_it(value, number):
    for taken in (
        as_number(value, "x"),
        model(v_threshold=value).neurons[0].v_threshold,
        model(v_threshold=[1, value]).neurons[1].v_threshold,
        model(delta_v=value).neurons[1].delta_v,
        SpikeCountLoss(true=value).true,
        Settings.reference("digits", true=value).true,
        in_hertz(value, "low"),
    ):
        assert type(taken) is float
        assert taken == number


@pytest.mark.parametrize(
    "value", [3, np.int64(3), np.uint8(3), np.array(3), torch.tensor(3)]
)
def test_the_same_integer_is_taken_whatever_holds_it(value):
    for taken in (
        as_int(value, "x"),
        model(sizes=[value, 2]).n_inputs,
        model(sizes=(4, value)).layer_sizes[0],
        model(rule="quantised-event", max_spikes=[5, value]).max_spikes[1],
        model(rule="quantised-event", max_spikes=value).max_spikes[1],
        Settings.reference("digits", epochs=value).epochs,
        len(load_dataset("digits").head(value).train_labels),
    ):
        assert type(taken) is int
        assert taken == 3


@pytest.mark.parametrize(
    "values",
    [
        [0.25, 1],
        (0.25, 1),
        np.array([0.25, 1]),
        torch.tensor([0.25, 1]),
        Quantity([0.25, 1]),
        (x for x in (0.25, 1)),
    ],
)
def test_a_value_for_each_layer_comes_in_any_sequence(values):
    given = model(v_threshold=values)
    assert [neuron.v_threshold for neuron in given.neurons] == [0.25, 1.0]


@pytest.mark.parametrize(
    "sizes", [np.array([4, 3]), torch.tensor([4, 3]), range(4, 2, -1)]
)
def test_sizes_come_in_any_sequence(sizes):
    assert model(sizes=sizes).weight_shapes == ((4, 3),)


def test_settings_of_any_kind_are_ready_for_json():
    plain = Settings.reference("digits", seed=3, layers=(64, 9, 10), dt_ms=2.0)
    given = Settings.reference(
        "digits",
        seed=np.int64(3),
        layers=np.array([64, 9, 10]),
        dt_ms=np.float32(2),
        v_threshold=torch.tensor([0.1, 0.2], dtype=torch.float64),
    )
    assert given == plain
    assert repr(given.to_dict()) == repr(plain.to_dict())


@pytest.mark.parametrize("low", [-1, -1.0, -1 * Hz, -0.001 * kHz, [-1 * Hz, -1]])
@pytest.mark.cpp
def test_bounds_of_weights_may_be_rates(low):
    continuous = model(dt=0 * ms)
    with SpikingNetwork(continuous, seed=np.int64(4), low=low, high=1) as network:
        weights = [weight.detach().numpy() for weight in network.weights]
    with SpikingNetwork(continuous, seed=4, low=-1.0, high=1 / second) as network:
        for weight, expected in zip(weights, network.weights, strict=True):
            np.testing.assert_array_equal(weight, expected.detach())


@pytest.mark.cpp
def test_weights_may_be_rates_lists_and_tensors():
    continuous = model(sizes=[2, 3], dt=0 * ms)
    matrix = np.array([[30.0, 60.0, -5.0], [0.0, 20.0, 90.0]])
    inputs = Spikes.from_events(
        sample=[0, 0], neuron=[0, 1], time=[0, 0.02], n_samples=1, n_neurons=2, dt=0
    )
    with make_simulator(continuous, workers=1) as simulator:
        (expected,) = simulator.run([matrix], inputs)
        assert expected.n_spikes > 2
        for weight in (
            matrix.tolist(),
            matrix.astype(int),
            matrix * Hz,
            matrix / 1000 * kHz,
            torch.tensor(matrix, requires_grad=True),
        ):
            (found,) = simulator.run([weight], inputs)
            np.testing.assert_allclose(found.time, expected.time, rtol=1e-12)
        for weight, words in (
            (matrix * mV, "'weights' must be in Hz, got"),
            (matrix > 0, "'weights' must be numbers in Hz, got bool"),
            (matrix + 0j, "'weights' must be numbers in Hz, got complex"),
            (matrix.astype(str).tolist(), "'weights' must be numbers in Hz, got <U"),
        ):
            with pytest.raises(TypeError, match=words):
                simulator.run([weight], inputs)


def test_times_come_as_one_quantity_or_several():
    for times in ([1, 2] * ms, [1 * ms, 2 * ms], (1 * ms, 0.002 * second)):
        assert times_in_seconds(times, "times").tolist() == [1e-3, 2e-3]
    assert times_in_seconds([], "times").shape == (0,)


def network(**options):
    return SpikingNetwork(model(), **options)


def simulator(**options):
    return make_simulator(model(), **options)


def event_simulator(**options):
    return make_simulator(model(dt=0 * ms), **options)


def trace(**times):
    return membrane_trace(MODES, [1, 1], SPIKES, **{"resets": [], "times": [], **times})


def first_spikes(**options):
    return first_spike_latency(SPIKES, **options)


def latency(times=(1 * ms,), level=0.5):
    return mean_latency(times, [0.5], level)


def confidence(times=(1 * ms,), target=15):
    return prediction_confidence(SPIKES, [1], target, times)


def sample_latencies(target=15, level=0.5):
    return sample_latency(SPIKES, [1], target, level)


def measurement(**options):
    return Measurement(model(), **options)


def spikes(dt):
    return Spikes.from_events(
        sample=[], neuron=[], step=[], n_samples=1, n_neurons=1, dt=dt
    )


NO_NUMBER = "must be a number, got"
NO_LIST = "must be a list, tuple or one-dimensional array, got"
NO_INT = "must be an int, got"
NO_TIME = "must be a Brian2 quantity with the dimension of time, got"
NO_RATE = "must be in Hz, got"


@pytest.mark.parametrize(
    ("call", "name", "value", "error", "words"),
    [
        (model, "v_threshold", True, TypeError, NO_NUMBER),
        (model, "v_threshold", "1", TypeError, NO_NUMBER),
        (model, "v_threshold", np.bool_(True), TypeError, NO_NUMBER),
        (model, "v_threshold", torch.tensor(True), TypeError, NO_NUMBER),
        (model, "v_threshold", np.timedelta64(1, "s"), TypeError, NO_NUMBER),
        (model, "v_threshold", 1 + 0j, TypeError, NO_NUMBER),
        (model, "v_threshold", None, TypeError, NO_NUMBER),
        (model, "v_threshold", [1, [1]], TypeError, NO_NUMBER),
        (model, "v_threshold", 5 * mV, TypeError, "must be a dimensionless number"),
        (model, "v_threshold", [5, 5] * mV, TypeError, "must be a dimensionless"),
        (
            model,
            "v_threshold",
            np.ones((2, 1)),
            TypeError,
            NO_LIST,
        ),
        (model, "v_threshold", {0.2, 1.3}, TypeError, NO_LIST),
        (model, "v_threshold", {0: 1, 1: 2}, TypeError, NO_LIST),
        (model, "v_threshold", np.nan, ValueError, "must be finite, got nan"),
        (model, "v_threshold", 10**400, ValueError, "must be finite, got 1000"),
        (model, "delta_v", False, TypeError, NO_NUMBER),
        (model, "sizes", 784, TypeError, NO_LIST + " 784"),
        (
            model,
            "sizes",
            "abc",
            TypeError,
            NO_LIST,
        ),
        (model, "sizes", [4, 2.0], TypeError, NO_INT),
        (model, "sizes", [4, True], TypeError, NO_INT),
        (model, "sizes", ["4", "2"], TypeError, NO_INT),
        (model, "sizes", [4, np.timedelta64(3, "s")], TypeError, NO_INT),
        (model, "sizes", [2**63, 2], ValueError, r"must be below 2\*\*63, got 9223"),
        (model, "tau_mem", [20, 30] * ms, ValueError, "must be a scalar, got shape"),
        (model, "tau_syn", np.timedelta64(5, "ms"), TypeError, NO_TIME),
        (model, "dt", torch.tensor(1e-3), TypeError, NO_TIME),
        (network, "seed", 0.5, TypeError, NO_INT),
        (network, "seed", None, TypeError, NO_INT),
        (network, "seed", True, TypeError, NO_INT),
        (network, "seed", "1", TypeError, NO_INT),
        (network, "seed", -1, ValueError, "must be at least 0, got -1"),
        (network, "low", 3 * mV, TypeError, NO_RATE),
        (network, "low", [-1 * Hz, 1 * ms], TypeError, NO_RATE),
        (network, "low", 2, ValueError, "must not exceed 'high', got 2 and "),
        (network, "high", "1", TypeError, NO_NUMBER),
        (network, "slope_min", 5 * ms, TypeError, NO_RATE),
        (network, "slope_min", True, TypeError, NO_NUMBER),
        (network, "n_threads", 2.5, TypeError, NO_INT),
        (network, "n_threads", 0, ValueError, "must be at least 1, got 0"),
        (simulator, "workers", 1.5, TypeError, NO_INT),
        (simulator, "workers", True, TypeError, NO_INT),
        (simulator, "workers", 0, ValueError, "must be at least 1, got 0"),
        (simulator, "timeout", "60", TypeError, NO_NUMBER),
        (simulator, "timeout", 0, ValueError, "must be positive, got 0"),
        (simulator, "timeout", np.inf, ValueError, "must be finite, got inf"),
        (event_simulator, "workers", 1.5, TypeError, NO_INT),
        (first_spikes, "onset", 0.1, TypeError, NO_TIME),
        (first_spikes, "onset", np.inf * ms, ValueError, "must be finite, got inf"),
        (latency, "times", [0.1], TypeError, NO_TIME),
        (latency, "level", True, TypeError, NO_NUMBER),
        (confidence, "times", np.array([0.1]), TypeError, NO_TIME),
        (confidence, "target", "15", TypeError, NO_NUMBER),
        (sample_latencies, "level", [0.5], TypeError, NO_NUMBER),
        (sample_latencies, "target", None, TypeError, NO_NUMBER),
        (trace, "times", [100, 200], TypeError, NO_TIME),
        (trace, "resets", [0.1], TypeError, NO_TIME),
        (measurement, "target", "15", TypeError, NO_NUMBER),
        (load_dataset("digits").head, "n_train", 2.5, TypeError, NO_INT),
        (load_dataset("digits").head, "n_test", True, TypeError, NO_INT),
        (spikes, "dt", 1 * mV, TypeError, NO_TIME),
        (spikes, "dt", "1", TypeError, NO_NUMBER),
    ],
)
def test_what_is_no_such_number_is_named(call, name, value, error, words):
    with pytest.raises(error, match=f"^'{name}' {words}"):
        call(**{name: value})
