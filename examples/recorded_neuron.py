"""A neuron fitted to recordings of a real cortical neuron, by gradients
=====================================================================

::

    BSNN_DATA=folder python examples/recorded_neuron.py

A cortical neuron was driven nine times with the same 20 s of noise current (Pozzorini
et al. 2015, doi:10.1371/journal.pcbi.1004275; `gif-cell3/frozen_noise.npz` in the
folder). Below is a neuron of two compartments with two spike-triggered currents and a
threshold that follows spikes and potential. Its parameters are fitted to the first
12 s and tested on the last 8 s.

The spike times of a long free run are a rugged function of the parameters. So the
neuron is first simulated under the cell's own spikes: they come as currents, `fired`,
which adds the jumps of adaptation, and `hold`, which holds the potential after a
spike. Two objectives are then smooth and are descended at once: the distance of the
potential from the recorded one, away from spikes, and the likelihood of the recorded
spikes if the neuron fired with the rate exp((v - theta)/width)/(10 ms). The fitted
parameters serve the deterministic neuron, which runs freely.

The same parameters are fitted without gradients by the evolution strategy CMA, if
nevergrad is installed: with the same two objectives, and with those of the free run
(van Rossum distance and potential). Of each fit the parameters count whose free spikes
coincide best with the cell's in the first 12 s, within 4 ms. A simulated second is one
of one neuron; a gradient counts three, for the run, its repetition and the sweep
backwards, and each free run that judges parameters counts, too.

What CMA ends with under the same objectives, 0.645 in the first 12 s, gradients reach
after 756 simulated seconds instead of 36,468, and end at 0.704; CMA on the free run
reaches it after 5,964 and ends at 0.685. After 12 s they coincide by 0.608, 0.630 and
0.628, which is 0.8 of the 0.785 that trials reach with each other, and no difference:
checkpoints of one fit scatter by 0.03.
"""

import bsnn  # isort: skip  before torch, whose idle threads would spin

import os
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import torch
from brian2 import Hz, amp, ms, mV, nS, pA, pF, second

from bsnn.training import DerivedNetwork, TraceLoss, VanRossumLoss, away_from_spikes
from bsnn.training.spike_times import LayerSpikes

DT, HOLD, WINDOW = 0.2e-3, 4e-3, 4e-3  # seconds
TRAIN, END = 12, 20  # seconds: fitted up to, tested up to
N_STEPS, LEARNING_RATE, N_EVALUATIONS = 600, 0.04, 3000

EQUATIONS = """
dv/dt    = {v} : volt {flag}
dv_d/dt  = (v - v_d)/tau_d : volt
dw_1/dt  = (a_w*4*mV*log(1 + exp((v - V_w)/(4*mV))) - w_1)/tau_1 {b_1} : amp
dw_2/dt  = -w_2/tau_2 {b_2} : amp
dth_1/dt = -th_1/tau_3 {b_3} : volt
dth_2/dt = -th_2/tau_4 {b_4} : volt
dth_v/dt = (a_v*4*mV*log(1 + exp((v - V_i)/(4*mV))) - th_v)/tau_v : volt
theta = V_T + th_1 + th_2 + th_v : volt
"""
SLOPE = "(g_L*(E_L - v) + g_d*(v_d - v) - w_1 - w_2 + I_stim(t, i))/C"
HELD = f"(1 - hold(t, i))*{SLOPE} + hold(t, i)*(V_r - v)/tau_hold"
JUMPS = ("b_1", "b_2", "b_3", "b_4")
# C, g_L and E_L as a regression of dV/dt on potential and current gives them.
FIRST = {
    **{"C": 96 * pF, "g_L": 8.3 * nS, "E_L": -56 * mV, "V_r": -30 * mV},
    **{"g_d": 8 * nS, "tau_d": 10 * ms, "a_w": 2 * nS, "V_w": -45 * mV},
    **{"b_1": 60 * pA, "tau_1": 10 * ms, "b_2": 10 * pA, "tau_2": 100 * ms},
    **{"b_3": 8 * mV, "tau_3": 20 * ms, "b_4": 3 * mV, "tau_4": 150 * ms},
    **{"V_T": -38 * mV, "a_v": 0.5, "V_i": -45 * mV, "tau_v": 10 * ms},
}
BOUNDS = {
    **{"C": (20 * pF, 500 * pF), "g_L": (0.5 * nS, 50 * nS), "a_v": (0, 0.98)},
    **{"g_d": (0 * nS, 100 * nS), "a_w": (0 * nS, 500 * nS)},
    **{f"tau_{k}": (1 * ms, 1000 * ms) for k in ("d", "v", 1, 2, 3, 4)},
}
START = {"v": -42 * mV, "v_d": -45 * mV, "th_v": 2 * mV}


