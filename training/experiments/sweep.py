"""Many runs: every combination of time step, rule and seed, in a folder each."""

import contextlib
import functools
import glob
import itertools
import logging
import pickle
import sys
import time
from dataclasses import replace

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from bsnn.builds import compiler
from bsnn.equations import time_rules
from bsnn.equations.units import as_int
from bsnn.errors import RunFolderError
from bsnn.fields import in_short
from bsnn.files import locked
from bsnn.machine import n_cores
from bsnn.model import Model
from bsnn.processes.tasks import Task, run_tasks
from bsnn.runs import CONFIG, RunFolder
from bsnn.settings import departures
from bsnn.simulators.base import check_model

from .cluster import run_on_cluster

LOCK = ".sweep.lock"

log = logging.getLogger(__name__)


def cell_name(settings):
    """Return the name of a cell's run folder, such as ``mnist_grid_dt1_seed0``."""
    config = {**settings.to_dict(), "preset": settings.preset}
    other = ""
    for tag, values in departures(config).items():
        other += f"_{'' if tag == 'estimator' else tag}"
        other += "-".join(map(in_short, values))
    name = f"{settings.dataset}_{settings.series}_dt{settings.dt_ms:g}"
    return f"{name}{other}_seed{settings.seed}"


def make_cells(
    base, *, dt_ms, rules, seeds, spike_penalties=(0.0,), estimators=(None,)
):
    """Return the settings of each cell, those of the first seed first.

    Parameters
    ----------
    base : Settings
        What all cells share. `detect` is for the cells under "grid", `max_spikes` for
        those under the event rules.
    dt_ms : sequence of float
        Time steps in milliseconds; 0 is run once, under the rule "continuous".
    rules : sequence of str
    seeds : sequence of int
    spike_penalties : sequence of float
        Prices of a hidden spike.
    estimators : sequence of str
        What stands for the derivative of a spike; None for that of `base`.

    Returns
    -------
    cells : dict of str to Settings
        By `cell_name`. Each runs with one worker: the cells share the cores.

    Raises
    ------
    ValueError
        If there is no cell, a cell's model is not possible, two time steps have one
        name, or a setting belongs to none of the cells.
    """
    cells = {}
    axes = seeds, dt_ms, rules, spike_penalties, estimators
    for seed, dt, rule, penalty, estimator in itertools.product(*axes):
        cell = replace(
            base.at(dt, rule),
            seed=seed,
            spike_penalty=penalty,
            estimator=estimator or base.estimator,
            workers=1,
        )
        model = cell.model()
        if isinstance(model, Model):
            check_model(model)
        name = cell_name(cell)
        if cells.setdefault(name, cell) != cell:
            raise ValueError(
                "'dt_ms' and 'spike_penalties' must differ in the first six digits, "
                f"got {dt!r} and {penalty!r} beside {cells[name].dt_ms!r} and "
                f"{cells[name].spike_penalty!r}."
            )
    if not cells:
        raise ValueError(
            "the sweep is empty: 'dt_ms', 'rules', 'seeds', 'spike_penalties' and "
            "'estimators' must each have a value."
        )
    for name in time_rules.OPTIONS:
        if all(getattr(cell, name) != getattr(base, name) for cell in cells.values()):
            raise ValueError(
                f"'{name}' belongs to none of the rules of this sweep; leave it out."
            )
    return cells


def is_done(settings, folder):
    """Return whether a cell's folder holds all its epochs."""
    return folder.finished and folder.config()["epochs"] == settings.epochs


def train_cell(settings, folder, load, measurement, report):
    """Be a process that trains one cell, or goes on with it.

    `report` is called with each epoch done.
    """
    from .loop import train

    if is_done(settings, folder):
        return
    train(
        settings,
        load(settings.dataset).head(settings.n_train, settings.n_test),
        folder,
        measurement=measurement,
        resume=True,
        progress=False,
        callbacks=[lambda end: report(end.epoch)],
    )


