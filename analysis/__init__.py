"""Analyses of recorded spikes and of sweeps; nothing heavy loads until it is used."""

from bsnn.lazy import lazy_names

_HOME = {
    "Measurement": ".measurement",
    "accuracy": ".metrics",
    "as_spikes": ".recorded",
    "console_table": ".report.results",
    "dead_labels": ".metrics",
    "first_output_latency": ".latency",
    "first_spike_latency": ".latency",
    "make_figures": ".figures.catalogue",
    "membrane_trace": ".traces",
    "mean_latency": ".latency",
    "pareto_front": ".pareto",
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
