"""The spike-time gradient of a layer: torch and native code against oracles."""

import math

import numpy as np
import pytest
import torch

from bsnn.equations import ExponentialModes
from bsnn.training.linear import gradient, kernel
from bsnn.training.linear.gradient import Arrivals, Crossings, reverse_scan
from tests.oracles.gradient import (
    RULES,
    Spike,
    continuous_spikes,
    network_gradient,
    random_inputs,
    random_layer,
)

SLOPE_MIN = 2.0  # Hz
KAPPA = 0.05 * 0.017 / (0.05 - 0.017)
TWO_MODES = ExponentialModes(
    tau=(0.05, 0.017), synaptic=(KAPPA, -KAPPA), reset=(-0.7, 0.0)
)
THREE_MODES = ExponentialModes(
    tau=(0.031, 0.004, 0.11), synaptic=(0.3, -0.5, 0.1), reset=(-0.4, 0.0, 0.15)
)
NO_RESET = ExponentialModes(tau=(0.05,), synaptic=(0.2,), reset=(0.0,))

DEVICES = [
    "cpu",
    pytest.param(
        "cuda",
        marks=[
            pytest.mark.cuda,
            pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"),
        ],
    ),
]

backends = pytest.mark.parametrize(
    "layer_gradient",
    [
        pytest.param(gradient.layer_gradient, id="torch"),
        pytest.param(kernel.layer_gradient, id="native", marks=pytest.mark.cpp),
    ],
)


def arrivals_of(samples):
    """Return the `Arrivals` of a list of samples, each a list of `Spike`."""
    spikes = [spike for sample in samples for spike in sample]
    return Arrivals(
        offset=offset_of(samples),
        neuron=torch.tensor([s.neuron for s in spikes], dtype=torch.int32),
        time=torch.tensor([s.sent for s in spikes], dtype=torch.float64),
    )


def crossings_of(samples):
    """Return the `Crossings` of a list of samples, each a list of `Spike`."""
    spikes = [spike for sample in samples for spike in sample]
    floats = {
        name: torch.tensor([getattr(s, name) for s in spikes], dtype=torch.float64)
        for name in ("time", "slope", "sent", "reset")
    }
    neuron = torch.tensor([s.neuron for s in spikes], dtype=torch.int32)
    return Crossings(offset=offset_of(samples), neuron=neuron, **floats)


def offset_of(samples):
    return torch.tensor([0, *np.cumsum([len(s) for s in samples])], dtype=torch.int64)


def pairs(amplitudes, modes):
    return list(zip(amplitudes, modes.tau, strict=True))


def one_spike(layer_gradient, arrival_times, post, *, grad=1.0, weight=0.5):
    """Return the gradient of one neuron that fires once, weights all the same."""
    pre = [Spike(neuron=i, sent=t) for i, t in enumerate(arrival_times)]
    return layer_gradient(
        arrivals_of([pre]),
        crossings_of([[post]]),
        torch.tensor([grad], dtype=torch.float64),
        torch.full((len(pre), 1), weight, dtype=torch.float64),
        TWO_MODES,
        slope_min=SLOPE_MIN,
    )


