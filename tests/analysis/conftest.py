"""A finished sweep, shared by the tests of figures and reports."""

import pytest

from bsnn.runs import RunFolder
from tests.training.experiments import sweep_folders


@pytest.fixture(scope="package")
def sweep(tmp_path_factory):
    """A finished sweep, its weights for the example run, and one unfinished run."""
    folder = sweep_folders.write_sweep(tmp_path_factory.mktemp("sweep"))
    for other in ("grid_dt0.5_seed0", "quantised-event_dt1_seed0", "grid_dt1_seed1"):
        sweep_folders.write_example(RunFolder(folder / f"digits_{other}"), start=20)
    weights = sweep_folders.write_example(RunFolder(folder / "digits_grid_dt1_seed0"))
    sweep_folders.write_counts(folder)
    unfinished = sweep_folders.write_run(folder, dt_ms=4.0)
    (unfinished.path / "summary.json").unlink()
    return folder, lambda path: weights
