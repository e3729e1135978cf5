"""Many runs: every combination of time step, rule and seed, in a folder each."""

import itertools
import logging
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace

from tqdm import tqdm

from bsnn.equations import time_rules
from bsnn.errors import RunFolderError
from bsnn.runs import RunFolder, replacing

log = logging.getLogger(__name__)


def cell_name(settings):
    """Return the name of a cell's run folder, such as ``mnist_grid_dt1_seed0``."""
    rule = settings.rule
    if settings.detect != "end":
        rule += f"-{settings.detect}"
    return f"{settings.dataset}_{rule}_dt{settings.dt_ms:g}_seed{settings.seed}"


def make_cells(base, *, dt_ms, rules, seeds):
    """Return the settings of each cell, those of the first seed first.

    Parameters
    ----------
    base : Settings
        What all cells share.
    dt_ms : sequence of float
        Time steps in milliseconds; 0 is run once, under the rule "continuous".
    rules : sequence of str
    seeds : sequence of int

    Raises
    ------
    ValueError
        If there is no cell, or a cell's model is not possible.
    """
    cells = {}
    for seed, dt, rule in itertools.product(seeds, dt_ms, rules):
        if dt == 0:
            rule = time_rules.CONTINUOUS
        cell = replace(base, dt_ms=float(dt), rule=rule, seed=seed)
        cell.model()  # refuses what is impossible before anything runs
        cells[cell_name(cell)] = cell
    if not cells:
        raise ValueError(
            "the sweep is empty: 'dt_ms', 'rules' and 'seeds' must each have a value."
        )
    return cells


def run_sweep(cells, out, *, command, parallel, progress=None):
    """Run all unfinished cells, several at a time.

    Parameters
    ----------
    cells : dict of str to Settings
        What `make_cells` returned.
    out : Path
        Folder of the run folders.
    command : callable
        ``command(settings, folder)`` returns the command line, as a list, that trains
        one cell in one process and resumes it if it was begun.
    parallel : int
        Cells that run side by side, one core each.
    progress : bool, optional
        Show a progress bar; by default, if stderr is a terminal.

    Returns
    -------
    failed : dict of str to str
        The cells that failed, with the end of what they wrote to stderr; their whole
        output stands beside their folders as ``<cell>.log``.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunFolderError(
            f"the folder {out} cannot be made ({error}); choose another name."
        ) from error
    waiting = [name for name in cells if not RunFolder(out / name).finished]
    n_finished = len(cells) - len(waiting)
    if n_finished:
        log.info("%d of %d cells are finished already", n_finished, len(cells))
    progress = sys.stderr.isatty() if progress is None else progress
    failed, running, stopping = {}, set(), threading.Event()

    def run(name):
        if stopping.is_set():
            return "not started"
        return _run_cell(command(cells[name], out / name), out / f"{name}.log", running)

    with (
        ThreadPoolExecutor(parallel) as pool,
        tqdm(
            total=len(cells), initial=n_finished, unit="cell", disable=not progress
        ) as bar,
    ):
        jobs = {pool.submit(run, name): name for name in waiting}
        try:
            for job in as_completed(jobs):
                name, error = jobs[job], job.result()
                if error:
                    failed[name] = error
                log.info("%s %s", name, "FAILED" if error else "finished")
                bar.update()
        except BaseException:
            stopping.set()
            for process in tuple(running):
                process.terminate()
            raise
    return failed


def _run_cell(command, log_path, running):
    # One thread each: the cells share the cores, not the threads of a cell.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "BSNN_THREADS": "1"}
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    running.add(process)
    output = process.communicate()[1]
    running.discard(process)
    with replacing(log_path) as file:
        file.write(output)
    return output.strip()[-500:] if process.returncode else ""