@backends
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("modes", [TWO_MODES, THREE_MODES, NO_RESET])
@pytest.mark.parametrize("seed", [0, 1])
def test_two_layers_equal_the_sum_over_all_pairs(layer_gradient, rule, modes, seed):
    rng = np.random.default_rng(seed)
    sizes, dt, n_steps = (5, 4, 3), 0.007, 12
    # The middle sample has no spike at all, the last no output.
    counts = [(14, 17, 9), (0, 0, 0), (11, 13, 0), (12, 20, 8)]
    samples = [
        [
            random_inputs(rng, n_in, sizes[0], dt, n_steps),
            random_layer(rng, n_hidden, sizes[1], dt, n_steps, rule),
            random_layer(rng, n_out, sizes[2], dt, n_steps, rule),
        ]
        for n_in, n_hidden, n_out in counts
    ]
    weights = [rng.normal(size=shape) for shape in zip(sizes, sizes[1:], strict=False)]
    grads = [[rng.normal(size=len(layer)) for layer in sample] for sample in samples]
    expected = [
        network_gradient(
            sample,
            [np.zeros(len(sample[0])), *grad[1:]],
            weights,
            pairs(modes.synaptic, modes),
            pairs(modes.reset, modes),
            SLOPE_MIN,
        )
        for sample, grad in zip(samples, grads, strict=True)
    ]
    inputs, hidden, output = zip(*samples, strict=True)
    _, grad_hidden, grad_output = (
        torch.from_numpy(np.concatenate(layer)) for layer in zip(*grads, strict=True)
    )

    last = layer_gradient(
        arrivals_of(hidden),
        crossings_of(output),
        grad_output,
        torch.from_numpy(weights[1]),
        modes,
        slope_min=SLOPE_MIN,
    )
    first = layer_gradient(
        arrivals_of(inputs),
        crossings_of(hidden),
        grad_hidden + last.arrival,
        torch.from_numpy(weights[0]),
        modes,
        slope_min=SLOPE_MIN,
    )

    # Rounding only: of sums of some hundred terms in another order.
    close = {"rtol": 1e-10, "atol": 1e-12}
    for layer, result in enumerate((first, last)):
        total = sum(grad_weights[layer] for grad_weights, _ in expected)
        np.testing.assert_allclose(result.weight.numpy(), total, **close)
    np.testing.assert_allclose(
        first.arrival.numpy(), np.concatenate([g for _, g in expected]), **close
    )
    n_grazing = [
        sum(s.slope < SLOPE_MIN for m in x for s in m) for x in (hidden, output)
    ]
    assert [first.n_clamped, last.n_clamped] == n_grazing
    assert n_grazing[0] > 0


class ContinuousNeuron(torch.autograd.Function):
    """Crossing times of one neuron, forward by root finding, backward under test."""

    # Two drives, so that several spikes come both early and late in the response.
    ARRIVALS = (0.0101, 0.0153, 0.0202, 0.0417, 0.0604, 0.0655)
    WEIGHTS = (95.0, 60.0, -20.0, 45.0, 110.0, 70.0)

    @staticmethod
    def spikes(arrivals, weights):
        order = np.argsort(arrivals, kind="stable")
        synaptic, reset = (
            pairs(TWO_MODES.synaptic, TWO_MODES),
            pairs(TWO_MODES.reset, TWO_MODES),
        )
        return continuous_spikes(
            arrivals[order], weights[order], synaptic, reset, 0.7, 0.1
        )

    @staticmethod
    def forward(ctx, layer_gradient, arrivals, weights):
        ctx.layer_gradient = layer_gradient
        ctx.save_for_backward(arrivals, weights)
        ctx.spikes = ContinuousNeuron.spikes(
            arrivals.detach().numpy(), weights.detach().numpy()
        )
        return torch.tensor([spike.time for spike in ctx.spikes], dtype=torch.float64)

    @staticmethod
    def backward(ctx, grad_sent):
        arrivals, weights = ctx.saved_tensors
        result = ctx.layer_gradient(
            arrivals_of(
                [[Spike(neuron=i, sent=float(t)) for i, t in enumerate(arrivals)]]
            ),
            crossings_of([ctx.spikes]),
            grad_sent,
            weights[:, None],
            TWO_MODES,
            slope_min=1e-9,
        )
        return None, result.arrival, result.weight[:, 0]


@backends
def test_equals_central_differences_of_the_crossing_times(layer_gradient):
    arrivals = torch.tensor(
        ContinuousNeuron.ARRIVALS, dtype=torch.float64, requires_grad=True
    )
    weights = torch.tensor(
        ContinuousNeuron.WEIGHTS, dtype=torch.float64, requires_grad=True
    )
    times = ContinuousNeuron.apply(layer_gradient, arrivals, weights)
    n_spikes = len(times)
    assert n_spikes >= 5
    factor = np.random.default_rng(0).normal(size=n_spikes)
    (times * torch.from_numpy(factor)).sum().backward()

    def loss(arrivals, weights):
        spikes = ContinuousNeuron.spikes(arrivals, weights)
        assert len(spikes) == n_spikes
        return sum(f * spike.time for f, spike in zip(factor, spikes, strict=True))

    point = [arrivals.detach().numpy(), weights.detach().numpy()]
    for which, (grad, h) in enumerate([(arrivals.grad, 1e-7), (weights.grad, 1e-4)]):
        numeric = np.zeros(len(grad))
        for i in range(len(grad)):
            up, down = [x.copy() for x in point], [x.copy() for x in point]
            up[which][i] += h
            down[which][i] -= h
            numeric[i] = (loss(*up) - loss(*down)) / (2 * h)
        np.testing.assert_allclose(grad.numpy(), numeric, rtol=1e-6)


