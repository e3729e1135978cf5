"""The report of a bench: what was measured, as JSON and as a table."""

import dataclasses
import json
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from .rows import MIB, aligned, head, layers, peer_rows, phase_rows, stock_rows


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

    def per_second(self, n):
        """Return the spread of a speed, of seconds that `n` took."""
        return Spread(
            median=n / self.median, low=n / self.high, high=n / self.low, n=self.n
        )

    def text(self, scale, unit, digits=3):
        """Return the spread times `scale`, a number of that unit."""
        low, median, high = (
            scale * value for value in (self.low, self.median, self.high)
        )
        return (
            f"{median:9.{digits}f} {unit}  "
            f"({low:.{digits}f} to {high:.{digits}f}, n = {self.n})"
        )


def speeds(found, n):
    """Return samples per second, of Spreads of a `call` and a `training` step of n."""
    return {
        "forward": found["call"].per_second(n),
        "training": found["training"].per_second(n),
    }


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
        Seconds of a minibatch, by the names of `measure.PHASES`. `simulate` is what the
        program takes for its steps by its own clock, `exchange` the rest of the call.
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
            *head(self.setting, self.machine, self.versions, batch),
            ("spikes per sample", layers(self.spikes, "input")),
            ("build", f"{self.build['seconds']:.2f} s ({state})"),
            ("", ""),
            *self._costs(),
        ]
        for stock in self.stock:
            rows += [("", ""), *stock_rows(stock)]
        if self.peers:
            rows += [("", "")]
        for peer in self.peers:
            rows += peer_rows(
                peer, {"forward": self.forward, "training": self.training}
            )
        return aligned(rows)

    def _costs(self):
        yield from phase_rows(self.phases)
        yield "fixed cost", self.fixed_cost.text(1e3, "ms")
        yield "forward", self.forward.text(1, "samples/s", 0)
        yield "training", self.training.text(1, "samples/s", 0)
        programs = " + ".join(f"{p / MIB:.0f}" for p in self.memory["programs"])
        yield (
            "peak memory",
            f"{self.memory['total'] / MIB:9.0f} MiB ({self.memory['parent'] / MIB:.0f} "
            f"+ programs {programs}, shared pages in each)",
        )


@dataclass(frozen=True, kw_only=True)
class ReplicasReport(BenchReport):
    """What a bench over numbers of replicas found on a GPU, beside the C++ target.

    Parameters
    ----------
    setting, machine, versions : dict
        What was measured, on what, with what; `machine` names the `gpu`.
    points : list of dict
        One for each number of `replicas`: what the targets `cuda` and `cpp` did on the
        same weights and input, and whether their spikes are `equal`, which in single
        precision rounding may prevent. A target has Spreads `forward` and `training` in
        samples per second, and `spikes` per sample of the input and each layer.
    """

    setting: dict
    machine: dict
    versions: dict
    points: list

    @property
    def comparisons(self):
        return self.points

    def over_replicas(self, before=(), after=()):
        """Return a line for each number of replicas, and one of their spikes.

        Parameters
        ----------
        before, after : sequence of pair
            Columns besides the speeds: a title, and a function of a point that returns
            its text.
        """
        columns = [
            ("replicas", lambda point: f"{point['replicas']}"),
            *before,
            *self._speed_columns("forward"),
            *self._speed_columns("training"),
            *after,
        ]
        lines = [[title for title, _ in columns]]
        lines += [[cell(point) for _, cell in columns] for point in self.points]
        text = ["".join(f"{cell:>12}" for cell in line) for line in lines]
        spikes = layers(self.points[-1]["cuda"]["spikes"], "input")
        equal = sum(point["equal"] for point in self.points)
        text.append(
            f"spikes per sample {spikes}, equal to C++ spike by spike in {equal} of "
            f"{len(self.points)} rows"
        )
        return "\n".join(text)

    def _speed_columns(self, kind):
        def speed(point, target):
            return point[target][kind].median

        return [
            (f"{kind}/s", lambda p: f"{speed(p, 'cuda'):.0f}"),
            ("C++", lambda p: f"{speed(p, 'cpp'):.0f}"),
            ("times", lambda p: f"{speed(p, 'cuda') / speed(p, 'cpp'):.1f}"),
        ]


@dataclass(frozen=True, kw_only=True)
class GpuReport(ReplicasReport):
    """What `run_gpu_bench` found.

    Parameters
    ----------
    points : list of dict
        As of `ReplicasReport`, with the `batch_size` and `batches` of a measurement and
        the `build` of the program. A target has also `fixed_cost` in seconds of a call
        with one sample, less its simulation; `call`, the seconds of all of it; and the
        `phases` of a minibatch.
    peers : list of dict
        Other libraries on the same GPU, with the batch of the last point.
    """

    peers: list

    def table(self):
        last = self.points[-1]
        rows = [
            *head(self.setting, self.machine, self.versions, "of each row"),
            ("GPU", self.machine["gpu"]),
        ]
        phases = [
            (f"phases at {last['replicas']} replicas", ""),
            *phase_rows(last["cuda"]["phases"]),
        ]
        for peer in self.peers:
            phases += peer_rows(peer, last["cuda"])
        points = self.over_replicas(
            before=[("batch", lambda point: f"{point['batch_size']}")],
            after=[
                ("call/ms", lambda p: f"{1e3 * p['cuda']['call'].median:.2f}"),
                ("fixed/ms", lambda p: f"{1e3 * p['cuda']['fixed_cost'].median:.2f}"),
            ],
        )
        return "\n\n".join([aligned(rows), points, aligned(phases)])
