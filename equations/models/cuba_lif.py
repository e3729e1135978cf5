r"""Current-based leaky integrate-and-fire neuron (CUBA LIF) with soft reset.

    dv/dt     = -v/tau_mem + i_syn          spike when v reaches v_threshold
    di_syn/dt = -i_syn/tau_syn              soft reset  v -= delta_v
    on a presynaptic spike:  i_syn += w     w in Hz

v is the dimensionless membrane potential, i_syn (Hz) the synaptic current divided by
the membrane capacitance. Bacho & Chu write u for v and g for i_syn. The response of v
to one spike of unit weight is

    eps(s) = kappa (exp(-s/tau_mem) - exp(-s/tau_syn)),
    kappa  = tau_mem tau_syn / (tau_mem - tau_syn).

References
----------
Brette et al. 2007, doi:10.1007/s10827-007-0038-6 (CUBA networks in Brian's terms).
Bacho & Chu 2023, doi:10.1162/neco_a_01609 (closed form for tau_mem = 2 tau_syn).
"""

import functools
import math
from dataclasses import dataclass, field, fields
from typing import ClassVar

import numpy as np
from brian2.units import Quantity, ms, second

from bsnn.equations.linear import ExponentialModes, is_quadratic
from bsnn.equations.units import as_positive, positive_seconds

EQUATIONS = """
dv/dt     = -v/tau_mem + i_syn : 1
di_syn/dt = -i_syn/tau_syn     : Hz
"""
THRESHOLD, RESET, METHOD = "v >= v_threshold", "v -= delta_v", "exact"

# With these lines beside EQUATIONS, THRESHOLD_CROSSING fires as well where v rose to
# threshold inside the bin and fell back before its end. All is told from the state at
# that end: a time s earlier v was v_free exp(s/tau_mem) - v_syn exp(s/tau_syn), and its
# maximum, where v = tau_mem i_syn, lies where growth = exp(s (1/tau_syn - 1/tau_mem)).
# i_least is what a maximum at the bin's start that just reaches threshold leaves.
# Where v crossed and fell back, v_rest and growth lie within their clips. Elsewhere
# the clips keep v_peak finite and below threshold, or not above v_start.
# Rounding of v grows by exp(dt (1/tau_mem - 1/tau_syn)) on the way back to the start.
CROSSING_EQUATIONS = """
order   = tau_mem/(tau_mem - tau_syn)                                : 1 (shared)
spread  = dt*abs(1/tau_syn - 1/tau_mem)                              : 1 (shared)
i_least = v_threshold/tau_mem*exp(-dt/tau_syn)                       : Hz (shared)
v_syn   = order*tau_syn*i_syn                                        : 1
v_free  = v + v_syn                                                  : 1
v_start = v_free*exp(dt/tau_mem) - v_syn*exp(dt/tau_syn)             : 1
v_rest  = tau_mem*clip(i_syn, i_least, v_threshold/tau_mem)          : 1
growth  = clip(1 + (v/v_rest - 1)/order, exp(-spread), exp(spread))  : 1
v_peak  = v_rest*growth**order                                       : 1
"""
THRESHOLD_CROSSING = f"{THRESHOLD} or (v_start < v_threshold and v_peak >= v_threshold)"
SYNAPSE = "i_syn"  # the variable that a presynaptic spike increases by w
STATE = ("v", "i_syn")
# All that is simulated, and that the closed form below is derived for.
TEXTS = {
    "equations": EQUATIONS,
    "threshold": THRESHOLD,
    "crossing_equations": CROSSING_EQUATIONS,
    "threshold_crossing": THRESHOLD_CROSSING,
    "reset": RESET,
    "method": METHOD,
    "synapse": SYNAPSE,
    "state": STATE,
}


