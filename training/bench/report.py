"""The report of a bench: what was measured, as JSON and as a table."""

import dataclasses
import json
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

PHASES = ("encode", "exchange", "simulate", "gradient", "optimiser")
MIB = 2**20


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Median and quartiles of repeated measurements."""

    median: float
    low: float
    high: float
    n: int

    @classmethod
    def of(cls, values):
        low, median, high = np.quantile(values, [0.25, 0.5, 0.75]).tolist()
        return cls(median=median, low=low, high=high, n=len(values))


class BenchReport(ABC):
    """What a bench found: a dataclass with the `setting` of the measurements."""

    @property
    @abstractmethod
    def comparisons(self):
        """Dicts that say whether the spikes of another simulation are `equal`."""

    @abstractmethod
    def table(self):
        """Return the report as lines of aligned text."""

    def to_dict(self):
        return dataclasses.asdict(self)

    def to_json(self):
        return json.dumps(self.to_dict(), indent=2) + "\n"

    @property
    def unequal(self):
        """Whether another simulation gave other spikes, which in double must not be."""
        double = self.setting["precision"] == "double"
        return double and not all(found["equal"] for found in self.comparisons)


@dataclass(frozen=True, kw_only=True)
class Report(BenchReport):
    """What `run_bench` found.

    Parameters
    ----------
    setting, machine, versions : dict
        What was measured, on what, with what.
    build : dict
        `seconds` until the program was there, and whether it was `cached`.
    phases : dict of str to Spread
        Seconds of a minibatch, by the names of `PHASES`. `simulate` is what the program
        takes for its steps by its own clock, `exchange` the rest of the call.
    forward, training : Spread
        Samples per second. A training step overlaps the encoding of the next batch.
    fixed_cost : Spread
        Seconds of a call with one sample, less its simulation.
    memory : dict
        Peak bytes of the `parent`, the `programs`, and in `total`.
    spikes : list of float
        Per sample, of the input and each layer.
    stock : list of dict
        Stock Brian2 with a batch a call and with a sample a call.
    peers : list of dict
        Other libraries: measurements, or the `error` for which there are none.
    """

    setting: dict
    machine: dict
    versions: dict
    build: dict
    phases: dict
    forward: Spread
    training: Spread
    fixed_cost: Spread
    memory: dict
    spikes: list
    stock: list
    peers: list

    @property
    def comparisons(self):
        return self.stock

    def table(self):
        state = "cached" if self.build["cached"] else "cold"
        batch = f"{self.setting['batch_size']} samples"
        rows = [
            *_head(self.setting, self.machine, self.versions, batch),
            ("spikes per sample", _layers(self.spikes, "input")),
            ("build", f"{self.build['seconds']:.2f} s ({state})"),
            ("", ""),
            *self._costs(),
        ]
        for stock in self.stock:
            rows += [("", ""), *_stock_rows(stock)]
        if self.peers:
            rows += [("", "")]
        for peer in self.peers:
            rows += _peer_rows(
                peer, {"forward": self.forward, "training": self.training}
            )
        return _aligned(rows)

    def _costs(self):
        yield from _phase_rows(self.phases)
        yield "fixed cost", _spread(self.fixed_cost, 1e3, "ms")
        yield "forward", _spread(self.forward, 1, "samples/s", 0)
        yield "training", _spread(self.training, 1, "samples/s", 0)
        programs = " + ".join(f"{p / MIB:.0f}" for p in self.memory["programs"])
        yield (
            "peak memory",
            f"{self.memory['total'] / MIB:9.0f} MiB ({self.memory['parent'] / MIB:.0f} "
            f"+ programs {programs}, shared pages in each)",
        )


@dataclass(frozen=True, kw_only=True)
class GpuReport(BenchReport):
    """What `run_gpu_bench` found.

    Parameters
    ----------
    setting, machine, versions : dict
        What was measured, on what, with what; `machine` names the `gpu`.
    points : list of dict
        One for each number of `replicas`: the `batch_size` and `batches` of a
        measurement, the `build` of the program, what the targets `cuda` and `cpp` did
        on the same weights and input, and whether their spikes are `equal`, which in
        single precision rounding may prevent. A target has Spreads `forward` and
        `training` in samples per second and `fixed_cost` in seconds of a call with one
        sample, less its simulation; `call`, the seconds of all of it; the `phases` of
        a minibatch; and `spikes` per sample of the input and each layer.
    peers : list of dict
        Other libraries on the same GPU, with the batch of the last point.
    """

    setting: dict
    machine: dict
    versions: dict
    points: list
    peers: list

    @property
    def comparisons(self):
        return self.points

    def table(self):
        last = self.points[-1]
        rows = [
            *_head(self.setting, self.machine, self.versions, "of each row"),
            ("GPU", self.machine["gpu"]),
        ]
        phases = [
            (f"phases at {last['replicas']} replicas", ""),
            *_phase_rows(last["cuda"]["phases"]),
        ]
        for peer in self.peers:
            phases += _peer_rows(peer, last["cuda"])
        return "\n\n".join([_aligned(rows), self._sweep(), _aligned(phases)])

    def _sweep(self):
        columns = (
            "replicas batch forward/s C++ times training/s C++ times call/ms fixed/ms"
        )
        lines = [columns.split()]
        for point in self.points:
            cuda, cpp = point["cuda"], point["cpp"]
            line = [f"{point['replicas']}", f"{point['batch_size']}"]
            for kind in ("forward", "training"):
                ours, theirs = cuda[kind].median, cpp[kind].median
                line += [f"{ours:.0f}", f"{theirs:.0f}", f"{ours / theirs:.1f}"]
            costs = (cuda["call"], cuda["fixed_cost"])
            lines.append(line + [f"{1e3 * cost.median:.2f}" for cost in costs])
        text = ["".join(f"{cell:>12}" for cell in line) for line in lines]
        spikes = self.points[-1]["cuda"]["spikes"]
        equal = sum(point["equal"] for point in self.points)
        return "\n".join(
            [
                *text,
                f"spikes per sample {_layers(spikes, 'input')}, equal to C++ spike by "
                f"spike in {equal} of {len(self.points)} rows",
            ]
        )


def _aligned(rows):
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}".rstrip() for name, value in rows)


def _head(s, m, versions, batch):
    sizes = "-".join(map(str, s["layers"]))
    yield (
        "network",
        f"{sizes}, {s['n_neurons']} neurons, {s['n_synapses']} synapses",
    )
    yield "time step", f"{s['dt_ms']:g} ms, {s['n_steps']} steps"
    yield (
        "batch",
        f"{batch} of {s['dataset']}, after "
        f"{s['warm_up_batches']} batches of training, seed {s['seed']}",
    )
    yield "precision", f"{s['precision']}, {s['workers']} workers"
    yield (
        "machine",
        f"{m['processor']}, {m['n_cores']} cores, load {m['load']:.1f} before",
    )
    yield "versions", ", ".join(f"{k} {v}" for k, v in versions.items())


def _phase_rows(phases):
    for name in PHASES:
        yield name, _spread(phases[name], 1e3, "ms")
    total = sum(phases[name].median for name in PHASES)
    yield "sum of the phases", f"{1e3 * total:9.3f} ms"


def _peer_rows(peer, ours):
    name = peer["name"]
    if "error" in peer:
        first, *more = peer["error"].splitlines()
        # The last line of what a program wrote to stderr says why.
        yield name, f"{first} {more[-1]}" if more else first
        return
    for kind in ("forward", "training"):
        ratio = ours[kind].median / peer[kind].median
        speed = _spread(peer[kind], 1, "samples/s", 0)
        yield f"{name} {kind}", f"{speed}  bsnn is {ratio:.1f} times as fast"
    yield (
        f"{name} {peer['version']}",
        f"{peer['peak_memory'] / MIB:9.0f} MiB, spikes per sample "
        f"{_layers(peer['spikes'], 'layer 1')}",
    )


def _stock_rows(stock):
    name = f"stock Brian2, {stock['n_samples']} a call"
    verdict = "equal spike by spike" if stock["equal"] else "NOT EQUAL"
    yield name, _spread(stock["call"], 1e3, "ms")
    yield "  of it the program", _spread(stock["program"], 1e3, "ms")
    yield "  bsnn, the same call", _spread(stock["bsnn_call"], 1e3, "ms")
    yield "  ratio", f"{stock['ratio']:9.1f}"
    yield "  spikes, stock", _layers(stock["spikes"], "layer 1")
    yield "  spikes, bsnn", f"{_layers(stock['bsnn_spikes'], 'layer 1')}: {verdict}"
    yield "  build", f"{stock['build_seconds']:.1f} s"


def _spread(spread, scale, unit, digits=3):
    low, median, high = (
        scale * value for value in (spread.low, spread.median, spread.high)
    )
    return (
        f"{median:9.{digits}f} {unit}  "
        f"({low:.{digits}f} to {high:.{digits}f}, n = {spread.n})"
    )


def _layers(spikes, first):
    numbers = " + ".join(
        f"{count}" if isinstance(count, int) else f"{count:.1f}" for count in spikes
    )
    return f"{numbers} (from {first})"
