"""The cells of a sweep on a cluster that Dask manages."""

import asyncio
import concurrent.futures
import logging

from bsnn.errors import BackendUnavailable
from bsnn.processes.tasks import run_task

PATIENCE = 10  # seconds in which a scheduler must answer

log = logging.getLogger(__name__)


def run_on_cluster(tasks, *, address):
    """Run tasks on the workers of a Dask scheduler, and yield each one's end.

    Each task has a process of its own beside the Dask worker's, which ends when that
    worker does; the scheduler then gives the task to another worker.

    Parameters
    ----------
    tasks : sequence of Task
        Their logs, and all they write, lie on a file system that the workers share.
    address : str
        Of the scheduler, such as "tcp://node1:8786".

    Yields
    ------
    name, error : str
        As `tasks.run_tasks`.

    Raises
    ------
    BackendUnavailable
        If `distributed` is not installed, no scheduler answers within `PATIENCE`, or it
        is lost on the way.
    """
    distributed = _import_distributed()
    try:
        client = distributed.Client(address, timeout=PATIENCE)
    except (OSError, ValueError) as error:
        raise BackendUnavailable(
            f"no Dask scheduler answered at {address!r} within {PATIENCE} s ({error}); "
            "start one with 'dask scheduler' and give the address that it prints."
        ) from error
    # It would print its own traceback of what is reported here in one message.
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
    with client:
        if not client.scheduler_info()["workers"]:
            log.info("%s has no workers yet; waiting for some", address)
        futures = {
            # The log names the cell on the shared file system: the same cell, asked
            # for again after this process was killed, is the same task.
            client.submit(run_task, task, key=f"bsnn-{task.log}"): task.name
            for task in tasks
        }
        for future in distributed.as_completed(futures):
            yield futures[future], _end(future, address)


def _end(future, address):
    try:
        return future.result()
    except (asyncio.CancelledError, concurrent.futures.CancelledError) as error:
        raise BackendUnavailable(
            f"the Dask scheduler at {address!r} was lost; start the sweep again, its "
            "cells go on from their last epochs."
        ) from error
    except Exception as error:  # what Dask says when a task takes its workers down
        return f"{type(error).__name__}: {error}".splitlines()[0]


def _import_distributed():
    try:
        import distributed
    except ImportError as error:
        raise BackendUnavailable(
            "'scheduler' needs the package 'distributed', which is not installed; "
            "pip install 'bsnn[cluster]', here and on the cluster."
        ) from error
    return distributed
