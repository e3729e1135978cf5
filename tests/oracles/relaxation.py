"""A population's steps whose delivered spikes may move off the grid, in numpy.

The straight-through relaxation: the pattern of spikes is fixed, and each delivered time
is T = T_0 + t - t_0, where T_0 is on the grid, t the crossing inside the recorded bin
and t_0 that of the unchanged network. An event that has moved splits the step that it
falls into: the state is updated as far as the event, jumps, and is updated for what is
left of the step. Events that share a time of the grid keep the order of a step:
arrivals, resets, ends of refractory periods.

All maps are Brian2's own code, run by Python, so that numbers may be complex: with
steps of 1e-30 i, imaginary parts are sensitivities, computed forwards (Squire & Trapp
1998, doi:10.1137/S003614459631241X). Then, and wherever asked for, a whole step is
taken first and the event reached from its end and back, so that nothing depends on the
side to which it moves.
"""

import numpy as np
from brian2.core.namespace import DEFAULT_UNITS

TINY = 1e-30  # of complex steps


def _exprel(x):
    near = np.abs(x) < 1e-3
    safe = np.where(near, 1.0, x)
    return np.where(
        near, 1 + x / 2 + x**2 / 6 + x**3 / 24 + x**4 / 120, np.expm1(safe) / safe
    )


_GLOBALS = {
    "__builtins__": {},
    **{name: float(unit) for name, unit in DEFAULT_UNITS.items()},
    **{name: getattr(np, name) for name in ("exp", "tanh", "sqrt")},
    "exprel": _exprel,
    "int": np.asarray,
}


def _compiled(code, mode="exec"):
    return compile(code.replace(";", "\n").replace("\n ", "\n").strip(), "step", mode)


class StepMap:
    """The maps of a neuron's step, of arrays (rows, neurons) by name."""

    def __init__(self, neuron):
        self.neuron, self.states = neuron, neuron.states
        pairs = neuron.full_equations.get_substituted_expressions(
            neuron.variables, include_subexpressions=True
        )
        named = {n: e.code for n, e in pairs}
        self._named = {
            equation.varname: _compiled(named[equation.varname], "eval")
            for equation in neuron.parsed.values()
            if equation.type == "subexpression"
        }
        self._update = _compiled(neuron.update)
        self._reset = _compiled(neuron.reset)
        (op,) = {">", "<"} & set(neuron.threshold)
        left, right = neuron.threshold.replace("=", "").split(op)
        if op == "<":
            left, right = right, left
        self._margin = _compiled(f"({left}) - ({right})", "eval")

    def update(self, state, h, free, names):
        """F(state, h), where what is (unless refractory) moves only if free."""
        names = {**names, **state, "dt": h, "not_refractory": np.asarray(free, float)}
        with np.errstate(divide="ignore", invalid="ignore"):  # of what is frozen
            exec(self._update, _GLOBALS, names)
        frozen = self.neuron.frozen_states
        return {
            name: np.where(
                (h != 0) & (free if name in frozen else True), names[name], old
            )
            for name, old in state.items()
        }

    def margin(self, state, names):
        return eval(self._margin, _GLOBALS, self._with_named(state, names))

    def reset(self, state, names):
        names = self._with_named({n: x.copy() for n, x in state.items()}, names)
        exec(self._reset, _GLOBALS, names)
        return {name: names[name] + np.zeros_like(x) for name, x in state.items()}

    def _with_named(self, state, names):
        names = {**names, **state}
        found = {n: eval(code, _GLOBALS, names) for n, code in self._named.items()}
        return {**names, **found}

    def slope(self, state, h, free, names):
        """Return dg/dh of the margin g a time h into the step."""
        moved = self.margin(self.update(state, h + 1j * TINY, free, names), names)
        return moved.imag / TINY


def evaluate(code, names):
    """Evaluate what `additions` compiled."""
    return eval(code, _GLOBALS, names)


def columns(names, at):
    """Take some neurons of arrays (rows, neurons) or (rows, 1)."""
    return {n: x[:, at] if x.shape[1] > 1 else x for n, x in names.items()}