class Recording(NamedTuple):
    """Potential (n_repeats, n_steps), current (n_steps,) in SI, and the spikes."""

    v: np.ndarray
    current: np.ndarray
    spikes: bsnn.Spikes

    def until(self, seconds):
        n = round(seconds / DT)
        dense = fired(self.spikes, self.v.shape[1])[:, :n]
        spikes = bsnn.Spikes.from_dense(dense, dt=DT)
        return Recording(self.v[:, :n], self.current[:n], spikes)


def fired(spikes, n_steps):
    """Return 1 where a spike is; shape (n_repeats, n_steps, 1)."""
    dense = np.zeros((spikes.n_samples, n_steps, 1))
    dense[spikes.sample, spikes.step, 0] = 1
    return dense


def load(folder):
    """Read the recording, two samples of 0.1 ms to a step."""
    path = Path(folder) / "gif-cell3" / "frozen_noise.npz"
    if not path.exists():
        raise SystemExit(f"{path} is missing; BSNN_DATA names the folder of gif-cell3.")
    with np.load(path) as file:
        v, current = (
            file[k] * float(file[unit])
            for k, unit in (("v", "v_unit_volt"), ("i", "i_unit_ampere"))
        )
    repeat, at = np.nonzero((v[:, 1:] >= 0) & (v[:, :-1] < 0))
    spikes = bsnn.Spikes.from_events(
        sample=repeat,
        neuron=0 * repeat,
        step=(at + 1) // 2,
        n_samples=len(v),
        n_neurons=1,
        dt=DT,
    )
    v, current = (x.reshape(len(x), -1, 2).mean(2) for x in (v, current))
    return Recording(v, current.mean(0), spikes)


def coincidence_factor(model, cell, duration):
    """Return how far two spike trains coincide: 1 if all do, 0 as by chance.

    Each spike coincides with at most one other. Kistler et al. 1997,
    doi:10.1162/neco.1997.9.5.1015; Jolivet et al. 2008, doi:10.1007/s00422-007-0203-z.

    Parameters
    ----------
    model, cell : array_like, shapes (n_model,), (n_cell,)
        Times in order, in seconds.
    duration : float
        Seconds.
    """
    if len(model) + len(cell) == 0:
        return 1.0
    i = j = n = 0
    while i < len(model) and j < len(cell):
        apart = model[i] - cell[j]
        together = abs(apart) <= WINDOW + 1e-9
        n += together
        i, j = i + (together or apart < 0), j + (together or apart > 0)
    chance = 2 * WINDOW * len(model) / duration
    n_mean = 0.5 * (len(model) + len(cell))
    return (n - chance * len(cell)) / n_mean / (1 - chance)


def mean_factor(model, cell, start, stop):
    """Return the mean coincidence factor of one train with each of several."""

    def part(t):
        return t[(t >= start) & (t < stop)] - start

    return np.mean(
        [coincidence_factor(part(model), part(t), stop - start) for t in cell]
    )


def trains(spikes):
    """Return the times of each sample in seconds."""
    return [spikes.select(m, m + 1).arrival for m in range(spikes.n_samples)]


def ceiling(cell, start, stop):
    """Return how far each repetition coincides with the others, on average."""
    others = [cell[:k] + cell[k + 1 :] for k in range(len(cell))]
    pairs = zip(cell, others, strict=True)
    return np.mean([mean_factor(t, rest, start, stop) for t, rest in pairs])


