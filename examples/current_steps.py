"""AdEx fitted to current steps, by the spike times of its free run
=================================================================

::

    BSNN_DATA=folder python examples/current_steps.py

A pyramidal cell of the somatosensory cortex was given ten steps of current, each 2 s
long; it fires 8 to 30 spikes and adapts (challenge B of the quantitative single-neuron
modelling competition 2007: Jolivet et al. 2008, doi:10.1007/s00422-008-0261-x;
`qsnmc2007-b/C010302A1` in the folder). Nine parameters of the adaptive exponential
integrate-and-fire neuron are fitted to every second step and tested on the others.

The neuron runs freely: nothing tells it when the cell fired. Two objectives are
descended at once. The k-th spike of the neuron should come when the cell's k-th does,
on a logarithmic scale of the time since the step began, so that the first spikes count
as much as the last; who has no k-th spike is taken to fire when the step ends. The
potential should be the cell's before the first spike and after the step. Gradients of
spike times go through every earlier spike, reset and jump of adaptation; as they grow
with each, the gradient of a step is cut to length one.

The same losses are minimised without gradients by the evolution strategy CMA, if
nevergrad is installed. A simulated second is one of one neuron; a gradient counts
three, for the run, its repetition and the sweep backwards.

After 40,500 simulated seconds the loss of the tested steps is 1.70 by gradients and
1.93 by CMA, of the fitted ones 1.66 and 1.36 (one seed); 1.66 is reached by CMA after
9,450 s and by gradients after 32,400. So for nine parameters a search is the cheaper
way down, and no better on what it was not fitted to. By gradients the tested steps have
10, 16, 21, 26 and 32 spikes, the cell 9, 13, 18, 24 and 30; the first come within 5 ms
of the cell's. The root mean square error is 10 % of a spike's time since the step
began, and 1.6 mV of the potential before the first spike and after the step.
"""

import bsnn  # isort: skip  before torch, whose idle threads would spin

import argparse
import os
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import torch
from brian2 import amp, ms, mV, nS, pA, pF, second

from bsnn.training import DerivedNetwork, TraceLoss

DT, ONSET, END = 0.25e-3, 0.70025, 2.7  # seconds
SPREAD = 0.1  # of the logarithm of a spike's time: what counts as one
SCALE = 2e-3  # volt: what of the potential does
N_STEPS, LEARNING_RATE, EVERY = 900, 0.06, 30

EQUATIONS = """
dv/dt = (g_L*(E_L - v) + g_L*Delta_T*exp((v - V_T)/Delta_T) - u + I_stim(t, i))/C : volt (unless refractory)
du/dt = (a*(v - E_L) - u)/tau_u : amp
"""  # noqa: E501
FIRST = {
    **{"C": 150 * pF, "g_L": 6 * nS, "E_L": -74 * mV, "V_T": -50 * mV},
    **{"Delta_T": 2 * mV, "a": 1 * nS, "tau_u": 150 * ms, "b": 40 * pA},
    "V_r": -58 * mV,
}
BOUNDS = {
    **{"C": (20 * pF, 500 * pF), "g_L": (1 * nS, 50 * nS), "V_T": (-60 * mV, -40 * mV)},
    **{"Delta_T": (0.5 * mV, 6 * mV), "a": (-2 * nS, 50 * nS), "b": (0 * pA, 500 * pA)},
    **{"tau_u": (10 * ms, 1000 * ms), "V_r": (-70 * mV, -44 * mV)},
}
# Parts of the first value that are a step alike: 4 % of a conductance, 0.3 mV.
ALIKE = dict.fromkeys(FIRST, 1.0) | dict.fromkeys(("E_L", "V_T", "V_r"), 0.15)


class Recording(NamedTuple):
    """Current and potential (n_samples, n_steps) in SI, and times of each's spikes."""

    current: np.ndarray
    v: np.ndarray
    spikes: list

    def part(self, which):
        spikes = [self.spikes[k] for k in np.flatnonzero(which)]
        return Recording(self.current[which], self.v[which], spikes)


def load(folder):
    """Read the cell's steps of current, from the weakest to the strongest."""
    path = Path(folder) / "qsnmc2007-b" / "C010302A1" / "train" / "train3"
    files = sorted(path.glob("*.asc"))
    if not files:
        raise SystemExit(f"{path} is missing; BSNN_DATA names qsnmc2007-b's folder.")
    columns = [np.loadtxt(f, skiprows=3, usecols=(1, 2)).T for f in files]
    current, v = (np.stack(c) for c in zip(*columns, strict=True))
    up = (v[:, 1:] >= -10) & (v[:, :-1] < -10)
    spikes = [torch.from_numpy(DT * (np.flatnonzero(row) + 1)) for row in up]
    return Recording(1e-12 * current, 1e-3 * v, spikes)