@dataclass(frozen=True, kw_only=True, eq=False)
class CubaLIF:
    """Parameters of one layer of CUBA LIF neurons.

    Parameters
    ----------
    tau_mem, tau_syn : Quantity
        Membrane and synaptic time constants; they must differ, because the closed form
        divides by their difference.
    v_threshold : float
        Dimensionless threshold, positive.
    delta_v : float, optional
        What a spike subtracts from v; `v_threshold` unless given.

    Raises
    ------
    TypeError
        If a time constant is a bare number, or another parameter is no number.
    ValueError
        If a value is not finite or not positive, or the time constants are equal.
    """

    tau_mem: Quantity = field(default_factory=lambda: 260 * ms)
    tau_syn: Quantity = field(default_factory=lambda: 130 * ms)
    v_threshold: float = 1.0
    delta_v: float | None = None

    equations: ClassVar[str] = EQUATIONS
    threshold: ClassVar[str] = THRESHOLD
    crossing_equations: ClassVar[str] = CROSSING_EQUATIONS
    threshold_crossing: ClassVar[str] = THRESHOLD_CROSSING
    reset: ClassVar[str] = RESET
    method: ClassVar[str] = METHOD
    synapse: ClassVar[str] = SYNAPSE
    state: ClassVar[tuple[str, ...]] = STATE

    def __post_init__(self):
        tau_mem = positive_seconds(self.tau_mem, "tau_mem")
        tau_syn = positive_seconds(self.tau_syn, "tau_syn")
        # Brian2's exact integration of equal time constants gives NaN.
        if math.isclose(tau_mem, tau_syn, rel_tol=1e-6):
            raise ValueError(
                f"'tau_mem' and 'tau_syn' must differ, got {self.tau_mem!s} for both; "
                "change one of them by at least one part in a million."
            )
        if self.delta_v is None:
            object.__setattr__(self, "delta_v", self.v_threshold)
        for name in ("v_threshold", "delta_v"):
            object.__setattr__(self, name, as_positive(getattr(self, name), name))
        # As rounded, for Brian2, too.
        object.__setattr__(self, "tau_mem", tau_mem * second)
        object.__setattr__(self, "tau_syn", tau_syn * second)

    @property
    def namespace(self):
        """What the names in the equation text stand for, for Brian2."""
        names = ("tau_mem", "tau_syn", "v_threshold", "delta_v")
        return {name: getattr(self, name) for name in names}

    @functools.cached_property
    def parameters(self):
        """The same values as plain floats in SI units."""
        return {
            "tau_mem": positive_seconds(self.tau_mem, "tau_mem"),
            "tau_syn": positive_seconds(self.tau_syn, "tau_syn"),
            "v_threshold": self.v_threshold,
            "delta_v": self.delta_v,
        }

    @functools.cached_property
    def modes(self):
        """The neuron's response to spikes and resets, for the spike-time gradient."""
        p = self.parameters
        kappa = response_scale(p["tau_mem"], p["tau_syn"])
        return ExponentialModes(
            tau=(p["tau_mem"], p["tau_syn"]),
            synaptic=(kappa, -kappa),
            reset=(-p["delta_v"], 0.0),
        )

    @functools.cached_property
    def leak(self):
        """-dv/dt in Hz of a neuron at threshold without input; the scale of slopes."""
        return self.v_threshold / self.parameters["tau_mem"]

    @functools.cached_property
    def peak_response(self):
        """The largest v, in seconds, after one spike of unit weight."""
        taus = {name: self.parameters[name] for name in ("tau_mem", "tau_syn")}
        return float(solution(peak_time(0.0, 1.0, **taus), 0.0, 1.0, **taus)[0])

    def crossing(self, v, i_syn, dt, *, xp=np, taken="exact"):
        """Return where in its bin a spike crossed threshold; see `crossing`."""
        p = self.parameters
        return crossing(
            v,
            i_syn,
            dt,
            v_threshold=p["v_threshold"],
            tau_mem=p["tau_mem"],
            tau_syn=p["tau_syn"],
            xp=xp,
            taken=taken,
        )


def texts_of(neuron):
    """Return all texts and names that are simulated, as a dict, ready for JSON."""
    return {name: getattr(neuron, name) for name in TEXTS}