def network(n_steps, *, forced, size=1):
    """Return the neuron as a module: driven by the cell's spikes, or free."""
    added = {b: f"+ {b}*fired(t, i)" if forced else "" for b in JUMPS}
    text = EQUATIONS.format(
        v=HELD if forced else SLOPE,
        flag="" if forced else "(unless refractory)",
        **added,
    )
    firing = {
        "threshold": "v > theta",
        "reset": "v = V_r; w_1 += b_1; w_2 += b_2; th_1 += b_3; th_2 += b_4",
        "refractory": HOLD * second,
    }
    currents = {"I_stim": amp} | ({"hold": 1, "fired": Hz} if forced else {})
    neuron = bsnn.Neuron(
        text,
        **({} if forced else firing),
        method="euler",
        parameters=FIRST | ({"tau_hold": DT * second} if forced else {}),
        currents=currents,
        initial=START,
    )
    record = ["v", "th_1", "th_2", "th_v"] if forced else ["v"]
    cell = bsnn.Population("cell", size, neuron, record=record)
    clock = {"dt": DT * second, "duration": n_steps * DT * second}
    return DerivedNetwork(
        bsnn.Network([cell], [], **clock),
        weights={},
        learn={"cell": list(FIRST)},
        bounds={"cell": BOUNDS},
        precision="double",
    )


def forced_inputs(recording, repeats):
    """Return currents that impose the cell's spikes; all of shape (n, n_steps, 1)."""
    spike = fired(recording.spikes, len(recording.current))[repeats]
    hold = np.zeros_like(spike)
    for late in range(round(HOLD / DT)):
        hold[:, late:] = np.maximum(hold[:, late:], spike[:, : len(spike[0]) - late])
    current = np.broadcast_to(recording.current[:, None], spike.shape)
    return {"I_stim": current, "hold": hold, "fired": spike / DT}


def forced_losses(net, width, recording, repeats):
    """Return negative log-likelihood per spike, and distance of the potential."""
    given = forced_inputs(recording, repeats)
    trace = net({"cell": given})["cell"].trace
    V_T = net.learned["cell"]["V_T"] * abs(float(FIRST["V_T"]))
    margin = trace["v"] - V_T - trace["th_1"] - trace["th_2"] - trace["th_v"]
    power = (margin / (2e-3 * width)).clamp(max=8)
    spike = torch.from_numpy(given["fired"] > 0)
    free = (torch.from_numpy(given["hold"]) == 0) | spike
    expected = (power.exp() * free).sum() * DT / 10e-3
    likelihood = (expected - power[spike].sum()) / spike.sum()
    away = cell_is_away(recording)[repeats]
    distance = TraceLoss(scale=3 * mV)(
        trace["v"], recording.v[repeats][..., None], away
    )
    return likelihood, distance


