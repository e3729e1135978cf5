"""The example that fits a neuron to recordings, on a cell that is made here."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from bsnn import Spikes

PATH = Path(__file__).parents[2] / "examples" / "recorded_neuron.py"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("recorded_neuron", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("model", "cell", "expected"),
    [
        ([], [], 1),
        ([0.1, 0.2], [0.1, 0.2], 1),
        # By chance 2 * 0.004 * 2 / 1 = 0.016 of two spikes coincide.
        ([0.1, 0.2], [0.3, 0.4], -0.032 / 2 / 0.984),
        ([0.1, 0.2], [0.104, 0.3], (1 - 0.032) / 2 / 0.984),
        ([0.1, 0.2], [0.1041, 0.3], -0.032 / 2 / 0.984),
        # One spike of the cell serves one of the model.
        ([0.1, 0.102], [0.101], (1 - 0.016) / 1.5 / 0.984),
        ([0.101], [0.1, 0.102], (1 - 0.016) / 1.5 / 0.992),
        ([], [0.1], 0),
        ([0.1], [], 0),
    ],
)
def test_coincidence_factors_by_hand(example, model, cell, expected):
    found = example.coincidence_factor(np.array(model), np.array(cell), 1.0)
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_chance_coincidences_count_as_none(example):
    rng = np.random.default_rng(0)
    pairs = np.sort(rng.uniform(0, 50, (200, 2, 500)), axis=2)
    mean = np.mean([example.coincidence_factor(a, b, 50.0) for a, b in pairs])
    # One spike serves one other, so crowded ones coincide a little less often.
    assert abs(mean) < 0.04


def test_factors_are_of_a_part_and_of_all_pairs(example):
    trains = [np.array([0.1, 0.5, 1.2]), np.array([0.1, 0.9, 1.2])]
    half = (1 - 2 * 0.016) / 2 / 0.984
    np.testing.assert_allclose(example.ceiling(trains, 0, 1), half)
    np.testing.assert_allclose(example.ceiling(trains, 1, 2), 1)


@pytest.fixture(scope="module")
def recording(example):
    """A cell that is the neuron itself, with another membrane and threshold."""
    n_steps = 5000
    rng = np.random.default_rng(0)
    noise = np.convolve(rng.normal(size=n_steps), np.ones(20) / 20**0.5, "same")
    current = 300e-12 + 200e-12 * noise
    with example.network(n_steps, forced=False) as cell:
        with torch.no_grad():
            cell.learned["cell"]["g_L"].mul_(1.3)
            cell.learned["cell"]["V_T"].add_(0.04)
            empty = example.Recording(None, current, None)
            activity = example.run_free(cell, empty)
    v = activity.trace["v"].numpy()[..., 0]
    return example.Recording(v, current, activity.record)


@pytest.mark.cpp
def test_under_its_own_spikes_the_neuron_is_the_free_one(example, recording):
    assert recording.spikes.n_spikes > 8
    with example.network(5000, forced=True) as net:
        with torch.no_grad():
            net.learned["cell"]["g_L"].mul_(1.3)
            net.learned["cell"]["V_T"].add_(0.04)
            given = example.forced_inputs(recording, np.arange(1))
            trace = net({"cell": given})["cell"].trace
    # All of it, to rounding; potentials are about 50 mV.
    np.testing.assert_allclose(trace["v"][..., 0], recording.v, rtol=0, atol=1e-12)


@pytest.mark.cpp
def test_descent_finds_the_cell(example, recording, monkeypatch):
    monkeypatch.setattr(example, "TRAIN", 0.8)
    monkeypatch.setattr(example, "END", 1.0)
    monkeypatch.setattr(example, "N_STEPS", 60)
    judge = example.Judge(recording)
    with example.network(5000, forced=True) as net:
        first = {k: v.clone() for k, v in net.learned.state_dict().items()}
        before = example.error_in_mv(net, recording, first)
    with example.network(4000, forced=True) as net:
        history = example.descend(net, recording.until(0.8), judge)
    judge.net.close()
    # A step counts three times 0.8 s, and each of seven free runs once.
    np.testing.assert_allclose(history[-1].seconds, 60 * 3 * 0.8 + 7 * 0.8)
    with example.network(5000, forced=True) as net:
        after = example.error_in_mv(net, recording, history[-1].values)
    assert before > 3 and after < before / 3


def test_the_best_checkpoint_is_chosen_by_what_was_fitted(example):
    history = [
        example.Checkpoint(seconds, train, test, {})
        for seconds, train, test in ((0, 0.1, 0.5), (10, 0.6, 0.2), (20, 0.4, 0.9))
    ]
    kept = example.best_so_far(history)
    assert [c.seconds for c in kept] == [0, 10, 20]
    assert [c.test for c in kept] == [0.5, 0.2, 0.2]
    assert example.first_to_reach(history, 0.5) == 10
    assert np.isnan(example.first_to_reach(history, 0.7))


def test_without_the_data_the_folder_is_named(example, tmp_path, monkeypatch):
    with pytest.raises(SystemExit, match="frozen_noise.npz is missing"):
        example.load(tmp_path)
    monkeypatch.delenv("BSNN_DATA", raising=False)
    with pytest.raises(SystemExit, match="set BSNN_DATA"):
        example.main()


def test_two_samples_make_a_step(example, tmp_path):
    v = np.full((2, 40), -1600, np.int16)
    v[0, [7, 8, 20]] = 320
    v[1, 9] = 1
    (tmp_path / "gif-cell3").mkdir()
    np.savez(
        tmp_path / "gif-cell3" / "frozen_noise.npz",
        v=v,
        i=np.arange(80).reshape(2, 40).astype(np.int16),
        v_unit_volt=3.125e-5,
        i_unit_ampere=1e-12,
    )
    found = example.load(tmp_path)
    assert isinstance(found.spikes, Spikes)
    assert found.spikes.step.tolist() == [3, 10, 4]
    assert found.spikes.sample.tolist() == [0, 0, 1]
    np.testing.assert_allclose(found.v[1, :4], -0.05)
    np.testing.assert_allclose(found.current[:2], [20.5e-12, 22.5e-12])