def check_neuron(neuron, where):
    """Raise unless a neuron is the one that this module describes.

    This compares what would be simulated, text by text, and what the gradient takes,
    not classes: a subclass may add what it likes to `CubaLIF`.

    Parameters
    ----------
    neuron : object
    where : str
        Which it is, for the error message.

    Raises
    ------
    TypeError
        If it is no `CubaLIF`.
    ValueError
        If its texts, parameters or closed form are not those of `CubaLIF`.
    """
    if not isinstance(neuron, CubaLIF):
        raise TypeError(
            f"{where} must be a CubaLIF, got {neuron!r}; no other can be simulated yet."
        )
    names = [field.name for field in fields(CubaLIF)]
    plain = CubaLIF(**{name: getattr(neuron, name) for name in names})
    changed = [name for name, text in TEXTS.items() if getattr(neuron, name) != text]
    changed += [
        name
        for name in ("namespace", "parameters", "modes")
        if getattr(neuron, name) != getattr(plain, name)
    ]
    if type(neuron).crossing is not CubaLIF.crossing:
        changed.append("crossing")
    changed += [field.name for field in fields(neuron) if field.name not in names]
    if changed:
        raise ValueError(
            f"{where} must be a CubaLIF with its own equations, got "
            f"{type(neuron).__name__} with another {', '.join(changed)}; "
            "neither simulation nor gradient of another neuron is known yet."
        )


def response_scale(tau_mem, tau_syn):
    """Return kappa = tau_mem tau_syn / (tau_mem - tau_syn), in the unit of its taus."""
    return tau_mem * tau_syn / (tau_mem - tau_syn)


def solution(t, v0, i0, *, tau_mem, tau_syn, exp=np.exp):
    """Return (v, i_syn) a time `t` after the state was (v0, i0), without input.

    `exp` lets numpy, torch and sympy share the formula.
    """
    decay_mem, decay_syn = exp(-t / tau_mem), exp(-t / tau_syn)
    kappa = response_scale(tau_mem, tau_syn)
    return v0 * decay_mem + kappa * i0 * (decay_mem - decay_syn), i0 * decay_syn


def slope(v, i_syn, *, tau_mem):
    """Return dv/dt in Hz where the state is (v, i_syn)."""
    return i_syn - v / tau_mem


def crossing(v, i_syn, dt, *, v_threshold, tau_mem, tau_syn, xp=np, taken="exact"):
    """Return when inside a bin v first crossed threshold upwards, and how steeply.

    The neuron may have fallen back below threshold by the end of the bin.

    Parameters
    ----------
    v, i_syn : array_like
        State at the end of the bin, before synapses and reset; what a
        ``SpikeMonitor(..., variables=["v", "i_syn"])`` records.
    dt : float
        Length of the bin in seconds.
    v_threshold, tau_mem, tau_syn : float
        Parameters in SI units.
    xp : module
        numpy or torch, whose arrays `v` and `i_syn` are.
    taken : {"exact", "linear", "end"}
        Where v counts as crossing; see `bsnn.equations.estimators.straight_through`.

    Returns
    -------
    delay : array
        Seconds from the start of the bin, in [0, dt], in the precision of the state.
    steepness : array
        dv/dt at the crossing, in Hz. A neuron that was above threshold when the bin
        began crossed nowhere in it: its delay is 0 and its steepness the larger of
        dv/dt at the start and at the end of the bin.

    Notes
    -----
    With tau_mem = 2 tau_syn, v is a quadratic in x = exp(-t/tau_mem) and the crossing
    its larger root (Bacho & Chu 2023, eq. 8); else Newton's method inside a bracket.
    """
    v, i_syn = xp.asarray(v), xp.asarray(i_syn)
    # Plain floats leave single precision as it is; numpy scalars would not.
    dt, v_threshold = float(dt), float(v_threshold)
    taus = {"tau_mem": float(tau_mem), "tau_syn": float(tau_syn)}
    v0, i0 = solution(-dt, v, i_syn, exp=math.exp, **taus)
    steepest_end = xp.maximum(
        slope(v0, i0, tau_mem=tau_mem), slope(v, i_syn, tau_mem=tau_mem)
    )
    above = v0 >= v_threshold
    if taken == "end":
        end = slope(v, i_syn, tau_mem=tau_mem)
        return xp.full_like(v, dt), xp.where(above, steepest_end, end)
    if taken == "linear":
        chord = v - v0
        rises = chord > 0
        part = (v_threshold - v0) / xp.where(rises, chord, 1.0)
        delay = dt * xp.where(rises, xp.clip(part, 0.0, 1.0), 0.5)
        delay = xp.where(above, 0.0, delay)
        return delay, xp.where(above, steepest_end, chord / dt)
    if is_quadratic(tau_mem, tau_syn):
        delay = _quadratic_crossing(v0, i0, v_threshold, tau_mem, tau_syn, xp)
    else:
        delay = _newton_crossing(v0, i0, dt, v_threshold, xp, **taus)
    delay = xp.where(above, 0.0, xp.clip(delay, 0.0, dt))
    i_crossing = i0 * xp.exp(-delay / taus["tau_syn"])
    steepness = slope(v_threshold, i_crossing, tau_mem=taus["tau_mem"])
    return delay, xp.where(above, steepest_end, steepness)