@backends
def test_passes_gradcheck(layer_gradient):
    def times(arrivals, weights):
        return ContinuousNeuron.apply(layer_gradient, arrivals, 1e3 * weights)

    point = [
        torch.tensor(values, dtype=torch.float64, requires_grad=True)
        for values in (
            ContinuousNeuron.ARRIVALS,
            [w / 1e3 for w in ContinuousNeuron.WEIGHTS],
        )
    ]
    assert torch.autograd.gradcheck(times, point, eps=1e-7, atol=1e-6, rtol=1e-5)


@backends
def test_silent_neurons_get_no_gradient(layer_gradient):
    rng = np.random.default_rng(0)
    pre = random_inputs(rng, 10, 4, 0.01, 10)
    post = random_layer(rng, 6, 2, 0.01, 10, "grid")
    result = layer_gradient(
        arrivals_of([pre]),
        crossings_of([post]),
        torch.ones(6),
        torch.ones(5, 3),  # input 4 and output 2 never fire
        TWO_MODES,
        slope_min=SLOPE_MIN,
    )
    assert torch.all(result.weight[4] == 0) and torch.all(result.weight[:, 2] == 0)
    assert torch.any(result.weight != 0)


@backends
def test_simultaneous_arrivals_share_the_gradient(layer_gradient):
    post = Spike(neuron=0, sent=0.03, time=0.03, slope=20.0, reset=0.03)
    result = one_spike(layer_gradient, [0.01, 0.01, 0.02, 0.02], post)
    assert result.weight[0] == result.weight[1] != result.weight[2] == result.weight[3]
    assert result.arrival[0] == result.arrival[1] != result.arrival[2]


@backends
def test_what_arrives_with_the_crossing_did_not_cause_it(layer_gradient):
    post = Spike(neuron=0, sent=0.02, time=0.02, slope=20.0, reset=0.02)
    result = one_spike(layer_gradient, [0.01, 0.02], post)
    assert result.arrival[1] == 0 and result.weight[1] == 0
    assert result.arrival[0] != 0 and result.weight[0] != 0
    # A crossing at the end of its bin that rounding has put just behind it.
    late = Spike(
        neuron=0, sent=0.02, time=math.nextafter(0.02, 1), slope=20.0, reset=0.02
    )
    rounded = one_spike(layer_gradient, [0.01, 0.02], late)
    assert torch.equal(rounded.arrival, result.arrival)


@backends
@pytest.mark.parametrize("dt", [0.0005, 0.0007, 0.003, 0.007])
def test_a_neuron_above_threshold_as_its_bin_begins(layer_gradient, dt):
    # It crosses at the very time at which spikes of the bin before arrive: integers
    # times dt, which must compare equal however they round.
    step = np.arange(2, 300)
    bin_start, end = step * dt, (step + 1) * dt
    arrival = [
        [
            Spike(neuron=0, sent=t)
            for t in (np.array([n - 2, n - 1]) + 1) * dt  # of the two bins before
        ]
        for n in step
    ]
    post = [
        [Spike(neuron=0, sent=e, time=t + 0.0, slope=5.0, reset=e)]
        for t, e in zip(bin_start, end, strict=True)
    ]
    result = layer_gradient(
        arrivals_of(arrival),
        crossings_of(post),
        torch.ones(len(step), dtype=torch.float64),
        torch.ones(1, 1, dtype=torch.float64),
        NO_RESET,
        slope_min=SLOPE_MIN,
    )
    q, (synaptic,), (tau,) = -1 / 5.0, NO_RESET.synaptic, NO_RESET.tau
    expected = q * synaptic / tau * math.exp(-dt / tau)
    torch.testing.assert_close(
        result.arrival.reshape(-1, 2),
        torch.tensor([[expected, 0.0]], dtype=torch.float64).expand(len(step), 2),
        rtol=1e-10,
        atol=0,
    )


@backends
@pytest.mark.parametrize("slope", [0.0, -3.0, 1.99])
def test_grazing_crossings_are_clamped(layer_gradient, slope):
    post = Spike(neuron=0, sent=0.03, time=0.025, slope=slope, reset=0.03)
    result = one_spike(layer_gradient, [0.01], post, grad=2.0)
    assert result.n_clamped == 1
    assert result.weight.item() == pytest.approx(
        -2.0 / SLOPE_MIN * KAPPA * (math.exp(-0.015 / 0.05) - math.exp(-0.015 / 0.017)),
        rel=1e-12,
    )


