"""The example that fits AdEx to current steps, on a cell that is made here."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

PATH = Path(__file__).parents[2] / "examples" / "current_steps.py"
N_STEPS = 5600  # of short ones, 1.4 s


def load():
    spec = importlib.util.spec_from_file_location("current_steps", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def example():
    return load()


@pytest.fixture(scope="module")
def short():
    """The example with steps of half a second."""
    module = load()
    module.END = 1.2
    return module


@pytest.mark.parametrize(
    ("mine", "cell", "expected"),
    [
        ([0.1, 0.5], [0.1, 0.5], [0, 0]),
        ([0.2], [0.1], [np.log(2)]),
        # Who has no k-th spike fires when the step ends, 1.99975 s after it began.
        ([0.1], [0.1, 0.5], [0, np.log(1.99975 / 0.5)]),
        ([0.1, 0.5], [], [np.log(0.1 / 1.99975), np.log(0.5 / 1.99975)]),
        # Neither before the step nor after it does a spike count for more.
        ([-0.3, 2.2], [0.001, 1.99975], [0, 0]),
    ],
)
def test_errors_of_spike_times_by_hand(example, mine, cell, expected):
    mine, cell = (
        example.ONSET + torch.tensor(t, dtype=torch.float64) for t in (mine, cell)
    )
    found = example.latencies(mine, cell) - example.latencies(cell, mine)
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.fixture(scope="module")
def recording(short):
    """A cell that is the neuron itself, with other conductance and adaptation."""
    current = np.zeros((2, N_STEPS))
    on = slice(round(short.ONSET / short.DT), round(short.END / short.DT))
    current[:, on] = np.array([[250e-12], [300e-12]])
    with short.network(N_STEPS) as net, torch.no_grad():
        net.learned["cell"]["g_L"].mul_(1.2)
        net.learned["cell"]["b"].mul_(1.5)
        v, spikes = short.run(net, short.Recording(current, None, None))
    return short.Recording(current, v[..., 0].numpy(), list(spikes))


@pytest.mark.cpp
def test_the_cell_itself_has_no_loss(short, recording):
    assert min(map(len, recording.spikes)) > 3
    with short.network(N_STEPS) as net, torch.no_grad():
        net.learned["cell"]["g_L"].mul_(1.2)
        net.learned["cell"]["b"].mul_(1.5)
        spikes, distance = short.losses(net, recording)
    assert spikes == 0 and distance == 0


@pytest.mark.cpp
def test_descent_approaches_the_cell(short, recording):
    tested = np.array([False, True])
    with short.network(N_STEPS) as net:
        parts = recording.part(~tested), recording.part(tested)
        fit = short.Fit(net, *parts)
        short.descend(fit, 60)
    # A gradient counts three times 1.4 s.
    assert [c.seconds for c in fit.history] == pytest.approx([0, 126, 252])
    first, last = fit.history[0], short.best(fit.history)
    assert first.train > 4 and last.train < first.train / 4
    assert last.test < first.test / 4


def test_the_best_checkpoint_is_chosen_by_what_was_fitted(example):
    history = [
        example.Checkpoint(seconds, train, test, {})
        for seconds, train, test in ((0, 9, 5), (10, 2, 6), (20, 4, 1))
    ]
    assert example.best(history).test == 6


def test_columns_are_read_in_si(example, tmp_path):
    folder = tmp_path / "qsnmc2007-b" / "C010302A1" / "train" / "train3"
    folder.mkdir(parents=True)
    for k, v in enumerate(([-70, -20, 5, 30, -60], [-71, -70, -70, -70, -70])):
        rows = "".join(f"{t}\t{100 + k}\t{x}\n" for t, x in enumerate(v))
        (folder / f"step_{k}.asc").write_text("a\nb\nc\n" + rows)
    found = example.load(tmp_path)
    np.testing.assert_allclose(found.current[:, 0], [1e-10, 1.01e-10])
    np.testing.assert_allclose(found.v[0], [-0.07, -0.02, 0.005, 0.03, -0.06])
    assert [len(t) for t in found.spikes] == [1, 0]
    np.testing.assert_allclose(found.spikes[0], 2 * example.DT)


def test_without_the_data_the_folder_is_named(example, tmp_path, monkeypatch):
    with pytest.raises(SystemExit, match="train3 is missing"):
        example.load(tmp_path)
    monkeypatch.delenv("BSNN_DATA", raising=False)
    monkeypatch.setattr("sys.argv", ["current_steps.py"])
    with pytest.raises(SystemExit, match="set BSNN_DATA"):
        example.main()
