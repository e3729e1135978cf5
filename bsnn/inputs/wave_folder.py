"""Sound of one's own: ``train/<label>/*.wav`` and ``test/<label>/*.wav``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bsnn.errors import DataError

SPLITS = ("train", "test")
_ENDING = ".wav"


def has_files(folder: Path) -> bool:
    """Return whether a folder holds sound for training or testing."""
    return any(
        path.suffix.lower() == _ENDING
        for split in SPLITS
        for path in (folder / split).glob("*/*")
    )


def read_folder(folder: Path, name: str):
    """Return the data set of WAV files in a folder for each label.

    Labels are numbered in the order of their names, numbers by their value. The first
    samples of a split are one of each label, then the second of each, and so on.

    Raises
    ------
    DataError
        If a label of a split has no files, or a file is no WAV file, or is damaged.
    """
    from .timed_dataset import TimedDataset

    found = {split: _of_labels(folder / split) for split in SPLITS}
    if found["train"].keys() != found["test"].keys():
        one, other = (set(found[split]) for split in SPLITS)
        raise DataError(
            f"{folder} must have the same labels in 'train' and 'test', but "
            f"{', '.join(sorted(one ^ other))} is in one of them alone."
        )
    names = sorted(found["train"], key=_by_value)
    paths, labels = {}, {}
    for split, of_labels in found.items():
        samples = sorted(
            (rank, label, path)
            for label, name_of_label in enumerate(names)
            for rank, path in enumerate(of_labels[name_of_label])
        )
        labels[split] = np.array([label for _, label, _ in samples])
        paths[split] = [path for *_, path in samples]
    return TimedDataset.from_wave_files(
        paths["train"],
        labels["train"],
        paths["test"],
        labels["test"],
        n_classes=len(names),
        name=name,
    )


def _of_labels(folder):
    """Return the sorted paths of each label's files, by the label's name."""
    found = {}
    for label in sorted(p for p in _visible(folder) if p.is_dir()):
        found[label.name] = sorted(_visible(label))
        for path in found[label.name]:
            if path.suffix.lower() != _ENDING:
                raise DataError(
                    f"{path} must be a WAV file, as all in a label's folder; convert "
                    "it, or move it elsewhere."
                )
        if not found[label.name]:
            raise DataError(f"{label} must hold WAV files, got none; remove it.")
    if not found:
        raise DataError(f"{folder} must hold a folder of WAV files for each label.")
    return found


def _visible(folder):
    if not folder.is_dir():
        return []
    return [path for path in folder.iterdir() if not path.name.startswith(".")]


def _by_value(name):
    return (0, int(name), name) if name.isdecimal() else (1, 0, name)
