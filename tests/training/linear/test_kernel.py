"""The native gradient against the torch one, on layers of the sizes it is made for."""

import dataclasses
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from brian2 import ms

from bsnn.equations import CubaLIF, ExponentialModes
from bsnn.equations.models.cuba_lif import solution
from bsnn.spikes import Spikes
from bsnn.training.linear import gradient, kernel
from bsnn.training.spike_times import crossings
from tests.oracles.gradient import Spike, random_inputs, random_layer
from tests.training.linear.test_gradient import (
    SLOPE_MIN,
    THREE_MODES,
    TWO_MODES,
    arrivals_of,
    crossings_of,
)

pytestmark = pytest.mark.cpp


def random_case(n_post, *, n_samples=4, n_in=60, n_out=150, rule="grid", seed=0):
    """Return (pre, post, grad_sent, weight) of a random layer of 30 inputs."""
    rng = np.random.default_rng(seed)
    dt, n_steps, n_pre = 0.002, 50, 30
    n_out = min(n_out, n_post * n_steps // 2)
    pre = [random_inputs(rng, n_in, n_pre, dt, n_steps) for _ in range(n_samples)]
    post = [
        random_layer(rng, n_out, n_post, dt, n_steps, rule) for _ in range(n_samples)
    ]
    grad = torch.from_numpy(rng.normal(size=n_samples * n_out))
    weight = torch.from_numpy(rng.normal(size=(n_pre, n_post)))
    return arrivals_of(pre), crossings_of(post), grad, weight


def assert_equal(result, expected, *, rtol):
    # Relative to the largest entry: a sum of terms of both signs has their rounding.
    for value, reference in ((result.weight, expected.weight),
                             (result.arrival, expected.arrival)):  # fmt: skip
        assert reference.abs().max() > 0
        np.testing.assert_allclose(
            value.numpy(),
            reference.numpy(),
            rtol=0,
            atol=rtol * float(reference.abs().max()),
        )
    assert result.n_clamped == expected.n_clamped > 0


@pytest.mark.parametrize("rule", ["grid", "continuous"])
@pytest.mark.parametrize("modes", [TWO_MODES, THREE_MODES])
@pytest.mark.parametrize("n_post", [1, 8, 10, 16, 17, 64, 65, 200])
def test_equals_torch(n_post, modes, rule):
    pre, post, grad, weight = random_case(n_post, rule=rule)
    expected = gradient.layer_gradient(
        pre, post, grad, weight, modes, slope_min=SLOPE_MIN
    )
    for dtype, rtol in ((torch.float64, 1e-12), (torch.float32, 5e-6)):
        result = kernel.layer_gradient(
            pre, post, grad, weight.to(dtype), modes, slope_min=SLOPE_MIN
        )
        assert result.weight.dtype == dtype
        assert_equal(result, expected, rtol=rtol)


def test_torch_in_single_precision_is_as_exact():
    pre, post, grad, weight = random_case(65)
    args = (TWO_MODES,)
    expected = gradient.layer_gradient(
        pre, post, grad, weight, *args, slope_min=SLOPE_MIN
    )
    single = gradient.layer_gradient(
        pre, post, grad, weight.float(), *args, slope_min=SLOPE_MIN
    )
    assert_equal(single, expected, rtol=5e-6)


@pytest.mark.parametrize(("n_samples", "n_in"), [(200, 100), (333, 60)])
def test_threads_of_torch_do_not_change_a_bit(n_samples, n_in):
    """Sizes at which products of matrices do, with three and with four threads."""
    pre, post, grad, weight = random_case(10, n_samples=n_samples, n_in=n_in, n_out=50)
    before, results = torch.get_num_threads(), []
    try:
        for n_threads in (1, 2, 3, 4, 5):
            torch.set_num_threads(n_threads)
            results.append(
                gradient.layer_gradient(
                    pre, post, grad, weight.float(), TWO_MODES, slope_min=SLOPE_MIN
                )
            )
    finally:
        torch.set_num_threads(before)
    for result in results[1:]:
        assert_same_bits(result, results[0])


def test_columns_of_padding_do_not_leak():
    # Weights that would spoil the sum if a row were read past its end.
    pre, post, grad, weight = random_case(10)
    spoiled = torch.full((30, 11), torch.nan, dtype=torch.float64)
    spoiled[:, :10] = weight
    expected = kernel.layer_gradient(
        pre, post, grad, weight, TWO_MODES, slope_min=SLOPE_MIN
    )
    result = kernel.layer_gradient(
        pre, post, grad, spoiled[:, :10], TWO_MODES, slope_min=SLOPE_MIN
    )
    assert torch.equal(result.arrival, expected.arrival)


def large_case(n_post):
    # Enough spikes and elements for three threads in both phases.
    case = random_case(n_post, n_samples=80, n_in=900, n_out=200)
    assert len(case[0].time) > 2 * 2000 and len(case[0].time) * n_post > 2 * 250_000
    return case


def assert_same_bits(one, other):
    assert torch.equal(one.weight, other.weight)
    assert torch.equal(one.arrival, other.arrival)
    assert one.n_clamped == other.n_clamped


# One block of columns, whose samples are shared out, and several.
@pytest.mark.parametrize("n_post", [10, 200])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_threads_do_not_change_a_bit(dtype, n_post):
    pre, post, grad, weight = large_case(n_post)

    def differentiate(n_threads):
        return kernel.layer_gradient(
            pre,
            post,
            grad,
            weight.to(dtype),
            TWO_MODES,
            slope_min=SLOPE_MIN,
            n_threads=n_threads,
        )

    results = [differentiate(n_threads) for n_threads in (1, 2, 3, 3, 3)]
    with ThreadPoolExecutor(3) as callers:  # who share the helpers
        results += callers.map(differentiate, [3] * 12)
    for result in results[1:]:
        assert_same_bits(result, results[0])


def prepare(case, n_threads):
    pre, post, _, weight = case
    return kernel.PreparedGradient(
        pre, post, weight, TWO_MODES, slope_min=SLOPE_MIN, n_threads=n_threads
    )


def test_gradients_are_prepared_in_any_order_and_number():
    cases = [large_case(n_post) for n_post in (10, 200, 64)]
    expected = [prepare(case, 1)(case[2]) for case in cases]
    prepared = [prepare(case, 3) for case in cases]
    del prepared[0]  # nobody wants it, while helpers may be at it
    for gradient_of, case, result in zip(
        reversed(prepared), reversed(cases), reversed(expected), strict=False
    ):
        for factor in (1, -2, 1):  # more than once, too
            found = gradient_of(factor * case[2])
            torch.testing.assert_close(found.weight, factor * result.weight)
        assert_same_bits(found, result)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_finishes_what_was_begun_before_it():
    """Of a process that has no helpers: they are threads of the parent."""
    case = large_case(200)
    expected = prepare(case, 1)(case[2])
    for _ in range(5):  # at different points of what helpers do
        prepared, abandoned = prepare(case, 3), prepare(case, 3)
        child = os.fork()
        if child == 0:
            found = prepared(case[2])
            del abandoned
            same = np.array_equal(found.weight.numpy(), expected.weight.numpy())
            os._exit(0 if same and found.n_clamped == expected.n_clamped else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert_same_bits(prepared(case[2]), expected)


@pytest.mark.parametrize("side", ["pre", "post"])
@pytest.mark.parametrize("neuron", [-1, 3])
def test_indices_out_of_range_are_refused(side, neuron):
    post = Spike(neuron=0, sent=0.02, time=0.02, slope=1.0, reset=0.02)
    spikes = {"pre": [Spike(neuron=0, sent=0.01)], "post": [post]}
    spikes[side] = [Spike(**vars(spikes[side][0]) | {"neuron": neuron})]
    with pytest.raises(ValueError, match=r"neurons below the \(3, 3\) of 'weight'"):
        kernel.layer_gradient(
            arrivals_of([spikes["pre"]]),
            crossings_of([spikes["post"]]),
            torch.ones(1),
            torch.ones(3, 3),
            TWO_MODES,
            slope_min=SLOPE_MIN,
        )


@pytest.mark.parametrize("offset", [[0, 2], [1, 1], [0, 2, 1], [0, -1, 1]])
def test_offsets_that_do_not_fit_are_refused(offset):
    pre = gradient.Arrivals(
        offset=torch.tensor(offset),
        neuron=torch.zeros(1, dtype=torch.int32),
        time=torch.full((1,), 0.01, dtype=torch.float64),
    )
    with pytest.raises(ValueError, match="offsets that rise from 0"):
        kernel.layer_gradient(
            pre,
            crossings_of([[]] * (len(offset) - 1)),
            torch.ones(0),
            torch.ones(3, 3),
            TWO_MODES,
            slope_min=SLOPE_MIN,
        )


def test_what_native_code_cannot_do_is_refused():
    pre, post, grad, weight = random_case(3)
    many = ExponentialModes(
        tau=tuple(0.01 * (k + 1) for k in range(9)),
        synaptic=(1.0,) * 9,
        reset=(-1.0,) * 9,
    )
    with pytest.raises(ValueError, match="1 to 8 modes, got cpu and 9; use bsnn"):
        kernel.layer_gradient(pre, post, grad, weight, many, slope_min=SLOPE_MIN)
    with pytest.raises(ValueError, match="'out' must be contiguous"):
        kernel.layer_gradient(
            pre,
            post,
            grad,
            weight,
            TWO_MODES,
            slope_min=SLOPE_MIN,
            out=torch.empty(3, 30, dtype=torch.float64).T,
        )


@pytest.mark.parametrize("real", [np.float64, np.float32])
@pytest.mark.parametrize("dt_ms", [0.1, 8.0])
def test_recovered_crossings_are_those_of_the_equations(real, dt_ms):
    neuron = CubaLIF(tau_mem=260 * ms, tau_syn=130 * ms, v_threshold=0.2)
    rng = np.random.default_rng(0)
    n, dt = 20_000, 1e-3 * dt_ms
    # From far below threshold to far above it, rising steeply, slowly or falling.
    v0 = rng.uniform(-1, 0.4, n)
    i0 = rng.uniform(-1, 1, n) * 10.0 ** rng.uniform(-1, 4, n)
    taus = {"tau_mem": 0.26, "tau_syn": 0.13}
    v, i_syn = (x.astype(real) for x in solution(dt, v0, i0, **taus))
    fired = v >= 0.2
    record = one_spike_each(v[fired], i_syn[fired], dt, rng)
    delay, slope = neuron.crossing(*record.state.values(), dt)
    assert (delay == 0).any() and (delay > 0).any() and (slope < 0).any()
    # Two arrivals tell each neuron's crossing time and slope.
    n = record.n_spikes
    # In several samples, one of them silent.
    record = dataclasses.replace(record, offset=np.array([0, n // 3, n // 3, n]))
    pre = arrivals_of([[Spike(neuron=k, sent=1e-3 * (k - 60)) for k in (0, 1)]] * 3)
    grad, weight = torch.ones(n), torch.ones(2, n, dtype=torch.float64)
    results = [
        layer_gradient(pre, post, grad, weight, neuron.modes, slope_min=1e-9)
        for layer_gradient, post in (
            (kernel.layer_gradient, kernel.bin_states(record, neuron)),
            (kernel.layer_gradient, crossings(as_double(record), neuron)),
            (gradient.layer_gradient, crossings(as_double(record), neuron)),
        )
    ]
    assert results[0].weight.abs().min() > 0
    for result in results[1:]:
        np.testing.assert_allclose(
            results[0].weight.numpy(), result.weight.numpy(), rtol=1e-9
        )
        assert results[0].n_clamped == result.n_clamped > 0


def one_spike_each(v, i_syn, dt, rng):
    """Return a record in which each neuron fires once, with the given state."""
    return Spikes(
        neuron=np.arange(len(v), dtype=np.int32),
        offset=np.array([0, len(v)]),
        n_neurons=len(v),
        dt=dt,
        step=np.sort(rng.integers(0, 100, len(v))),
        state={"v": v, "i_syn": i_syn},
    )


def as_double(record):
    state = {name: array.astype(float) for name, array in record.state.items()}
    return dataclasses.replace(record, state=state)


def test_a_crossing_of_undefined_state_is_undefined():
    neuron = CubaLIF(tau_mem=260 * ms, tau_syn=130 * ms, v_threshold=0.2)
    rng = np.random.default_rng(0)
    record = one_spike_each(np.array([np.nan]), np.ones(1), 1e-3, rng)
    result = kernel.layer_gradient(
        arrivals_of([[Spike(neuron=0, sent=-1e-3)]]),
        kernel.bin_states(record, neuron),
        torch.ones(1),
        torch.ones(1, 1),
        neuron.modes,
        slope_min=SLOPE_MIN,
    )
    assert result.weight.isnan().all()


def test_only_quadratic_neurons_have_a_native_crossing():
    record = one_spike_each(np.ones(1), np.ones(1), 1e-3, np.random.default_rng(0))
    for tau_mem, expected in ((260, True), (200, False)):
        neuron = CubaLIF(tau_mem=tau_mem * ms, tau_syn=130 * ms, v_threshold=0.2)
        assert kernel.can_recover(record, neuron) == expected


def test_more_spikes_than_the_kernel_can_number_are_refused(monkeypatch):
    monkeypatch.setattr(kernel, "MAX_SPIKES", 2)
    neuron = CubaLIF(tau_mem=260 * ms, tau_syn=130 * ms, v_threshold=0.2)
    record = one_spike_each(np.ones(3), np.ones(3), 1e-3, np.random.default_rng(0))
    with pytest.raises(ValueError, match="at most 2 spikes .*, got 3; split the batch"):
        kernel.PreparedGradient(
            arrivals_of([[]]),
            kernel.bin_states(record, neuron),
            torch.ones(1, 3, dtype=torch.float64),
            neuron.modes,
            slope_min=SLOPE_MIN,
        )
