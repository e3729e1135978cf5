"""Analyses of recorded spikes and of sweeps; nothing heavy loads until it is used."""

from typing import TYPE_CHECKING

from bsnn.lazy import lazy_names

if TYPE_CHECKING:  # what editors complete
    from bsnn.recorded import as_spikes as as_spikes

    from .decisions import decision_latency as decision_latency
    from .figures.catalogue import make_figures as make_figures
    from .figures.recordings import plot_raster as plot_raster
    from .figures.recordings import plot_traces as plot_traces
    from .latency import first_output_latency as first_output_latency
    from .latency import first_spike_latency as first_spike_latency
    from .latency import mean_latency as mean_latency
    from .latency import sample_latency as sample_latency
    from .measurement import Measurement as Measurement
    from .metrics import accuracy as accuracy
    from .metrics import dead_labels as dead_labels
    from .metrics import prediction_confidence as prediction_confidence
    from .metrics import silent_fraction as silent_fraction
    from .metrics import spikes_per_sample as spikes_per_sample
    from .metrics import undecided as undecided
    from .pareto import pareto_front as pareto_front
    from .report.report import write_report as write_report
    from .report.results import console_table as console_table
    from .study.sweep import read_sweep as read_sweep
    from .traces import membrane_trace as membrane_trace

_HOME = {
    "Measurement": ".measurement",
    "accuracy": ".metrics",
    "as_spikes": "bsnn.recorded",
    "console_table": ".report.results",
    "dead_labels": ".metrics",
    "decision_latency": ".decisions",
    "first_output_latency": ".latency",
    "first_spike_latency": ".latency",
    "make_figures": ".figures.catalogue",
    "membrane_trace": ".traces",
    "mean_latency": ".latency",
    "pareto_front": ".pareto",
    "plot_raster": ".figures.recordings",
    "plot_traces": ".figures.recordings",
    "prediction_confidence": ".metrics",
    "read_sweep": ".study.sweep",
    "sample_latency": ".latency",
    "silent_fraction": ".metrics",
    "spikes_per_sample": ".metrics",
    "undecided": ".metrics",
    "write_report": ".report.report",
}
__all__ = [*_HOME]
__getattr__, __dir__ = lazy_names(__name__, _HOME)
