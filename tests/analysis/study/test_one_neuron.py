"""The table of one neuron is that of the study, or is not drawn."""

import pandas as pd
import pytest

from bsnn.analysis import read_sweep
from bsnn.analysis.study.one_neuron import FILE, model_and_steps, read_counts
from bsnn.analysis.study.sweep import NoData
from tests.training.experiments import sweep_folders


@pytest.fixture
def study(tmp_path):
    for dt_ms in (0.1, 0.3, 8.0):
        sweep_folders.write_run(tmp_path, dt_ms=dt_ms)
    return tmp_path, sweep_folders.write_counts(tmp_path)


def test_what_is_saved_is_read(study):
    folder, table = study
    found = read_counts(read_sweep(folder))
    pd.testing.assert_frame_equal(found, table, check_exact=True)


def test_steps_span_those_of_the_study(tmp_path):
    for dt_ms in (0.5, 1, 2, 3, 4, 5, 8):
        sweep_folders.write_run(tmp_path, dt_ms=dt_ms)
    sweep_folders.write_run(tmp_path, rule="continuous", dt_ms=0)
    model, steps = model_and_steps(read_sweep(tmp_path))
    assert len(steps) == 5 and (steps.min(), steps.max()) == (0.5, 8)
    assert model.neurons[-1].v_threshold == 0.5


def add_time_step(folder):
    sweep_folders.write_run(folder, dt_ms=4.0)


def take_another_neuron(folder):
    for path in folder.glob("*/config.json"):
        text = path.read_text()
        assert '"v_threshold": 0.5' in text
        path.write_text(text.replace('"v_threshold": 0.5', '"v_threshold": 0.6'))


def leave_rule_out(folder):
    table = pd.read_csv(folder / FILE)
    table[table.rule != "grid"].to_csv(folder / FILE, index=False)


def count_half_a_spike(folder):
    table = pd.read_csv(folder / FILE)
    table.assign(spikes=table.spikes + 0.5).to_csv(folder / FILE, index=False)


def leave_neuron_out(folder):
    pd.read_csv(folder / FILE).drop(columns="tau_mem").to_csv(folder / FILE)


def spoil(folder):
    (folder / FILE).write_text("rule,dt_ms\n\0")


@pytest.mark.parametrize(
    "change",
    [
        add_time_step,
        take_another_neuron,
        leave_rule_out,
        count_half_a_spike,
        leave_neuron_out,
        spoil,
    ],
)
def test_a_table_of_something_else_is_not_taken(study, change):
    folder, _ = study
    change(folder)
    with pytest.raises(NoData, match="one_neuron.csv is damaged, of another neuron or"):
        read_counts(read_sweep(folder))
