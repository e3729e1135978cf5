"""What the time rules make of a spike: bins, and crossings inside a bin."""

import numpy as np
import pytest
from brian2 import (
    Hz,
    Network,
    NeuronGroup,
    SpikeGeneratorGroup,
    SpikeMonitor,
    prefs,
    second,
)

from bsnn.equations import CubaLIF, time_rules
from bsnn.equations.models import cuba_lif
from tests.oracles import event as event_oracles
from tests.oracles import grid as oracles

THRESHOLD = 0.7
# tau_mem, tau_syn, dt in ms: both orders of the time constants, tau_mem = 2 tau_syn,
# nearly equal ones, bins short and long against them.
CASES = [
    (20, 10, 1),
    (20, 10, 8),
    (260, 130, 8),
    (10, 20, 5),
    (5, 30, 0.5),
    (30, 29, 10),
    (20, 0.1, 20),
    (2, 20, 20),
]
N_STATES = 3000


def draw_states(tau_mem, tau_syn, dt, rng):
    """States at the start of a bin: most peak in or near it, at about threshold."""
    taus = {"tau_mem": tau_mem, "tau_syn": tau_syn}
    width = min(dt, tau_mem, tau_syn)
    depth = width**2 / (2 * tau_mem * tau_syn)  # how far v falls in that time
    v_peak = THRESHOLD * (1 + rng.normal(0, 0.2 * depth, N_STATES))
    time = rng.uniform(-0.3, 1.3, N_STATES) * width
    v, i_syn = cuba_lif.solution(-time, v_peak, v_peak / tau_mem, **taus)
    v[:1000] = THRESHOLD * (1 + rng.normal(0, 0.3, 1000))
    i_syn[:1000] = THRESHOLD / tau_mem * rng.normal(1, 2, 1000)
    extremes = np.array([0, 1e-9, -1e-9, 0.1, -0.1, 1e6, -1e6])
    v[:49], i_syn[:49] = np.repeat(extremes, 7), np.tile(extremes, 7) / tau_mem
    return v, i_syn


def one_bin(cases, states):
    """Return each case's spikes as Brian2 fires them: neurons, v and i_syn."""
    network, monitors = Network(), []
    for k, ((tau_mem, tau_syn, dt), (v, i_syn)) in enumerate(
        zip(cases, states, strict=True)
    ):
        neuron = CubaLIF(
            tau_mem=tau_mem * second, tau_syn=tau_syn * second, v_threshold=THRESHOLD
        )
        group = NeuronGroup(
            len(v),
            neuron.equations + neuron.crossing_equations,
            threshold=neuron.threshold_crossing,
            reset="",
            method=neuron.method,
            dt=dt * second,
            namespace=neuron.namespace,
            name=f"bin_{k}",
        )
        group.v, group.i_syn = v, i_syn * Hz
        monitor = SpikeMonitor(group, variables=["v", "i_syn"], name=f"spikes_{k}")
        network.add(group, monitor)
        monitors.append(monitor)
    # Every clock ticks once, at 0. A NaN or an infinity anywhere is an error.
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        network.run(min(dt for *_, dt in cases) * second, namespace={})
    assert all(np.all(np.asarray(m.t / second) == 0) for m in monitors)
    return [
        (np.asarray(m.i), np.asarray(m.v), np.asarray(m.i_syn / Hz)) for m in monitors
    ]


@pytest.fixture(autouse=True)
def runtime_mode():
    target = prefs.codegen.target
    prefs.codegen.target = "numpy"
    yield
    prefs.codegen.target = target


def test_crossing_threshold_misses_no_bump_and_invents_none(rng):
    cases = [tuple(1e-3 * x for x in case) for case in CASES]
    states = [draw_states(*case, rng) for case in cases]
    found = one_bin(cases, states)
    for (tau_mem, tau_syn, dt), (v, i_syn), (fired, v_end, i_end) in zip(
        cases, states, found, strict=True
    ):
        taus = {"tau_mem": tau_mem, "tau_syn": tau_syn}
        expected, margin = event_oracles.fires_in_bin(
            v, i_syn, dt, v_threshold=THRESHOLD, **taus
        )
        sure = margin > 1e-9
        fires = np.isin(np.arange(N_STATES), fired)
        np.testing.assert_array_equal(fires[sure], expected[sure])
        assert sure.mean() > 0.99 and 0.1 < fires.mean() < 0.9

        bump = (v_end < THRESHOLD) & (sure[fired])
        assert bump.sum() > 120
        check_crossings_of_bumps(
            v[fired][bump], i_syn[fired][bump], v_end[bump], i_end[bump], dt, taus
        )


