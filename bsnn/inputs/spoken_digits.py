"""The Free Spoken Digit Dataset: recordings of the digits, in English.

Its recordings 0-4 of each digit and speaker are for testing, the others for training.

References
----------
Jackson et al., doi:10.5281/zenodo.1342401.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from bsnn.errors import DataError

NAME, TITLE = "spoken-digits", "Free Spoken Digit Dataset"
# What holds a folder "recordings": ours, and a clone of the repository.
FOLDERS = ("fsdd", "free-spoken-digit-dataset", NAME, ".")
N_TEST, N_CLASSES = 5, 10
SOURCE = "https://github.com/Jakobovski/free-spoken-digit-dataset"


def load(data_dir: Path):
    """Return the data set; its features are loudness in mel bands.

    Samples come by number of recording, then digit, then speaker, so that the first of
    them are of all classes.

    Raises
    ------
    DataError
        If it is not there, or a file is damaged or has another name.
    """
    from .timed_dataset import TimedDataset

    splits = {"train": [], "test": []}
    for recording, digit, _, path in sorted(map(_parse, find(data_dir))):
        split = "test" if recording < N_TEST else "train"
        splits[split].append((path, digit))
    for split, samples in splits.items():
        if not samples:
            raise DataError(f"{data_dir} must hold recordings for {split}, got none.")
    paths, labels = (
        {split: [sample[k] for sample in samples] for split, samples in splits.items()}
        for k in (0, 1)
    )
    return TimedDataset.from_wave_files(
        paths["train"],
        np.array(labels["train"]),
        paths["test"],
        np.array(labels["test"]),
        n_classes=N_CLASSES,
        name=NAME,
        title=TITLE,
    )


def find(data_dir: Path) -> list[Path]:
    """Return the paths of all recordings; DataError if there are none."""
    for folder in FOLDERS:
        found = sorted((data_dir / folder / "recordings").glob("*.wav"))
        if found:
            return found
    raise DataError(
        f"{TITLE} needs its recordings in {data_dir / FOLDERS[0] / 'recordings'}, and "
        f"they are not there; clone {SOURCE} into {data_dir}."
    )


def _parse(path):
    named = re.fullmatch(r"(\d)_(\w+)_(\d{1,6})\.wav", path.name)
    if named is None:
        raise DataError(
            f"{path} must be called DIGIT_SPEAKER_NUMBER.wav; move it elsewhere."
        )
    digit, speaker, recording = named.groups()
    return int(recording), int(digit), speaker, path
