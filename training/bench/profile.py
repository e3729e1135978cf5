"""Where a training step of a network goes: each code object of its program, timed.

The program is built anew with a clock around each code object, and runs on one core.
What the clock itself takes is measured in the program, and left out.
"""

import logging
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bsnn.machine import versions
from bsnn.training.derived_network import DerivedNetwork
from bsnn.training.losses import SpikeCountLoss
from bsnn.training.trace_losses import ReadoutLoss

from .describe import check_repeats, describe_machine
from .measure import one_thread, training_step
from .neurons import (
    ADEX_WEIGHTS,
    BATCH_SIZE,
    CHAIN_WEIGHTS,
    adex_network,
    batch_of,
    chain_network,
)
from .recurrent_network import Recurrent
from .report import BenchReport
from .rows import aligned

log = logging.getLogger(__name__)
COLUMNS = ("code", "calls", "seconds")
WHOLE = ("run", "pull_back")  # what requests take, the loop over steps included
CLOCK = "clock"  # of what requests take, that of timing
# What they visit of a population; others visit all neurons.
_AT_SPIKES = "spike_resetter|adjoint_(reset|crossing|release)"


@dataclass(frozen=True, kw_only=True)
class ProfileReport(BenchReport):
    """What `run_profile` found.

    Parameters
    ----------
    setting, machine, versions : dict
        What was measured, on what, with what.
    networks : dict of str to list of dict
        Of each network a row for each code object, for `WHOLE` and for `CLOCK`: `code`,
        `calls` and `seconds` of a training step; what it visits, `unit`, and how many
        of those in a step, `visits`.
    """

    setting: dict
    machine: dict
    versions: dict
    networks: dict

    comparisons = ()

    def table(self):
        machine, s = self.machine, self.setting
        rows = [
            ("machine", f"{machine['processor']}, load {machine['load']:.1f} before"),
            ("step", f"{BATCH_SIZE} samples, {s['precision']}, one core"),
        ]
        for name, found in self.networks.items():
            whole = {c["code"]: c["seconds"] for c in found if c["code"] in WHOLE}
            clock = sum(c["seconds"] for c in found if c["code"] == CLOCK)
            codes = [c for c in found if c["code"] not in (*WHOLE, CLOCK)]
            total = sum(whole.values()) - clock
            inside = sum(c["seconds"] for c in codes)
            ways = [f"{n} {1e3 * s:.2f}" for n, s in sorted(whole.items())]
            told = f"{', '.join(ways)}, of both the clock {1e3 * clock:.2f}"
            rows += [("", ""), (name, f"{1e3 * total:9.3f} ms: {told}")]
            for c in sorted(codes, key=lambda c: -c["seconds"]):
                text = f"{1e3 * c['seconds']:9.3f} ms  {c['seconds'] / total:6.1%}"
                if c["visits"]:
                    each = 1e9 * c["seconds"] / c["visits"]
                    text += f"  {each:8.3f} ns a {c['unit']}"
                rows.append((f"  {c['code']}", text))
            rest = total - inside
            rows.append(("  around them", f"{1e3 * rest:9.3f} ms  {rest / total:6.1%}"))
        return aligned(rows)


def run_profile(workload, *, precision, seed, repeats):
    """Time the code objects of three networks, by the derived adjoint.

    Parameters
    ----------
    workload : Workload
        Of 784 inputs.
    precision : {"single", "double"}
    seed : int
    repeats : int
        Training steps; they are averaged.

    Returns
    -------
    report : ProfileReport

    Raises
    ------
    ValueError
        If there are too few repeats.
    """
    check_repeats(repeats)
    machine = describe_machine()  # its load, before ours
    options = {"precision": precision, "seed": seed, "workers": 1}
    networks, count_loss, readout = {}, SpikeCountLoss(), ReadoutLoss("max")

    def counted(activity, labels):
        return count_loss([activity["hidden"], activity["out"]], labels)

    def read_out(activity, labels):
        return readout(activity["out"].trace["v"], labels)

    chain, adex, recurrent = chain_network(), adex_network(), Recurrent()
    for name, network, weights, given, loss in (
        (
            "CUBA LIF 784-800-10",
            chain,
            CHAIN_WEIGHTS,
            batch_of(workload, chain),
            counted,
        ),
        ("AdEx 784-400-10", adex, ADEX_WEIGHTS, batch_of(workload, adex), counted),
        (
            "ALIF 80-256-10, recurrent",
            recurrent.network,
            recurrent.weights(recurrent.network, seed),
            recurrent.batch(BATCH_SIZE, seed),
            read_out,
        ),
    ):
        log.info("building and measuring %s", name)
        networks[name] = profiled(network, weights, *given, loss, repeats, options)
    return ProfileReport(
        setting={"workload": workload.name, "repeats": repeats, **options},
        machine=machine,
        versions=versions(),
        networks=networks,
    )


def profiled(network, weights, inputs, labels, loss, n_steps, options):
    """Return the rows of a network, as `ProfileReport.networks` has them.

    Parameters
    ----------
    network : Network
    weights, options
        As for `DerivedNetwork`.
    inputs : Spikes
    labels : ndarray
    loss : callable
        ``loss(activity, labels)``.
    n_steps : int
        Training steps that are averaged.
    """
    activity = {}

    def value():
        activity.update(net(inputs))
        return loss(activity, labels)

    options = {"gradient": "adjoint", **options}
    with timed_programs() as folder, one_thread():
        with DerivedNetwork(network, weights=weights, **options) as net:
            step = training_step(net, value)
            for _ in range(n_steps):
                step()
        table = read_times(folder)
    fired = {n: a.record.n_spikes for n, a in activity.items() if a.record is not None}
    fired["in"] = inputs.n_spikes
    rows = []
    for code, calls, seconds in table.itertuples(index=False):
        unit, visits = _visits(code, calls / n_steps, network, fired)
        rows.append(
            {
                "code": code.removeprefix("group_").removesuffix("_codeobject"),
                "calls": calls / n_steps,
                "seconds": seconds / n_steps,
                "unit": unit,
                "visits": visits,
            }
        )
    return rows


def _visits(code, calls, network, fired):
    """Return what a code object visits, and how many of those in all its calls."""
    joined = re.fullmatch(r"(?:adjoint_|worth_)?projection_(\d+)_codeobject", code)
    if joined:
        connection = network.connections[int(joined[1])]
        n_post = network.named[connection.target].size
        return "synaptic event", fired[connection.source] * n_post
    for part in network.groups:
        inside = re.fullmatch(rf"group_{part.name}_(.+)_codeobject", code)
        if inside and re.fullmatch(_AT_SPIKES, inside[1]):
            return "spike", fired.get(part.name, 0)
        if inside:
            return "neuron and step", calls * part.size
    return "", 0


@contextmanager
def timed_programs() -> Iterator[Path]:
    """Be in a context in which programs are built with clocks, and leave their times.

    Yields
    ------
    folder : Path
        Where `read_times` finds them, of the programs that have ended.
    """
    before = os.environ.get("BSNN_PROFILE")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["BSNN_PROFILE"] = folder
        try:
            yield Path(folder)
        finally:
            os.environ.pop("BSNN_PROFILE")
            if before is not None:
                os.environ["BSNN_PROFILE"] = before


def read_times(folder: Path) -> pd.DataFrame:
    """Return `COLUMNS` of all programs in a folder, summed over them by `code`."""
    parts = [
        pd.read_csv(path, sep="\t", names=COLUMNS) for path in folder.glob("*.tsv")
    ]
    return pd.concat(parts).groupby("code", as_index=False).sum()