def run_sweep(
    cells, out, *, load, measurement, parallel=None, scheduler=None, progress=None
):
    """Run all unfinished cells, several at a time.

    It may be killed at any moment: started again, it goes on from the last epochs, as
    it does with more epochs than before.

    Parameters
    ----------
    cells : dict of str to Settings
        What `make_cells` returned.
    out : Path
        Folder of the run folders.
    load : callable
        ``load(name)`` returns the `Dataset`. It and `measurement` travel to other
        processes, so both can be pickled and their modules imported there.
    measurement : callable
        As for `loop.train`.
    parallel : int, optional
        Cells that run side by side, one core each; as many as cores unless given.
    scheduler : str, optional
        Address of a Dask scheduler whose workers run the cells and share `out`.
    progress : bool, optional
        Show a progress bar instead of a line for each cell; by default, if stderr is a
        terminal.

    Returns
    -------
    failed : dict of str to str
        The cells that failed, and why; their output stands beside their folders as
        ``<cell>.log``.

    Raises
    ------
    ValueError
        If `parallel` is not positive, or given with `scheduler`.
    RunFolderError
        If `out` cannot be written, another sweep runs in it, or it holds a cell that is
        damaged or has another configuration. Nothing has run then.
    BackendUnavailable
        If there is no compiler, or no scheduler answers.
    """
    if scheduler and parallel is not None:
        raise ValueError(
            "'parallel' is for processes of this machine; with 'scheduler' the threads "
            "of the Dask workers decide. Leave one of them out."
        )
    if parallel is None:
        parallel = n_cores()
    parallel = as_int(parallel, "parallel", least=1)
    out = out.resolve()
    with locked(out, LOCK, what="sweep", unusable=_unusable):
        check_cells(cells, out)
        tasks = [
            _task(name, settings, out, load, measurement)
            for name, settings in cells.items()
            if not is_done(settings, RunFolder(out / name))
        ]
        show = sys.stderr.isatty() if progress is None else progress
        with _Display(cells, tasks, show) as display:
            if scheduler:
                ends = run_on_cluster(tasks, address=scheduler)
            else:
                compiler()  # without one every cell would fail
                ends = run_tasks(tasks, parallel=parallel, on_report=display.reach)
            failed = {}
            with contextlib.closing(ends):
                for name, error in ends:
                    if error:
                        failed[name] = error
                    else:
                        (out / f"{name}.log").unlink(missing_ok=True)
                    display.end(name, error)
    return failed


def check_cells(cells, out):
    """Refuse a sweep folder that these cells cannot join.

    Raises
    ------
    RunFolderError
        If a cell, or its repetition with another seed, has a folder that is damaged or
        of another configuration, or any run there has another preset. The cells
        themselves may go on for more epochs.
    """
    for name, settings in cells.items():
        stem = name.removesuffix(str(settings.seed))
        for path in sorted({out / name, *out.glob(f"{glob.escape(stem)}*/")}):
            seed = path.name.removeprefix(stem)
            if not seed.isdecimal():
                continue
            folder = RunFolder(path)
            folder.check_free(
                replace(settings, seed=int(seed)).config(),
                resume=True,
                more_epochs=path.name in cells,
            )
            if folder.finished:
                folder.summary()
    presets = {settings.preset for settings in cells.values()}
    for path in sorted(out.glob(f"[!.]*/{CONFIG}")):
        preset = RunFolder(path.parent).config()["preset"]
        if {preset} != presets:
            raise RunFolderError(
                f"{path.parent} holds a run of the preset {preset!r}, not "
                f"{', '.join(sorted(presets))}: tables and figures would not tell them "
                f"apart. Choose another folder, or take 'preset' {preset!r}."
            )


def _task(name, settings, out, load, measurement):
    function = functools.partial(
        train_cell, settings, RunFolder(out / name), load, measurement
    )
    return Task(name=name, log=out / f"{name}.log", function=pickle.dumps(function))


def _unusable(out, error):
    return RunFolderError(
        f"the folder {out} cannot be used ({error}); choose another name."
    )


class _Display:
    """Says how far a sweep is: a bar on a terminal, otherwise a line for each cell."""

    def __init__(self, cells, tasks, show):
        self._epochs = {task.name: cells[task.name].epochs for task in tasks}
        self._reached = dict.fromkeys(self._epochs, 0)
        self._n_cells, self._n_ended = len(cells), len(cells) - len(tasks)
        self._start = time.monotonic()
        self._bar = tqdm(
            desc=self._summary(),
            total=sum(self._epochs.values()),
            unit="epoch",
            smoothing=0,  # the time left follows from all epochs, not the last few
            disable=not (show and tasks),
        )
        self._context = contextlib.ExitStack()

    def __enter__(self):
        self._context.enter_context(self._bar)
        if not self._bar.disable:
            self._context.enter_context(logging_redirect_tqdm())
        if self._n_ended:
            log.info("%s are finished already", self._summary())
        return self

    def __exit__(self, *error):
        return self._context.__exit__(*error)

    def reach(self, name, epoch):
        """Note that a cell has done this many epochs."""
        self._bar.update(epoch - self._reached[name])
        self._reached[name] = epoch

    def end(self, name, error):
        """Note that a cell has ended."""
        self.reach(name, self._epochs[name])
        self._n_ended += 1
        self._bar.set_description(self._summary())
        how = f"FAILED: {error}" if error else "finished"
        if error or self._bar.disable:
            log.info("%s %s; %s, %s left", name, how, self._summary(), self._left())

    def _summary(self):
        return f"{self._n_ended} of {self._n_cells} cells"

    def _left(self):
        done, total = sum(self._reached.values()), sum(self._epochs.values())
        seconds = time.monotonic() - self._start
        return tqdm.format_interval(seconds * (total - done) / done)