def peak_time(v0, i0, *, tau_mem, tau_syn, xp=np):
    """Return the time in seconds at which v is largest; NaN where it has no maximum.

    Setting dv/dt = 0 in `solution` gives
    exp(t (1/tau_syn - 1/tau_mem)) = kappa i0 tau_mem / ((v0 + kappa i0) tau_syn).
    The time is negative where the maximum lies in the past.
    """
    kappa = response_scale(tau_mem, tau_syn)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = kappa * i0 * tau_mem / ((v0 + kappa * i0) * tau_syn)
        time = xp.log(ratio) / (1 / tau_syn - 1 / tau_mem)
    # An extremum is where i_syn = v/tau_mem; it is a maximum if i_syn is positive.
    return xp.where((ratio > 0) & (i0 > 0), time, np.nan)


def _quadratic_crossing(v0, i0, v_threshold, tau_mem, tau_syn, xp):
    # (v0 + a) x - a x^2 = v_threshold with a = kappa i0; x falls from 1, so the larger
    # root comes first. An upward crossing needs a > 0.
    a = response_scale(tau_mem, tau_syn) * i0
    b = v0 + a
    with np.errstate(divide="ignore", invalid="ignore"):
        x = (b + xp.sqrt(xp.clip(b * b - 4 * a * v_threshold, 0.0, None))) / (2 * a)
        return xp.where(a > 0, -tau_mem * xp.log(x), 0.0)


def _newton_crossing(v0, i0, dt, v_threshold, xp, *, tau_mem, tau_syn):
    # v rises from v0 < v_threshold until the peak or the end of the bin.
    peak = peak_time(v0, i0, tau_mem=tau_mem, tau_syn=tau_syn, xp=xp)
    low = xp.zeros_like(v0)
    high = xp.where((peak > 0) & (peak < dt), peak, dt)
    t = 0.5 * high
    # Bisection halves a failing bracket; 60 rounds exhaust double precision.
    for _ in range(60):
        v, i_syn = solution(t, v0, i0, tau_mem=tau_mem, tau_syn=tau_syn, exp=xp.exp)
        below = v < v_threshold
        low, high = xp.where(below, t, low), xp.where(below, high, t)
        with np.errstate(divide="ignore", invalid="ignore"):
            newton = t + (v_threshold - v) / slope(v, i_syn, tau_mem=tau_mem)
        inside = (newton > low) & (newton < high)
        t, previous = xp.where(inside, newton, 0.5 * (low + high)), t
        if xp.all(xp.abs(t - previous) <= 1e-16 * dt):
            break
    return t
