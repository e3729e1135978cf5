"""Models refuse what cannot be simulated and survive a round trip through JSON."""

import json

import pytest
from brian2 import ms, mV

from bsnn import Model

GOOD = {
    "v_threshold": [0.2, 1.3],
    "tau_syn": 130 * ms,
    "tau_mem": 260 * ms,
    "dt": 1 * ms,
    "duration": 200 * ms,
}


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
            "'max_spikes' must have one positive int for each of the 2 layers",
        ),
        ({"dt": 100 * ms, "tau_syn": 1 * ms}, ValueError, "'dt' must not exceed 80"),
        ({"v_threshold": [1.0]}, ValueError, "'v_threshold' must have one value"),
        ({"duration": 0 * ms}, ValueError, "'duration' must be positive"),
    ],
)
def test_impossible_models_are_refused(changes, error, words):
    with pytest.raises(error, match=words):
        dense(**changes)


@pytest.mark.parametrize("sizes", [[4], [4, 0], [4, 2.5], [0, 3]])
def test_impossible_sizes_are_refused(sizes):
    with pytest.raises(ValueError, match="layer"):
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


def test_json_keeps_a_model():
    model = dense(rule="quantised-event", max_spikes=(30, 20), delta_v=[0.1, 1.0])
    values = json.loads(json.dumps(model.to_dict()))
    assert Model.from_dict(values).to_dict() == model.to_dict()
    assert Model.from_dict(values).neurons[0].delta_v == 0.1