@backends
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n_samples", [0, 1, 3])
@pytest.mark.parametrize("shape", [(3, 2), (0, 2), (3, 0)])
@pytest.mark.parametrize("silent", ["pre", "post", "both"])
def test_layers_without_spikes(layer_gradient, dtype, n_samples, shape, silent):
    pre = [Spike(neuron=0, sent=0.01)] * (silent == "post" and shape[0] > 0)
    post = [Spike(neuron=1, sent=0.02, time=0.02, slope=0.01, reset=0.02)]
    post = post * (silent == "pre" and shape[1] > 0)
    result = layer_gradient(
        arrivals_of([pre] * n_samples),
        crossings_of([post] * n_samples),
        torch.ones(n_samples * len(post), dtype=torch.float64),
        torch.ones(shape, dtype=dtype),
        TWO_MODES,
        slope_min=SLOPE_MIN,
    )
    assert torch.equal(result.weight, torch.zeros(shape, dtype=dtype))
    assert torch.equal(
        result.arrival, torch.zeros(n_samples * len(pre), dtype=torch.float64)
    )
    assert result.n_clamped == n_samples * len(post)


@backends
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n_clusters", [1, 12])
def test_long_samples_do_not_overflow(layer_gradient, dtype, n_clusters):
    # 500 of the longest and 6000 of the shortest time constant.
    modes = ExponentialModes(
        tau=(0.024, 0.002), synaptic=(0.01, -0.01), reset=(-0.7, 0.0)
    )
    rng = np.random.default_rng(3)
    starts = np.linspace(0, 12.0, n_clusters, endpoint=False)
    pre, post = [], []
    for cluster, start in enumerate(starts):
        step = round(start / 0.001)
        pre += [
            Spike(neuron=s.neuron, sent=(step + round(s.sent / 0.001)) * 0.001)
            for s in random_inputs(rng, 20, 3, 0.001, 90)
        ]
        # One cluster alone is followed by spikes only at the very end.
        step += 11_900 if n_clusters == 1 else cluster
        post += [
            Spike(neuron=s.neuron, sent=s.sent + t, time=s.time + t, slope=s.slope,
                  reset=s.reset + t)
            for s in random_layer(rng, 15, 2, 0.001, 90, "grid")
            for t in [step * 0.001]
        ]  # fmt: skip
    if n_clusters == 1:
        pre += [
            Spike(neuron=s.neuron, sent=s.sent + 11.9)
            for s in random_inputs(rng, 20, 3, 0.001, 90)
        ]
    weight, grad = rng.normal(size=(3, 2)), rng.normal(size=len(post))
    (expected,), expected_arrival = network_gradient(
        [pre, post],
        [np.zeros(len(pre)), grad],
        [weight],
        pairs(modes.synaptic, modes),
        pairs(modes.reset, modes),
        SLOPE_MIN,
    )
    result = layer_gradient(
        arrivals_of([pre]),
        crossings_of([post]),
        torch.from_numpy(grad),
        torch.from_numpy(weight).to(dtype),
        modes,
        slope_min=SLOPE_MIN,
    )
    # Single precision rounds the weights and traces, of the size of the largest.
    rtol = 1e-10 if dtype == torch.float64 else 1e-5
    for value, reference in (
        (result.weight, expected),
        (result.arrival, expected_arrival),
    ):
        np.testing.assert_allclose(
            value.numpy(), reference, rtol=0, atol=rtol * np.abs(reference).max()
        )


@backends
def test_only_what_is_asked_for_is_computed(layer_gradient):
    rng = np.random.default_rng(0)
    pre = arrivals_of([random_inputs(rng, 9, 4, 0.01, 10)])
    post = crossings_of([random_layer(rng, 8, 3, 0.01, 10, "grid")])
    args = (pre, post, torch.ones(8), torch.ones(4, 3), TWO_MODES)
    out = torch.full((4, 3), torch.nan)
    result = layer_gradient(*args, slope_min=SLOPE_MIN, need_pre=False, out=out)
    assert result.weight is out and result.arrival is None
    assert torch.equal(out, layer_gradient(*args, slope_min=SLOPE_MIN).weight)