def network(n_steps):
    """Return the free neuron as a module."""
    neuron = bsnn.Neuron(
        EQUATIONS,
        threshold="v > V_T + 4*Delta_T",
        reset="v = V_r; u += b",
        refractory=3 * ms,
        method="rk2",
        parameters=FIRST,
        currents={"I_stim": amp},
        initial={"v": -71 * mV},
    )
    cell = bsnn.Population("cell", 1, neuron, record=["v"])
    clock = {"dt": DT * second, "duration": n_steps * DT * second}
    return DerivedNetwork(
        bsnn.Network([cell], [], **clock),
        weights={},
        learn={"cell": list(FIRST)},
        bounds={"cell": BOUNDS},
        precision="double",
    )


def run(net, recording):
    """Return the potential and the times of each sample."""
    activity = net({"cell": {"I_stim": recording.current[..., None]}})["cell"]
    offset = activity.record.offset
    times = [activity.time[a:b] for a, b in zip(offset, offset[1:], strict=False)]
    return activity.trace["v"], times


def losses(net, recording):
    """Return the mean squared error of spike times, and distance of the potential."""
    v, times = run(net, recording)
    pairs = list(zip(times, recording.spikes, strict=True))
    error = torch.cat([latencies(*p) - latencies(*reversed(p)) for p in pairs])
    n_spikes = sum(map(len, recording.spikes))
    compared = torch.zeros(v.shape)
    compared[:, round((END + 0.05) / DT) :] = 1
    for sample, pair in enumerate(pairs):
        first = min(t[0].item() if len(t) else END for t in pair)
        compared[sample, round(0.1 / DT) : round((first - 2e-3) / DT)] = 1
    distance = TraceLoss(scale=SCALE)(v, recording.v[..., None], compared)
    return (error / SPREAD).square().sum() / n_spikes, distance


def latencies(times, others):
    """Return the logarithms of times since onset, as many as the longer train has."""
    missing = max(len(others) - len(times), 0)
    since = torch.cat([times - ONSET, times.new_full((missing,), END - ONSET)])
    return since.clamp(1e-3, END - ONSET).log()


class Checkpoint(NamedTuple):
    """Losses on both parts after some simulated seconds, and the parameters."""

    seconds: float
    train: float
    test: float
    values: dict


class Fit:
    """Keeps what a fit has reached; counts the seconds that it simulates."""

    def __init__(self, net, train, test):
        self.net, self.train, self.test = net, train, test
        self.unit = DT * train.current.size
        self.seconds, self.history = 0.0, []

    def note(self):
        """Keep a checkpoint; what it simulates is not the fit's."""
        with torch.no_grad():
            both = [float(sum(losses(self.net, p))) for p in (self.train, self.test)]
        values = {k: v.clone() for k, v in self.net.learned.state_dict().items()}
        self.history.append(Checkpoint(self.seconds, *both, values))


def descend(fit, n_steps):
    """Descend both losses together."""
    learned = dict(fit.net.learned["cell"])
    groups = [
        {"params": [value], "lr": LEARNING_RATE * ALIKE[name]}
        for name, value in learned.items()
    ]
    optimizer = torch.optim.Adam(groups, betas=(0.9, 0.99))
    slower = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_steps)
    fit.note()
    for step in range(1, n_steps + 1):
        optimizer.zero_grad()
        sum(losses(fit.net, fit.train)).backward()
        torch.nn.utils.clip_grad_norm_(learned.values(), 1.0)
        optimizer.step()
        slower.step()
        fit.seconds += 3 * fit.unit
        if step % EVERY == 0 or step == n_steps:
            fit.note()


def evolve(fit, n_evaluations):
    """Minimise the same sum of losses without gradients."""
    import nevergrad

    learned = dict(fit.net.learned["cell"])
    first = {name: value.item() for name, value in learned.items()}
    away = nevergrad.p.Array(init=np.zeros(len(first))).set_mutation(sigma=0.1)
    away.random_state.seed(0)
    search = nevergrad.optimizers.CMA(away, budget=n_evaluations)

    def place(point):
        with torch.no_grad():
            for (name, value), by in zip(learned.items(), point.value, strict=True):
                value.fill_(first[name] + ALIKE[name] * by)

    fit.note()
    for evaluation in range(1, n_evaluations + 1):
        point = search.ask()
        place(point)
        try:
            with torch.no_grad():
                loss = float(sum(losses(fit.net, fit.train)))
        except bsnn.errors.NumbersError:  # the potential has left all bounds
            loss = np.inf
        search.tell(point, min(loss, 1e6) if np.isfinite(loss) else 1e6)
        fit.seconds += fit.unit
        if evaluation % (3 * EVERY) == 0 or evaluation == n_evaluations:
            place(search.recommend())
            fit.note()


