"""One neuron's spikes against its drive, under each time rule."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from brian2.units import ms

import bsnn
from bsnn.analysis import read_sweep
from bsnn.analysis.study.one_neuron import read_counts
from bsnn.cli.main import main
from bsnn.simulators import one_neuron
from tests.models import study_model
from tests.oracles import grid as oracles
from tests.training.experiments import sweep_folders

MODEL = study_model([3, 4, 2], [0.2, 1.3])


@pytest.fixture(scope="module")
def counts():
    """Spikes for each charge, by rule and time step (ms)."""
    table = one_neuron.count_table(MODEL, [0.0, 0.1, 8.0])
    return {
        key: part.spikes.to_numpy() for key, part in table.groupby(["rule", "dt_ms"])
    }


def test_each_rule_and_step_once(counts):
    assert set(counts) == {
        ("continuous", 0.0),
        ("grid", 0.1),
        ("grid", 8.0),
        ("quantised-event", 0.1),
        ("quantised-event", 8.0),
    }


def test_the_neuron_is_that_of_the_output():
    other = replace(MODEL.neurons[0], delta_v=0.01)
    model = replace(MODEL, neurons=(other, MODEL.neurons[1]))
    tables = [one_neuron.count_table(m, [8.0], [11.3]) for m in (MODEL, model)]
    assert tables[0].equals(tables[1])
    turned = replace(MODEL, neurons=(MODEL.neurons[1], other))
    assert not one_neuron.count_table(turned, [8.0], [11.3]).equals(tables[0])


def test_grid_count_equals_an_independent_model():
    charges = np.array([3.0, 11.3, 24.9, 47.7])
    table = one_neuron.count_table(MODEL, [8.0], charges)
    n_inputs = 255
    weights = np.tile(charges * 1.3 / (n_inputs * 0.130), (n_inputs, 1))
    time = 0.1 * (1 - np.arange(1, n_inputs + 1) / 255)
    sample = [(int(t / 0.008), n) for n, t in enumerate(time)]
    taus = [(0.26, 0.13)]
    found, nearest = oracles.grid_spikes(
        [weights], taus, [1.3], [1.3], 25, 0.008, sample
    )
    assert nearest > 1e-9
    expected = np.bincount([n for _, n, _, _ in found[0]], minlength=4)
    assert table.spikes[table.rule == "grid"].tolist() == expected.tolist()


def test_more_drive_never_gives_fewer_spikes_in_continuous_time_and_on_the_grid(counts):
    for key in (("continuous", 0.0), ("grid", 0.1), ("grid", 8.0)):
        assert (np.diff(counts[key]) >= 0).all(), key


def test_small_steps_converge_to_continuous_time(counts):
    for rule in ("grid", "quantised-event"):
        assert np.abs(counts[rule, 0.1] - counts["continuous", 0.0]).max() <= 1


def test_at_large_steps_the_grid_saturates_and_events_collapse(counts):
    exact = counts["continuous", 0.0]
    assert exact[-1] > 35
    grid, event = counts["grid", 8.0], counts["quantised-event", 8.0]
    n_steps = 25
    assert grid.max() == grid[-1] <= n_steps
    weak = exact < 10  # far from one crossing a bin
    assert np.abs(event - exact)[weak].max() <= 1
    assert event[-1] < event.max() / 3


def test_other_time_constants_have_no_closed_form():
    model = bsnn.Model.dense(
        [3, 2],
        v_threshold=1.0,
        tau_syn=10 * ms,
        tau_mem=15 * ms,
        dt=1 * ms,
        duration=150 * ms,
    )
    with pytest.raises(ValueError, match="must be 2 tau_syn"):
        one_neuron.count_table(model, [1.0])


def test_the_command_leaves_the_table_of_the_study_in_its_folder(tmp_path, capsys):
    for dt_ms in (0.5, 4.0):
        sweep_folders.write_run(tmp_path, dt_ms=dt_ms)
    assert main(["one-neuron", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'one_neuron.csv'}\n"
    found = read_counts(read_sweep(tmp_path))
    expected = one_neuron.count_table(sweep_folders.model("grid", 0.5), [0.5, 4.0])
    pd.testing.assert_frame_equal(found, expected, check_exact=True)
    assert found.spikes.max() > 10


def test_the_command_says_what_it_needs(tmp_path, capsys):
    sweep_folders.write_run(tmp_path, rule="continuous", dt_ms=0)
    assert main(["one-neuron", str(tmp_path)]) == 1
    assert "it needs a time step above 0" in capsys.readouterr().err
    assert not (tmp_path / "one_neuron.csv").exists()
