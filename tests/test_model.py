"""Models refuse what cannot be simulated and survive a round trip through JSON."""

import json

import numpy as np
import pytest
from brian2 import ms, mV, second, us

from bsnn import Model, Spikes, encode_ttfs
from bsnn.equations.units import in_seconds

GOOD = {
    "v_threshold": [0.2, 1.3],
    "tau_syn": 130 * ms,
    "tau_mem": 260 * ms,
    "dt": 1 * ms,
    "duration": 200 * ms,
}

NO_SPIKE = {"sample": [], "neuron": [], "n_samples": 1, "n_neurons": 4, "step": []}


def dense(**changes):
    return Model.dense([4, 3, 2], **{**GOOD, **changes})


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"dt": 1e-3}, TypeError, "'dt' must be a Brian2 quantity"),
        ({"dt": 1 * mV}, TypeError, "'dt' must be a Brian2 quantity"),
        ({"dt": -1 * ms}, ValueError, "'dt' must not be negative"),
        ({"dt": float("nan") * ms}, ValueError, "'dt' must be finite"),
        ({"dt": 300 * ms}, ValueError, "'dt' must not be longer than 'duration'"),
        ({"dt": 0 * ms, "rule": "grid"}, ValueError, "'dt' must be 0 under the rule"),
        ({"rule": "continuous"}, ValueError, "'dt' must be 0 under the rule"),
        ({"rule": "event"}, ValueError, "'rule' must be one of grid"),
        ({"detect": "never"}, ValueError, "'detect' must be one of end, crossing"),
        ({"max_spikes": (5, 5)}, ValueError, "'max_spikes' needs an event rule"),
        (
            {"rule": "quantised-event", "max_spikes": (5,)},
            ValueError,
            "'max_spikes' must have one value for each of the 2 layers",
        ),
        ({"dt": 100 * ms, "tau_syn": 1 * ms}, ValueError, "'dt' must not exceed 80"),
        ({"v_threshold": [1.0]}, ValueError, "'v_threshold' must have one value"),
        ({"duration": 0 * ms}, ValueError, "'duration' must be positive"),
    ],
)
def test_impossible_models_are_refused(changes, error, words):
    with pytest.raises(error, match=words):
        dense(**changes)


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ([4], "'sizes' must name the inputs and at least one layer, got"),
        ([4, 0], "'sizes' must be at least 1, got 0"),
        ([0, 3], "'sizes' must be at least 1, got 0"),
    ],
)
def test_impossible_sizes_are_refused(sizes, words):
    with pytest.raises(ValueError, match=words):
        Model.dense(sizes, **{**GOOD, "v_threshold": 1.0})


@pytest.mark.parametrize(
    ("dt_ms", "n_steps"),
    [(1, 200), (0.1, 2000), (7, 29), (8, 25), (3, 67), (200, 1), (0, 0)],
)
def test_a_sample_lasts_whole_bins(dt_ms, n_steps):
    assert dense(dt=dt_ms * ms).n_steps == n_steps


def test_the_rule_follows_the_time_step_unless_given():
    assert dense().rule == "grid"
    assert dense(dt=0 * ms).rule == "continuous"
    assert dense(rule="quantised-event").with_dt(0 * ms).rule == "continuous"


@pytest.mark.parametrize(
    "same", [(0.1 * ms, 100 * us), (1.3 * ms, 1300 * us), (0.9 * ms, 9e-4 * second)]
)
def test_a_time_is_one_in_every_unit(same):
    models = [dense(dt=dt, tau_syn=130 * dt, tau_mem=260 * dt) for dt in same]
    assert len({json.dumps(model.to_dict()) for model in models}) == 1
    inputs = encode_ttfs(np.full((1, 4), 200), models[0])
    assert inputs.dt == models[1].dt_seconds
    for dt in same:
        assert Spikes.from_events(**NO_SPIKE, dt=dt).dt == inputs.dt
    # A grid of seconds as plain numbers is the same grid.
    assert Spikes.from_events(**NO_SPIKE, dt=float(same[1])).dt == inputs.dt


def test_a_sample_may_be_one_step_long_in_any_unit():
    assert dense(dt=0.2 * second, duration=200 * ms).n_steps == 1
    assert dense(dt=200_000 * us, duration=0.2 * second).n_steps == 1


@pytest.mark.parametrize(
    "dt_ms",
    [0, 0.1, 0.2, 0.25, 0.5, 1, 2, 3, 4, 5, 6, 7, 8, 10, 15, 100, 130, 200, 260],
)
def test_the_times_of_the_study_keep_their_bits(dt_ms):
    assert in_seconds(dt_ms * ms, "dt") == float(dt_ms * ms / second)


@pytest.mark.parametrize(
    ("changes", "dt", "rule", "expected"),
    [
        ({"rule": "quantised-event"}, 2 * ms, None, ("quantised-event", "end")),
        ({"detect": "crossing"}, 2 * ms, None, ("grid", "crossing")),
        ({"detect": "crossing"}, 2 * ms, "grid", ("grid", "crossing")),
        ({"detect": "crossing"}, 0 * ms, None, ("continuous", "end")),
        ({"detect": "crossing"}, 2 * ms, "quantised-event", ("quantised-event", "end")),
        ({"rule": "quantised-event"}, 0 * ms, None, ("continuous", "end")),
        ({"rule": "quantised-event"}, 2 * ms, "grid", ("grid", "end")),
        ({"dt": 0 * ms}, 2 * ms, None, ("grid", "end")),
        ({"dt": 0 * ms}, 0 * ms, None, ("continuous", "end")),
    ],
)
def test_another_time_step_keeps_the_rule(changes, dt, rule, expected):
    model = dense(**changes).with_dt(dt, rule)
    assert (model.rule, model.detect) == expected
    assert model.dt == dt


def test_another_time_step_keeps_the_most_spikes():
    model = dense(rule="quantised-event", max_spikes=(30, 20))
    assert model.with_dt(0 * ms).max_spikes == (30, 20)
    with pytest.raises(ValueError, match="leave it out, or name an event rule"):
        model.with_dt(0 * ms).with_dt(2 * ms)


def test_a_damaged_neuron_is_no_plain_one():
    values = dense().to_dict()
    values["neurons"][1]["tau_ref"] = 2e-3
    with pytest.raises(ValueError, match="describe no model.*tau_ref"):
        Model.from_dict(values)
    for name in ("dt", "duration"):
        with pytest.raises(ValueError, match=f"describe no model.*'{name}' must be a"):
            Model.from_dict({**dense().to_dict(), name: True})


def test_json_keeps_a_model():
    model = dense(rule="quantised-event", max_spikes=(30, 20), delta_v=[0.1, 1.0])
    values = json.loads(json.dumps(model.to_dict()))
    assert Model.from_dict(values).to_dict() == model.to_dict()
    assert Model.from_dict(values).neurons[0].delta_v == 0.1