def check_crossings_of_bumps(v, i_syn, v_end, i_end, dt, taus):
    """`CubaLIF.crossing` finds where a spike that fell back had crossed."""
    n_checked = 0
    delay, steepness = cuba_lif.crossing(
        v_end, i_end, dt, v_threshold=THRESHOLD, **taus
    )
    for k in range(0, len(v), 40):
        # The coarse sampling of this oracle sees a bump only if it is wide enough.
        expected = oracles.first_crossing(v[k], i_syn[k], dt, THRESHOLD, *taus.values())
        if expected is None:
            continue
        n_checked += 1
        there = oracles.propagate(expected, v[k], i_syn[k], *taus.values())
        # Going back through the bin magnifies rounding by exp(dt/tau), and a flat top
        # by the inverse of the slope.
        assert delay[k] == pytest.approx(expected, abs=1e-7 * dt)
        slope = there[1] - there[0] / taus["tau_mem"]
        assert steepness[k] == pytest.approx(slope, rel=1e-4, abs=1e-6 / dt)
    assert n_checked > 3


def test_neuron_above_threshold_that_rises_and_falls_does_not_fire():
    tau_mem, tau_syn, dt = 0.02, 0.01, 0.015
    # It starts just above threshold and just below it, and peaks in the bin.
    v, i_syn = THRESHOLD * np.array([1.001, 0.999]), np.full(2, 60.0)
    path, _ = cuba_lif.solution(
        np.linspace(0, dt, 99)[:, None], v, i_syn, tau_mem=tau_mem, tau_syn=tau_syn
    )
    assert np.all(path.max(0) > 1.02 * THRESHOLD) and np.all(path[-1] < THRESHOLD)
    ((fired, _, _),) = one_bin([(tau_mem, tau_syn, dt)], [(v, i_syn)])
    np.testing.assert_array_equal(fired, [1])


@pytest.mark.parametrize(
    ("duration", "dt", "n_steps"),
    [(0.2, 0.001, 200), (0.2, 0.007, 29), (0.2, 0.0005, 400), (0.3, 0.1, 3)],
)
def test_steps_cover_the_duration(duration, dt, n_steps):
    assert time_rules.count_steps(duration, dt) == n_steps


@pytest.mark.parametrize("dt", [0.0001, 0.0005, 0.001, 0.007])
def test_time_written_as_a_multiple_of_dt_falls_into_its_bin(dt):
    steps = np.arange(10_000)
    np.testing.assert_array_equal(time_rules.bin_index(steps * dt, dt), steps)
    np.testing.assert_array_equal(time_rules.bin_index((steps + 0.9) * dt, dt), steps)
    delivered = time_rules.delivery_time(steps, dt)
    assert np.all(delivered > (steps + 0.9) * dt)


@pytest.mark.parametrize("dt", [0.0001, 0.001, 0.007])
def test_time_just_before_a_bin_falls_into_it_as_in_brian2(dt):
    """Closer to its start than a thousandth of a bin, whatever the rounding."""
    # In bins; other distances than the shift itself, where rounding decides.
    before = np.array([0, 0.0009, 0.00099, 0.00101, 0.0011, 0.4, 0.998])
    time = (5 - before) * dt
    expected = [5, 5, 5, 4, 4, 4, 4]
    assert time_rules.bin_index(time, dt).tolist() == expected
    # Brian2 takes at most one spike of a neuron in a bin.
    source = SpikeGeneratorGroup(
        len(time), range(len(time)), time * second, dt=dt * second
    )
    monitor = SpikeMonitor(source)
    Network(source, monitor).run(7 * dt * second, namespace={})
    order = np.argsort(monitor.i)
    np.testing.assert_allclose(
        np.asarray(monitor.t / second)[order], np.multiply(expected, dt), rtol=1e-9
    )