def cell_is_away(recording):
    """Return where potentials are comparable: away from spikes and from the start."""
    n_steps = len(recording.current)
    away = away_from_spikes(recording.spikes, n_steps, before=1 * ms, after=5 * ms)
    away[:, : min(1000, n_steps // 2)] = False
    return away


def free_losses(net, recording):
    """Return van Rossum distance per spike, and distance of the potential."""
    activity = run_free(net, recording)
    n_repeats, n_steps = recording.v.shape
    repeated = LayerSpikes(
        record=bsnn.Spikes.concatenate([activity.record] * n_repeats),
        time=activity.time.repeat(n_repeats),
    )
    spikes = VanRossumLoss(tau=10 * ms)(repeated, recording.spikes)
    own = away_from_spikes(activity.record, n_steps, before=1 * ms, after=5 * ms)
    distance = TraceLoss(scale=3 * mV)(
        activity.trace["v"].expand(n_repeats, -1, -1),
        recording.v[..., None],
        cell_is_away(recording) & own,
    )
    return spikes * n_repeats / recording.spikes.n_spikes, distance


def run_free(net, recording):
    return net({"cell": {"I_stim": recording.current[None, :, None]}})["cell"]


class Checkpoint(NamedTuple):
    """How good the free neuron is after some simulated seconds of a fit."""

    seconds: float
    train: float
    test: float
    values: dict


class Judge:
    """Scores parameters by the coincidence of the free neuron with the cell."""

    def __init__(self, recording):
        self.recording, self.cell = recording, trains(recording.spikes)
        self.net = network(len(recording.current), forced=False)

    def __call__(self, seconds, net):
        values = net.learned.state_dict()
        activity = self.run(values)
        (times,) = trains(activity.record)
        train, test = (
            mean_factor(times, self.cell, *part) for part in ((0, TRAIN), (TRAIN, END))
        )
        kept = {name: value.clone() for name, value in values.items()}
        return Checkpoint(seconds, train, test, kept)

    def run(self, values):
        self.net.learned.load_state_dict(values)
        with torch.no_grad():
            return run_free(self.net, self.recording)


def descend(net, recording, judge):
    """Descend likelihood and potential together, one repetition in each step."""
    width = torch.nn.Parameter(torch.ones((), dtype=torch.float64))
    optimiser = torch.optim.Adam([*net.learned.parameters(), width], lr=LEARNING_RATE)
    slower = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, N_STEPS)
    rng, seconds = np.random.default_rng(0), 0
    history = [judge(seconds := seconds + TRAIN, net)]
    for step in range(1, N_STEPS + 1):
        repeats = rng.integers(len(recording.v), size=1)
        likelihood, distance = forced_losses(net, width, recording, repeats)
        optimiser.zero_grad()
        (likelihood + distance).backward()
        optimiser.step()
        slower.step()
        seconds += 3 * TRAIN
        if step % 10 == 0:
            history.append(judge(seconds := seconds + TRAIN, net))
    return history


def evolve(net, losses, judge):
    """Minimise the sum of two losses of (net, width, evaluation) without gradients."""
    import nevergrad

    values = [*net.learned.parameters()]
    first = [value.item() for value in values]
    away = nevergrad.p.Array(init=np.zeros(len(first) + 1)).set_mutation(sigma=0.1)
    away.random_state.seed(0)
    search = nevergrad.optimizers.CMA(away, budget=N_EVALUATIONS)

    def place(point):
        with torch.no_grad():
            for value, start, by in zip(values, first, point[:-1], strict=True):
                value.fill_(start + by)
        return float(np.exp(point[-1]))

    seconds = 0
    history = [judge(seconds := seconds + TRAIN, net)]
    for evaluation in range(1, N_EVALUATIONS + 1):
        point = search.ask()
        width = place(point.value)
        try:
            with torch.no_grad():
                loss = float(sum(losses(net, width, evaluation)))
        except bsnn.errors.NumbersError:  # the potential has left all bounds
            loss = 1e6
        search.tell(point, min(loss, 1e6) if np.isfinite(loss) else 1e6)
        seconds += TRAIN
        if evaluation % 30 == 0:
            place(search.recommend().value)
            history.append(judge(seconds := seconds + TRAIN, net))
    return history


def best_so_far(history):
    """Return the checkpoints, each replaced by the one best on the training part."""
    best, kept = history[0], []
    for checkpoint in history:
        best = max(best, checkpoint, key=lambda c: c.train)
        kept.append(checkpoint._replace(**best._asdict() | {"seconds": checkpoint[0]}))
    return kept


def first_to_reach(history, train):
    """Return the simulated seconds until a factor on the training part; or NaN."""
    return next((c.seconds for c in history if c.train >= train), np.nan)


def error_in_mv(net, recording, values):
    """Return the potential's error, under the cell's spikes, after TRAIN."""
    net.learned.load_state_dict(values)
    repeats = np.arange(len(recording.v))
    with torch.no_grad():
        given = forced_inputs(recording, repeats)
        v = net({"cell": given})["cell"].trace["v"].numpy()[..., 0]
    away = cell_is_away(recording).numpy()[..., 0]
    away[:, : round(TRAIN / DT)] = False
    return 1e3 * np.sqrt(np.mean((v - recording.v)[away] ** 2))


def fits(recording, judge):
    """Fit by each method; return their checkpoints by name."""
    train = recording.until(TRAIN)
    n_steps, n_repeats = train.v.shape[1], len(train.v)
    found = {}
    with network(n_steps, forced=True) as net:
        found["gradients"] = descend(net, train, judge)
    try:
        import nevergrad  # noqa: F401
    except ImportError:
        print("pip install nevergrad to compare with a fit without gradients")
        return found

    def forced(net, width, evaluation):
        # All candidates of a generation meet the same repetition.
        repeats = np.array([evaluation // 13 % n_repeats])
        return forced_losses(net, width, train, repeats)

    def free(net, width, evaluation):
        return free_losses(net, train)

    with network(n_steps, forced=True) as net:
        found["CMA, same objectives"] = evolve(net, forced, judge)
    with network(n_steps, forced=False) as net:
        found["CMA, free run"] = evolve(net, free, judge)
    return found


def show(found, recording, judge):
    """Print what each fit reached, and when it passed what the weakest reached."""
    top = ceiling(judge.cell, TRAIN, END)
    common = min(max(c.train for c in history) for history in found.values())
    print(f"trials with each other: {top:.3f} after {TRAIN} s, 0.785 over all 20 s")
    print(
        f"{'fit':22} {'train':>6} {'test':>6} {'/0.785':>6} {'error':>8} "
        f"{'simulated':>10} {f'to {common:.3f}':>10}"
    )
    with network(len(recording.current), forced=True) as net:
        for name, history in found.items():
            last = best_so_far(history)[-1]
            print(
                f"{name:22} {last.train:6.3f} {last.test:6.3f} "
                f"{last.test / 0.785:6.3f} "
                f"{error_in_mv(net, recording, last.values):5.2f} mV "
                f"{last.seconds:8.0f} s {first_to_reach(history, common):8.0f} s"
            )


def draw(found, recording, judge):
    """Draw potential and spikes after TRAIN, and the factor over the seconds."""
    activity = judge.run(best_so_far(found["gradients"])[-1].values)
    _, (top, middle, bottom) = plt.subplots(3, figsize=(9, 8), layout="constrained")
    part = slice(round(TRAIN / DT), round((TRAIN + 2) / DT))
    seconds = DT * np.arange(part.start, part.stop)
    top.plot(seconds, 1e3 * recording.v[0, part], color="0.6", label="cell")
    top.plot(seconds, 1e3 * activity.trace["v"][0, part, 0], label="neuron")
    top.set(xlabel="time (s)", ylabel="potential (mV)", ylim=(-80, 0))
    top.legend()
    rows = [*judge.cell, *trains(activity.record)]
    colors = ["0.4"] * len(judge.cell) + ["C0"]
    middle.eventplot(rows, colors=colors, linelengths=0.8)
    middle.set(xlim=(TRAIN, END), xlabel="time (s)", ylabel="repetition, neuron last")
    for name, history in found.items():
        kept = best_so_far(history)[1:]
        bottom.plot([c.seconds for c in kept], [c.test for c in kept], label=name)
    bottom.axhline(ceiling(judge.cell, TRAIN, END), color="0.6", ls=":")
    bottom.set(xscale="log", xlabel="simulated seconds", ylabel="coincidence factor")
    bottom.set(ylim=(0.45, 1))
    bottom.legend(title="after 12 s; dotted: trials with each other", loc="upper left")


def main():
    if "BSNN_DATA" not in os.environ:
        raise SystemExit("set BSNN_DATA to the folder that holds gif-cell3.")
    recording = load(os.environ["BSNN_DATA"])
    judge = Judge(recording)
    found = fits(recording, judge)
    show(found, recording, judge)
    draw(found, recording, judge)
    judge.net.close()
    plt.show()


if __name__ == "__main__":
    main()