class Relaxation:
    """One population of a network, with its inputs and connections to itself.

    Parameters
    ----------
    network : Network
    name : str
    inputs : Spikes
        Of the population that drives it, one sample.
    spikes : Spikes
        Recorded ones of the population itself.
    floor : float
        Least slope of a crossing.
    """

    def __init__(self, network, name, inputs, spikes, floor):
        self.part, self.spikes, self.floor = network.named[name], spikes, floor
        self.map, self.dt = StepMap(self.part.neuron), network.dt_seconds
        self.n_steps, self.n = network.n_steps, self.part.size
        self.sources, self.landing = [], [[] for _ in range(self.n_steps)]
        for c, delays in zip(network.connections, network.delays, strict=True):
            if c.target == name:
                own = c.source == name
                source = spikes if own else inputs
                self.sources.append((source, own, additions(c.on_pre)))
                self._land(len(self.sources) - 1, source, delays)
        for landing in self.landing:
            landing.sort(key=lambda arrival: arrival[0])
        self.fired = [
            list(np.flatnonzero(spikes.step == step)) for step in range(self.n_steps)
        ]

    def _land(self, q, source, delays):
        """Note when the spikes of a connection arrive at which neurons.

        Of those that meet, the ones whose delays do not differ come last.
        """
        alike = delays.ndim == 0
        for k, (i, sent) in enumerate(zip(source.neuron, source.step, strict=True)):
            steps = np.broadcast_to(delays if alike else delays[i], self.n)
            for delay in np.unique(steps):
                if sent + delay < self.n_steps:
                    arrival = (alike, sent, q, k), steps == delay
                    self.landing[sent + delay].append(arrival)

    def run(self, point, *, split, releases_move=True):
        """Return the shifts of all spikes (rows, spikes), and traces by variable.

        Parameters
        ----------
        point : dict
            "parameters", "weights", "currents", "inputs" (shifts of the times of input
            spikes) and "delays" (by connection, shifts of each synapse's), each with an
            axis of rows first. Row 0 is the unchanged one.
        split : bool
            Whether steps are split where an event has moved to.
        releases_move : bool
            Whether the end of a refractory period moves with its spike.
        """
        rows = len(point["weights"][0])
        kind = np.result_type(*(x for x in _leaves(point)))
        state = {
            name: np.full((rows, self.n), value, kind)
            for name, value in self.part.neuron.initial_values.items()
        }
        late = np.zeros((rows, self.n), kind)
        self.shift = np.zeros((rows, self.spikes.n_spikes), kind)
        self._begin_refractoriness(point["parameters"])
        traces = {name: [] for name in self.part.record}
        names = self._names(point, 0)
        for step in range(self.n_steps):
            free = self.free
            back = self.map.update(state, -late, free, names)
            for name, trace in traces.items():
                trace.append(back[name])
            for z in self.fired[step]:
                self.shift[:, z] = self._crossing(z, state, late, names)
            later = self._names(point, step + 1) if split else names
            events = self._events(point, step, names, releases_move)
            state, late = self._step(state, late, events, free, names, later, split)
            names = self._names(point, step + 1)
        return self.shift, {n: np.stack(x, 1) for n, x in traces.items()}

    def _names(self, point, step):
        step = min(step, self.n_steps - 1)
        currents = {n: values[:, step] for n, values in point["currents"].items()}
        return {**point["parameters"], **currents}

    def _step(self, state, late, events, free, names, later, split):
        """Advance to the end of a step, by way of its events."""
        at, free = late - self.dt, free.copy()  # time from the end of the step

        def move(target, at, state):
            if not split:
                return self.map.update(state, target - at, free, names)
            within = np.minimum(target, 0) - np.minimum(at, 0)
            after = np.maximum(target, 0) - np.maximum(at, 0)
            for h, given in (
                (np.minimum(after, 0), later),
                (within, names),
                (np.maximum(after, 0), later),
            ):
                if np.any(h):
                    state = self.map.update(state, h, free, given)
            return state

        if not split:
            state, at = move(np.zeros_like(at), at, state), np.zeros_like(at)
        for who, shift, jump, flag in events:
            target = np.where(who, shift, at)
            state, at = move(target, at, state), target
            state = jump(state)
            if flag is not None:
                free[who] = flag
        end = np.maximum(at, 0) if split else np.zeros_like(at)
        return move(end, at, state), end

    def _events(self, point, step, names, releases_move):
        """Return (neurons, shift, jump, whether they are free then) in order."""
        index = self.spikes.neuron
        fires = np.isin(np.arange(self.n), index[self.fired[step]])
        open_ = self.free & ~fires if self.part.neuron.refractory else self.free
        events = []
        for (_, _, q, k), reached in self.landing[step]:
            source, own, added = self.sources[q]
            shift = (self.shift if own else point["inputs"])[:, k, None]
            if q in point["delays"]:
                shift = shift + point["delays"][q][:, source.neuron[k]]
            given = {**names, "w": point["weights"][q][:, source.neuron[k]]}
            jump = self._arrival(added, given, reached, open_)
            events.append((reached, shift, jump, None))
        for z in self.fired[step]:
            jump = self._jump(index[z], names)
            flag = False if self.steps is not None else None
            who = np.arange(self.n) == index[z]
            events.append((who, self.shift[:, z, None], jump, flag))
            self.last[index[z]], self.latest[index[z]] = step, z
        if self.steps is not None:
            now = step + 1 - self.last >= self.steps
            for j in np.flatnonzero(now & ~open_):
                shift = self.shift[:, self.latest[j]] + self.longer[:, j]
                moved = shift if releases_move else np.zeros_like(shift)
                who = np.arange(self.n) == j
                events.append((who, moved[:, None], lambda state: state, True))
            self.free = now
        return events

    def _arrival(self, added, given, reached, open_):
        frozen = self.part.neuron.frozen_states

        def jump(state):
            state = dict(state)
            for name, code in added.items():
                value = evaluate(code, given)
                held = (reached & open_) if name in frozen else reached
                state[name] = state[name] + value * held
            return state

        return jump

    def _jump(self, j, names):
        def jump(state):
            done = self.map.reset(state, names)
            return {
                n: np.where(np.arange(self.n) == j, done[n], state[n]) for n in done
            }

        return jump

    def _begin_refractoriness(self, parameters):
        """Set whether each neuron is free, and how much longer its periods are."""
        self.free, self.steps = np.ones(self.n, bool), None
        self.last = np.full(self.n, -(10**9))
        self.latest = np.zeros(self.n, int)
        if self.part.neuron.period is not None:
            code = _compiled(self.part.neuron.period, "eval")
            period = evaluate(code, parameters)
            period = np.broadcast_to(period, (len(period), self.n))
            self.steps = np.floor((period[0].real + 1e-3 * self.dt) / self.dt)
            self.longer = period - period[0]

    def _crossing(self, z, state, late, names):
        """Return how far a crossing has moved from where it is in row 0."""
        at, m = [self.spikes.neuron[z]], self.map
        a, names, free = columns(state, at), columns(names, at), np.ones(1, bool)
        late = late[:, at]
        first = {n: x[:1].real for n, x in a.items()}
        own = {n: x[:1].real for n, x in names.items()}

        def height(h):
            return m.margin(m.update(a, h, free, names), names)

        def base(h):
            h = np.full((1, 1), h)
            return m.margin(m.update(first, h, free, own), own).item()

        def steepness(h):
            return m.slope(first, np.full((1, 1), h), free, own).item()

        above = base(0.0) >= 0
        assert base(self.dt) >= 0
        low, high = 0.0, 0.0 if above else self.dt
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (low, middle) if base(middle) >= 0 else (middle, high)
        slope = max(map(steepness, (0.0, self.dt))) if above else steepness(high)
        h = high - late
        gap = height(h)
        straight = above or slope <= self.floor or np.iscomplexobj(gap)
        if straight:  # by definition, or as all is, in an infinitesimal step
            return -(gap - gap[0])[:, 0] / max(slope, self.floor)
        for _ in range(30):
            h = h - height(h) / slope
        assert np.abs(height(h) / slope).max() < 1e-9 * self.dt
        return (late + h - h[0])[:, 0]


def additions(on_pre):
    """Return the expression that a spike adds to each variable, compiled."""
    pairs = [line.split("+=") for line in on_pre.split(";")]
    return {name.strip(): _compiled(value, "eval") for name, value in pairs}


def _leaves(point):
    yield from point["parameters"].values()
    yield from point["currents"].values()
    yield from point["weights"]
    yield from point["delays"].values()
    yield point["inputs"]
