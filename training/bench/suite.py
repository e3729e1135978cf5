"""All workloads of the bench, one after another, as one report."""

from dataclasses import dataclass

from .cpu import run_bench
from .neurons import run_neurons_bench
from .peers import PEERS, is_installed
from .recurrent import run_recurrent_bench
from .report import BenchReport


@dataclass(frozen=True, kw_only=True)
class SuiteReport(BenchReport):
    """What `run_suite` found: a report of each workload, by its name."""

    workloads: dict

    @property
    def comparisons(self):
        return [found for r in self.workloads.values() for found in r.comparisons]

    @property
    def unequal(self):
        return any(report.unequal for report in self.workloads.values())

    def table(self):
        return "\n\n".join(
            f"{name}\n{'-' * len(name)}\n{report.table()}"
            for name, report in self.workloads.items()
        )

    def to_page(self):
        """Return the report as a page of Markdown."""
        parts = [
            f"## {name}\n\n```text\n{report.table()}\n```"
            for name, report in self.workloads.items()
        ]
        return "\n\n".join(["# Benchmark", *parts]) + "\n"


def run_suite(settings, workload, *, repeats=7, stock=True, peers=None):
    """Measure a chain, recurrent neurons, any neurons, and what they stand beside.

    Parameters
    ----------
    settings : Settings
        With the rule "grid"; of its network the chain alone, of precision, seed and
        workers all workloads.
    workload : Workload
        Of 784 inputs.
    repeats : int
        Measurements of each kind, after one that does not count.
    stock : bool
        Also measure stock Brian2 with the chain and the recurrent neurons.
    peers : sequence of str, optional
        Libraries to measure there, those that are installed unless given.

    Returns
    -------
    report : SuiteReport

    Raises
    ------
    ValueError
        If there are too few repeats, or the rule is not "grid".
    """
    if peers is None:
        peers = [name for name in PEERS if is_installed(name)]
    beside = {"repeats": repeats, "stock": stock, "peers": peers}
    options = {
        name: getattr(settings, name) for name in ("precision", "seed", "workers")
    }
    return SuiteReport(
        workloads={
            "chain": run_bench(settings, workload, **beside),
            "recurrent": run_recurrent_bench(**options, **beside),
            "neurons": run_neurons_bench(
                workload, **options, repeats=repeats, peers=peers
            ),
        }
    )