def fits(train, test, n_steps):
    """Fit by each method, with as many simulated seconds; return them by name."""
    ways = {"gradients": (descend, n_steps), "CMA": (evolve, 3 * n_steps)}
    try:
        import nevergrad  # noqa: F401
    except ImportError:
        print("pip install nevergrad to compare with a fit without gradients")
        del ways["CMA"]
    found = {}
    for name, (way, budget) in ways.items():
        with network(train.current.shape[1]) as net:
            found[name] = Fit(net, train, test)
            way(found[name], budget)
    return found


def best(history):
    """Return the checkpoint with the least loss on the training part."""
    return min(history, key=lambda c: c.train)


def show(found):
    """Print what each fit reached, and when it passed what the weakest reached."""
    common = max(best(fit.history).train for fit in found.values())
    print(
        f"{'fit':10} {'train':>6} {'test':>6} {'simulated':>10} "
        f"{f'to {common:.2f}':>10}"
    )
    for name, fit in found.items():
        kept = best(fit.history)
        first = next(c.seconds for c in fit.history if c.train <= common)
        print(
            f"{name:10} {kept.train:6.2f} {kept.test:6.2f} "
            f"{fit.seconds:8.0f} s {first:8.0f} s"
        )


def compare(recording, history, tested):
    """Print the parameters, and each step's spikes; return potential and times."""
    with network(recording.current.shape[1]) as net, torch.no_grad():
        net.learned.load_state_dict(best(history).values)
        v, times = run(net, recording)
        spikes, distance = (x.item() for x in losses(net, recording.part(tested)))
        values = net.values()
    print(", ".join(f"{name} = {value}" for (_, name), value in values.items()))
    print(
        "root mean square error of the tested steps: "
        f"times {100 * SPREAD * spikes**0.5:.0f} %, "
        f"potential {1e3 * SCALE * distance**0.5:.1f} mV"
    )
    on = slice(round(0.8 / DT), round(2.6 / DT))
    print(f"{'current':>9} {'spikes of the cell, neuron':>28} {'first spike':>20}")
    for k, (mine, cell) in enumerate(zip(times, recording.spikes, strict=True)):
        first = [
            f"{1e3 * (float(t[0]) - ONSET):.1f}" if len(t) else "-"
            for t in (cell, mine)
        ]
        print(
            f"{1e12 * recording.current[k, on].mean():6.0f} pA "
            f"{len(cell):23d} {len(mine):4d} {first[0]:>11} {first[1]:>5} ms"
            f"{'  tested' if tested[k] else ''}"
        )
    return v, times


def draw(recording, v, times, tested, found):
    """Draw the potential of a tested step, spikes of all, and loss over seconds."""
    _, (top, middle, bottom) = plt.subplots(3, figsize=(9, 8.5), layout="constrained")
    shown = np.flatnonzero(tested)[len(np.flatnonzero(tested)) // 2]
    seconds = DT * np.arange(v.shape[1]) - ONSET
    top.plot(seconds, 1e3 * recording.v[shown], color="0.6", label="cell")
    top.plot(seconds, 1e3 * v[shown, :, 0], lw=1, label="neuron")
    top.set(xlabel="time since the step began (s)", ylabel="potential (mV)")
    top.legend(title="a tested step", loc="upper right")
    for k, (mine, cell) in enumerate(zip(times, recording.spikes, strict=True)):
        color = "C1" if tested[k] else "C0"
        middle.eventplot(
            cell.numpy() - ONSET, lineoffsets=k + 0.2, linelengths=0.35, colors="0.5"
        )
        middle.eventplot(
            mine.numpy() - ONSET, lineoffsets=k - 0.2, linelengths=0.35, colors=color
        )
    middle.set(
        xlabel="time since the step began (s)",
        ylabel="step of current",
        xlim=(-0.02, 2.02),
    )
    middle.set_title("grey: the cell; blue: fitted; orange: tested", fontsize="medium")
    for name, fit in found.items():
        x = [c.seconds for c in fit.history[1:]]
        (line,) = bottom.plot(
            x, [c.test for c in fit.history[1:]], label=f"{name}, tested"
        )
        bottom.plot(
            x,
            [c.train for c in fit.history[1:]],
            ":",
            color=line.get_color(),
            label=f"{name}, fitted",
        )
    bottom.set(yscale="log", xlabel="simulated seconds", ylabel="loss")
    bottom.yaxis.set_major_formatter("{x:g}")
    bottom.yaxis.set_minor_formatter("{x:g}")
    bottom.legend()


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--steps",
        type=int,
        default=N_STEPS,
        help="of gradient descent; default %(default)s",
    )
    arguments = parser.parse_args()
    if "BSNN_DATA" not in os.environ:
        raise SystemExit("set BSNN_DATA to the folder that holds qsnmc2007-b.")
    recording = load(os.environ["BSNN_DATA"])
    tested = np.arange(len(recording.v)) % 2 == 1
    found = fits(recording.part(~tested), recording.part(tested), arguments.steps)
    show(found)
    v, times = compare(recording, found["gradients"].history, tested)
    draw(recording, v, times, tested, found)
    plt.show()


if __name__ == "__main__":
    main()
