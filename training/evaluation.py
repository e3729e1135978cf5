"""Test a trained network, also at time steps it was not trained at."""

from dataclasses import replace

from bsnn import runs
from bsnn.equations import time_rules

from .checkpoint import check_fits, load_checkpoint, restore_weights
from .epoch import evaluate
from .settings import Settings, make_network


def evaluate_run(folder, *, load, measurement, dt_ms=None, rule=None, workers=None):
    """Test the network of a run folder, also at time steps it was not trained at.

    The results join those in the folder's evaluations.csv.

    Parameters
    ----------
    folder : RunFolder
    load : callable
        ``load(name)`` returns the `Dataset`.
    measurement : callable
        As for `train`.
    dt_ms : sequence of float, optional
        Time steps in milliseconds; that of the training unless given.
    rule : str, optional
        Time rule; that of the training unless given. At 0 ms it is "continuous".
    workers : int, optional

    Returns
    -------
    rows : list of dict
        Rows of evaluations.csv.

    Raises
    ------
    RunFolderError
        If the folder holds no readable run.
    """
    trained = Settings.from_config(folder.config(), workers=workers)
    state = load_checkpoint(folder)
    check_fits(state, trained.model())  # before memory is reserved for the model
    dataset = load(trained.dataset).head(trained.n_train, trained.n_test)
    rows = []
    for dt in [trained.dt_ms] if dt_ms is None else dt_ms:
        chosen = time_rules.CONTINUOUS if dt == 0 else rule or trained.rule
        if dt > 0 and chosen == time_rules.CONTINUOUS:
            chosen = time_rules.GRID
        settings = replace(trained, dt_ms=float(dt), rule=chosen)
        with make_network(settings, settings.model()) as network:
            restore_weights(network, state)
            tested, _ = evaluate(
                network,
                dataset.test_images,
                dataset.test_labels,
                measured=measurement(network.model, settings.true),
                encode=settings.encode,
            )
        rows.append(
            {"rule": chosen, "dt_ms": dt}
            | {name: tested[name] for name in runs.EVALUATION_COLUMNS[2:]}
        )
    folder.add_evaluations(rows)
    return rows