def test_chunks_of_samples_add_up(monkeypatch):
    rng = np.random.default_rng(0)
    pre = arrivals_of([random_inputs(rng, n, 4, 0.01, 10) for n in (5, 0, 7, 3)])
    post = crossings_of([random_layer(rng, 8, 3, 0.01, 10, "grid") for _ in range(4)])
    weight = torch.ones(4, 3, dtype=torch.float64)
    args = (pre, post, torch.ones(32), weight, TWO_MODES)
    whole = gradient.layer_gradient(*args, slope_min=SLOPE_MIN)
    for limit in (1, 8 * 6, 11 * 6):
        monkeypatch.setattr(gradient, "MAX_TRACE_ELEMENTS", {"cpu": limit})
        parts = gradient.layer_gradient(*args, slope_min=SLOPE_MIN)
        torch.testing.assert_close(parts.weight, whole.weight, rtol=1e-12, atol=1e-15)
        assert torch.equal(parts.arrival, whole.arrival)


@pytest.mark.parametrize("lengths", [(1,), (2, 1, 7), (5, 5), (16, 3, 1, 1, 9)])
@pytest.mark.parametrize("matrices", [False, True])
def test_reverse_scan_equals_the_recurrence(lengths, matrices):
    rng = np.random.default_rng(0)
    n, shapes = sum(lengths), ((2, 2), (2, 1)) if matrices else ((2, 1), (2, 3))
    decay, value = (rng.normal(size=(n, *shape)) for shape in shapes)
    decay[np.cumsum(lengths) - 1] = 0
    multiply = np.matmul if matrices else np.multiply
    expected, following = np.empty_like(value), np.zeros(value.shape[1:])
    for i in reversed(range(n)):
        following = expected[i] = value[i] + multiply(decay[i], following)
    result = reverse_scan(
        torch.from_numpy(decay),
        torch.from_numpy(value),
        longest=max(lengths),
        product=torch.matmul if matrices else torch.mul,
    )
    np.testing.assert_allclose(result.numpy(), expected, rtol=1e-10, atol=1e-12)


@backends
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"slope_min": 0.0}, "'slope_min' must be positive, got 0.0"),
        ({"slope_min": math.nan}, "'slope_min' must be positive"),
        ({"weight": torch.ones(2, 1, dtype=torch.int64)}, "'weight' must be a float"),
        ({"weight": torch.ones(2)}, "'weight' must be a float"),
        ({"grad_sent": torch.ones(2)}, "'grad_sent' must have one entry for each of"),
        ({"pre": arrivals_of([[], []])}, "same samples, got 2 and 1"),
        ({"out": torch.ones(1, 2)}, "'out' must have the shape"),
        ({"out": torch.ones(2, 1, dtype=torch.float64)}, "'out' must have the shape"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(layer_gradient, changed, message):
    args = {
        "pre": arrivals_of([[Spike(neuron=0, sent=0.01)]]),
        "post": crossings_of(
            [[Spike(neuron=0, sent=0.02, time=0.02, slope=1.0, reset=0.02)]]
        ),
        "grad_sent": torch.ones(1),
        "weight": torch.ones(2, 1),
        "modes": TWO_MODES,
        "slope_min": SLOPE_MIN,
    }
    layer_gradient(**args)
    with pytest.raises(ValueError, match=message):
        layer_gradient(**args | changed)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("into", [False, True])
def test_gradient_on_a_device_equals_native(device, into):
    rng = np.random.default_rng(3)
    pre = [random_inputs(rng, 14, 5, 0.007, 12), random_inputs(rng, 9, 5, 0.007, 12)]
    post = [random_layer(rng, n, 4, 0.007, 12, "grid") for n in (17, 8)]
    weight = torch.from_numpy(rng.normal(size=(5, 4)))
    layer = arrivals_of(pre), crossings_of(post)
    grad = torch.from_numpy(rng.normal(size=len(layer[1].neuron)))
    expected = kernel.layer_gradient(
        *layer, grad, weight, TWO_MODES, slope_min=SLOPE_MIN
    )
    out = torch.full_like(weight, 7) if into else None
    result = gradient.layer_gradient_on(
        device, *layer, grad, weight, TWO_MODES, slope_min=SLOPE_MIN, out=out
    )
    assert expected.weight.abs().max() > 0
    assert (result.weight is out) == into
    for one, other in zip(result[:2], expected[:2], strict=True):
        assert one.device.type == "cpu"
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)
