"""Recorded spikes and traces as a file of NWB, Neurodata Without Borders.

The samples follow one another on the file's one axis of time, each as long as all are.
They are its trials, with their labels. Each neuron is a unit, with the times that a
``SpikeMonitor`` gives its spikes, and each recorded variable of a population a
``TimeSeries``.

References
----------
Rübel et al. 2022, doi:10.7554/eLife.78362.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

import numpy as np

from bsnn.extras import needed
from bsnn.files import replacing

from .recording import recording_of


def write_nwb(
    path,
    recorded,
    *,
    description: str,
    start: datetime | None = None,
    metadata: Mapping = MappingProxyType({}),
    **options,
) -> None:
    """Write what was recorded to a file of NWB, usually called ``.nwb``.

    Parameters
    ----------
    path : path
        The file appears complete or not at all.
    recorded : Spikes, SpikeMonitor, pair (i, t), Activity, or dict of str to these
        By population; see `bsnn.interchange.recording.recording_of`.
    description : str
        Of the session: what was simulated.
    start : datetime, optional
        When, with its time zone; now unless given.
    metadata : dict
        Further arguments of ``pynwb.NWBFile``, as "experimenter" or "institution".
    **options
        `duration` of a sample, or the `network`; `labels`, `traces` of Brian2's
        ``StateMonitor``, and what else `recording_of` takes.

    Raises
    ------
    BackendUnavailable
        If pynwb is not installed.
    RunFolderError
        If the file cannot be written.
    TypeError, ValueError
        As `recording_of`; or if `start` has no time zone.
    """
    pynwb, h5py = _libraries()
    recording = recording_of(recorded, **options)
    start = datetime.now(UTC) if start is None else start
    if not isinstance(start, datetime) or start.tzinfo is None:
        raise ValueError(
            f"'start' must be a datetime with its time zone, got {start!r}; write "
            "datetime(2026, 1, 31, tzinfo=UTC)."
        )
    file = pynwb.NWBFile(
        **{
            "session_description": description,
            "identifier": str(uuid.uuid4()),
            "session_start_time": start,
            "keywords": ["simulation", "spiking neural network"],
            "source_script": "bsnn.interchange.write_nwb",
            "source_script_file_name": "bsnn",
            **metadata,
        }
    )
    _add_trials(file, recording)
    _add_units(pynwb, file, recording)
    _add_traces(pynwb, file, recording)
    with replacing(Path(path), "w+b") as stream, h5py.File(stream, "w") as opened:
        with pynwb.NWBHDF5IO(file=opened, mode="w") as io:
            io.write(file)


def _libraries():
    with needed("files of NWB need", "pynwb", "nwb"):
        import h5py
        import pynwb
    return pynwb, h5py


def _add_trials(file, recording):
    file.add_trial_column("sample", "place of the sample, from 0")
    if recording.labels is not None:
        file.add_trial_column("label", "the sample's label")
    for m in range(recording.n_samples):
        label = {} if recording.labels is None else {"label": int(recording.labels[m])}
        file.add_trial(
            start_time=m * recording.duration,
            stop_time=(m + 1) * recording.duration,
            sample=m,
            **label,
        )


def _add_units(pynwb, file, recording):
    if not recording.spikes:
        return
    steps = [spikes.dt for spikes in recording.spikes.values() if spikes.dt > 0]
    resolution = {"resolution": min(steps)} if steps else {}
    file.units = pynwb.misc.Units(name="units", description="neurons", **resolution)
    file.add_unit_column("population", "name of the population")
    file.add_unit_column("neuron", "number of the neuron in it, from 0")
    observed = [[0.0, recording.n_samples * recording.duration]]
    for population, spikes in recording.spikes.items():
        times = recording.times(population) + recording.duration * spikes.sample
        order = np.lexsort((times, spikes.neuron))
        counts = np.bincount(spikes.neuron, minlength=spikes.n_neurons)
        each = np.split(times[order], np.cumsum(counts)[:-1])
        for neuron, train in enumerate(each):
            file.add_unit(
                spike_times=train,
                obs_intervals=observed,
                population=population,
                neuron=neuron,
            )


def _add_traces(pynwb, file, recording):
    for (population, variable), trace in recording.traces.items():
        n_samples, n_steps, n_traces = trace.values.shape
        neurons = ", ".join(map(str, trace.neuron[:20]))
        more = ", ..." if n_traces > 20 else ""
        if not np.isclose(n_steps * trace.dt, recording.duration, rtol=1e-9):
            raise ValueError(
                f"the trace {variable!r} of {population!r} has {n_steps} steps of "
                f"{trace.dt} s, which do not fill samples of {recording.duration} s."
            )
        file.add_acquisition(
            pynwb.TimeSeries(
                name=f"{population}_{variable}",
                description=(
                    f"Variable {variable} of population {population}; a column for "
                    f"each of the neurons {neurons}{more}. Samples one after another."
                ),
                data=trace.values.reshape(n_samples * n_steps, n_traces),
                unit=trace.unit,
                starting_time=0.0,
                rate=1 / trace.dt,
            )
        )
