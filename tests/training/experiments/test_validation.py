"""The part of the training samples that chooses what is tested, and when to stop."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

import bsnn
from bsnn import runs
from bsnn.analysis import Measurement
from bsnn.inputs.samples import ChosenSamples, held_out
from bsnn.settings import Settings
from bsnn.training.experiments import loop
from bsnn.training.experiments.checkpoint import load_checkpoint
from bsnn.training.experiments.evaluation import evaluate_run
from bsnn.training.experiments.loop import train


class Labelled:
    """Samples whose spikes are their numbers."""

    def __init__(self, labels):
        self.labels = np.asarray(labels)

    def __len__(self):
        return len(self.labels)

    def spikes(self, indices):
        return np.asarray(indices)


@given(
    labels=st.lists(st.integers(0, 3), min_size=2, max_size=60),
    share=st.floats(0.01, 0.6),
    seed=st.none() | st.integers(0, 9),
)
def test_each_class_gives_its_share_to_validation(labels, share, seed):
    labels = np.array(labels)
    try:
        kept, held = held_out(labels, share, seed)
    except ValueError as error:
        assume("must leave samples of each class" not in str(error))
        raise
    both = np.sort(np.concatenate([kept, held]))
    assert np.array_equal(both, np.arange(len(labels)))
    assert len(held) == np.ceil(share * len(labels))
    for label in np.unique(labels):
        of_class = np.flatnonzero(labels == label)
        of_held = held[labels[held] == label]
        assert abs(len(of_held) - share * len(of_class)) < 1
        assert len(of_held) < len(of_class)
        if seed is None and len(of_held):
            assert np.array_equal(of_held, of_class[-len(of_held) :])


def test_a_seed_draws_the_validation_samples():
    labels = np.arange(200) % 4
    parts = [held_out(labels, 0.1, seed)[1] for seed in (None, 0, 0, 1)]
    assert not np.array_equal(parts[0], parts[1])
    assert np.array_equal(parts[1], parts[2])
    assert not np.array_equal(parts[1], parts[3])


def test_a_class_without_samples_left_is_refused():
    with pytest.raises(ValueError, match="'validation' must leave samples of each cl"):
        held_out(np.array([0, 1]), 0.1)


def test_too_few_samples_are_refused_before_anything_is_written(tmp_path):
    dataset = bsnn.load_dataset("digits").head(3, 3)
    folder = runs.RunFolder(tmp_path / "run")
    settings = Settings.reference("digits", dt_ms=2.0)
    with pytest.raises(ValueError, match="give a smaller share, or 0"):
        train(settings, dataset, folder, measurement=Measurement)
    assert not folder.path.exists()


def test_chosen_samples_take_no_others():
    part = ChosenSamples(Labelled([5, 6, 7, 8]), np.array([3, 1]))
    assert part.labels.tolist() == [8, 6]
    assert part.spikes(np.array([1, 0])).tolist() == [1, 3]


@given(
    accuracies=st.lists(st.integers(0, 4), max_size=20),
    patience=st.integers(1, 4),
)
def test_the_learning_rate_falls_on_plateaus_as_in_torch(accuracies, patience):
    settings = Settings.reference(
        "digits",
        learning_rate=1.0,
        learning_rate_factor=0.5,
        learning_rate_patience=patience,
    )
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, "max", factor=0.5, patience=patience - 1, threshold=0, eps=0
    )
    for epoch in range(1, len(accuracies) + 1):
        schedule.step(accuracies[epoch - 1])
        seen = accuracies[:epoch]
        assert settings.learning_rate_at(epoch + 1, seen) == schedule.get_last_lr()[0]


def test_training_is_over_when_patience_is():
    settings = Settings.reference("digits", patience=2)
    assert [settings.is_over([5, 6, 6, 6][:n]) for n in range(5)] == [False] * 4 + [
        True
    ]
    assert not Settings.reference("digits").is_over([5] * 50)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"validation": 1.0}, "'validation' must lie in 0..1"),
        ({"validation": -0.1}, "'validation' must lie in 0..1"),
        ({"validation": 0.0, "patience": 3}, "'patience' must be left out without"),
        ({"preset": "published", "validation_seed": 3}, "'validation_seed' must be"),
        ({"patience": 0}, "'patience' must be 1 or more"),
    ],
)
def test_what_needs_validation_is_refused_without(changes, message):
    with pytest.raises(ValueError, match=message):
        Settings.reference("digits", **changes)


@pytest.mark.cpp
def test_the_epoch_chosen_is_tested_and_the_test_set_used_once(tmp_path, monkeypatch):
    """With a rate far too high the best epoch is not the last."""
    dataset = bsnn.load_dataset("digits").head(200, 90)
    settings = Settings.reference(
        "digits", dt_ms=2.0, epochs=12, learning_rate=0.05, patience=2, workers=1
    )
    n_tested, evaluate = [], loop.evaluate

    def counted(network, samples, **options):
        n_tested.append(len(samples))
        return evaluate(network, samples, **options)

    monkeypatch.setattr(loop, "evaluate", counted)
    folder = runs.RunFolder(tmp_path / "run")
    summary = train(settings, dataset, folder, measurement=Measurement)
    metrics = folder.metrics()
    validated = metrics[metrics.split == "validation"].set_index("epoch")
    scores = list(zip(validated.accuracy, -validated.loss, strict=True))
    chosen = 1 + scores.index(max(scores))
    assert chosen < len(scores) == chosen + 2 < 12
    assert n_tested == [20] * len(scores) + [90]
    assert summary["validation"]["epoch"] == summary["last"]["epoch"] == chosen

    row = evaluate_run(folder, load=lambda _: dataset, measurement=Measurement)[0]
    assert row["accuracy"] == summary["last"]["accuracy"]
    state = load_checkpoint(folder)
    assert any(
        not torch.equal(one, other)
        for one, other in zip(state["weights"], state["chosen"], strict=True)
    )

    again = train(settings, dataset, folder, measurement=Measurement, resume=True)
    assert again["last"] == summary["last"]
    assert folder.metrics().equals(metrics.assign(seconds=folder.metrics().seconds))
