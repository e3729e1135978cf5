"""Patterns join the pairs they should, and say what is wrong with others."""

import json

import numpy as np
import pytest
import torch
from brian2.units import ms

from bsnn import Connection, Inputs, Network, Population
from bsnn.equations.models import alif
from bsnn.patterns import (
    Pattern,
    convolution,
    convolved_shape,
    one_to_one,
    pooling,
    random_pairs,
)


def applied(pattern, weights, values, n_post):
    """What each postsynaptic neuron receives of presynaptic values."""
    out = np.zeros(n_post)
    np.add.at(out, pattern.j, weights[pattern.weight] * values[pattern.i])
    return out


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("padding", [0, 1])
def test_a_convolution_is_that_of_torch(stride, padding):
    shape, channels, kernel = (2, 7, 6), 3, 3
    options = {"stride": stride, "padding": padding}
    pattern = convolution(shape, channels, kernel, **options)
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(channels, 2, kernel, kernel))
    values = rng.normal(size=shape)
    expected = torch.nn.functional.conv2d(
        torch.tensor(values)[None], torch.tensor(weights), **options
    )[0]
    after = convolved_shape(shape, channels, kernel, **options)
    assert after == tuple(expected.shape)
    assert pattern.n_weights == weights.size
    found = applied(pattern, weights.ravel(), values.ravel(), expected.numel())
    np.testing.assert_allclose(found, expected.numpy().ravel(), rtol=1e-12)


def test_pooling_is_that_of_torch():
    values = np.random.default_rng(0).normal(size=(3, 4, 6))
    expected = torch.nn.functional.avg_pool2d(torch.tensor(values)[None], 2)
    found = applied(pooling((3, 4, 6), 2), np.array([0.25]), values.ravel(), 3 * 2 * 3)
    np.testing.assert_allclose(found, expected.numpy().ravel(), rtol=1e-12)


def test_random_pairs_are_about_as_many_as_expected():
    pattern = random_pairs(200, 300, 0.1, seed=3)
    assert abs(len(pattern.i) - 6000) < 4 * np.sqrt(6000 * 0.9)
    again = random_pairs(200, 300, 0.1, seed=3)
    np.testing.assert_array_equal(pattern.j, again.j)
    alone = random_pairs(50, 50, 0.5, seed=0, to_itself=False)
    assert (alone.i != alone.j).all()


def test_rows_are_the_pairs_of_each_neuron_in_their_order():
    start, target, weight = Pattern([2, 0, 2], [1, 5, 0], [1, 1, 0]).rows
    np.testing.assert_array_equal(start, [0, 1, 1, 3])
    np.testing.assert_array_equal(target, [5, 1, 0])
    np.testing.assert_array_equal(weight, [1, 1, 0])


def network(pattern):
    return Network(
        [Inputs("in", 6), Population("out", 6, alif())],
        [Connection("in", "out", on_pre="i_syn += w", pattern=pattern)],
        dt=1 * ms,
        duration=9 * ms,
    )


def test_a_network_keeps_its_pattern():
    pattern = Pattern([2, 0, 2], [1, 5, 0], [1, 1, 0])
    values = json.loads(json.dumps(network(pattern).to_dict()))
    (connection,) = Network.from_dict(values).connections
    assert connection.pattern.to_dict() == pattern.to_dict()
    assert network(pattern).weight_shapes == ((2,),)
    assert network(one_to_one(6)).weight_shapes == ((6,),)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: Pattern([0, 1, 0], [2, 2, 2]),
            ValueError,
            r"pair \(0, 2\) comes twice",
        ),
        (lambda: Pattern([0], [1, 2]), ValueError, "must be as many"),
        (lambda: Pattern([], []), TypeError, "must be a list of integers"),
        (lambda: Pattern([0.0], [1]), TypeError, "'i' must be a list of integers"),
        (lambda: Pattern([0], [-1]), ValueError, "'j' must be from 0"),
        (lambda: Pattern([0, 1], [0, 1], [0, 2]), ValueError, "leaves out 1"),
        (
            lambda: network(one_to_one(7)),
            ValueError,
            "neuron 6 in 'i', but there are 6",
        ),
        (lambda: network([(0, 1)]), TypeError, "'pattern' must be a Pattern"),
        (lambda: Pattern.from_dict({"i": [0]}), ValueError, "describes no pairs"),
        (lambda: convolution((1, 2, 9), 1, 3), ValueError, "does not fit"),
        (lambda: pooling((1, 4, 5), 2), ValueError, "'size' must divide"),
        (lambda: random_pairs(2, 2, 1.5, seed=0), ValueError, "must be in"),
    ],
)
def test_what_is_no_pattern_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()
