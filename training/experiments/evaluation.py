"""Test a trained network, also at time steps it was not trained at."""

from bsnn import runs
from bsnn.equations import time_rules
from bsnn.equations.units import as_list, as_number
from bsnn.network_settings import settings_of
from bsnn.training.from_settings import make_network

from .checkpoint import check_fits, load_checkpoint, restore_weights
from .epoch import evaluate


def evaluate_run(
    folder,
    *,
    load,
    measurement,
    dt_ms=None,
    rule=None,
    workers=None,
    model_file=None,
):
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
        Time rule; that of the training unless given, or "grid" if that is "continuous".
        At 0 ms it is "continuous".
    workers : int, optional
    model_file : ModelFile, optional
        Of a run whose network is one's own, the file that it was trained with.

    Returns
    -------
    rows : list of dict
        Rows of evaluations.csv.

    Raises
    ------
    RunFolderError
        If the folder holds no readable run.
    ValueError
        If the run's layers do not fit the data set, `model_file` is not that of the
        run, or missing.
    """
    trained = settings_of(folder.config(), model_file, workers=workers).simulated()
    state = load_checkpoint(folder)
    if model_file is None:  # before memory is reserved for the model
        check_fits(state, trained.model().weight_shapes)
    dataset = load(trained.dataset).head(trained.n_train, trained.n_test)
    trained.check_dataset(dataset)
    as_trained = time_rules.named(trained.rule)
    rows = []
    for dt in [trained.dt_ms] if dt_ms is None else as_list(dt_ms, "dt_ms"):
        dt = as_number(dt, "dt_ms")
        usual = time_rules.at(dt, as_trained).name
        settings = trained.at(dt, usual if rule is None else rule)
        model = settings.model()
        with make_network(settings, model) as network:
            restore_weights(network, state)
            tested, _ = evaluate(
                network,
                dataset.samples("test", settings.encode, network.model),
                measured=measurement(
                    network.model, settings.true, settings.readout(model)
                ),
            )
        rows.append(
            {"rule": settings.rule, "dt_ms": settings.dt_ms}
            | {name: tested[name] for name in runs.EVALUATION_COLUMNS[2:]}
        )
    folder.add_evaluations(rows)
    return rows
