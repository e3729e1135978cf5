"""A recurrent population without a grid: scipy's solver, with events located."""

import numpy as np
from brian2.core.functions import DEFAULT_FUNCTIONS
from brian2.core.namespace import DEFAULT_UNITS
from scipy.integrate import solve_ivp

_GLOBALS = {
    "__builtins__": {},
    **{name: float(unit) for name, unit in DEFAULT_UNITS.items()},
    **{name: function.pyfunc for name, function in DEFAULT_FUNCTIONS.items()},
    "int": np.asarray,
}


def _lines(code):
    return "\n".join(line.strip() for line in code.split(";"))


class ExactPopulation:
    """Neurons driven by spikes from outside and, after a delay, by each other.

    Parameters
    ----------
    part : Population
    on_pre : str
        Of both connections.
    duration : float
        In seconds.
    """

    def __init__(self, part, on_pre, *, duration):
        self.neuron, self.n, self.duration = part.neuron, part.size, duration
        pairs = self.neuron.full_equations.get_substituted_expressions(
            self.neuron.variables
        )
        self._rates = {name: compile(e.code, name, "eval") for name, e in pairs}
        left, right = self.neuron.threshold.split(">")
        self._margin = compile(f"({left}) - ({right})", "threshold", "eval")
        self._reset = compile(_lines(self.neuron.reset), "reset", "exec")
        self._added = compile(_lines(on_pre.replace("+=", "=")), "on_pre", "exec")
        self.states = list(self._rates)

    def _names(self, y, free, p):
        return {
            **p,
            **dict(zip(self.states, y.reshape(-1, self.n).copy(), strict=True)),
            "not_refractory": free,
        }

    def run(self, inputs, weights, recurrent, delays, parameters):
        """Return [(time, neuron)] of all spikes.

        `inputs` are (time, index) of arrivals, whose row of `weights` acts; `recurrent`
        and `delays`, in seconds, have a row for each neuron of the population, too.
        """
        p, n = {**self.neuron.values, **parameters}, self.n
        condition = self.neuron.refractory if self.neuron.period is None else None
        period = 0.0
        if self.neuron.period is not None:
            period = eval(self.neuron.period, _GLOBALS, p)
        y = np.concatenate(
            [np.full(n, self.neuron.initial_values[s]) for s in self.states]
        )
        queue = [(t, weights[i]) for t, i in inputs]
        t, out, until = 0.0, [], np.full(n, -1.0)
        armed = np.ones(n, bool)  # of a condition: it has been left since the spike

        def slope(_, y):
            names = self._names(y, free, p)
            return np.concatenate(
                [
                    np.broadcast_to(eval(self._rates[s], _GLOBALS, names), n)
                    for s in self.states
                ]
            )

        def height(y):
            return eval(self._margin, _GLOBALS, self._names(y, free, p))

        events = []
        for j in range(n):

            def up(_, y, j=j):
                return height(y)[j] if free[j] and armed[j] else -1.0

            def down(_, y, j=j):
                return height(y)[j] if condition and not armed[j] else 1.0

            up.terminal = down.terminal = True
            up.direction, down.direction = 1, -1
            events += [up, down]
        while True:
            stop = min([self.duration, *(q[0] for q in queue), *until[until > t]])
            free = (until <= t).astype(float)
            if stop > t:
                with np.errstate(over="ignore", invalid="ignore"):  # of steps too long
                    found = solve_ivp(
                        slope,
                        (t, stop),
                        y,
                        method="DOP853",
                        rtol=1e-10,
                        atol=1e-13,
                        max_step=1e-4,
                        events=events,
                    )
                y, t = found.y[:, -1].copy(), found.t[-1]
                if found.status == 1:
                    k = next(k for k, at in enumerate(found.t_events) if len(at))
                    y, t, j = found.y_events[k][0].copy(), found.t_events[k][0], k // 2
                    if k % 2:
                        armed[j] = True
                        continue
                    out.append((t, j))
                    for delay in np.unique(delays[j]):
                        reached = delays[j] == delay
                        queue.append((t + delay, np.where(reached, recurrent[j], 0)))
                    self._jump(y, j, p, free)
                    if condition:
                        armed[j] = False
                    elif period:
                        until[j] = t + period
                    continue
            if t >= self.duration:
                return out
            due = [q for q in queue if q[0] <= t]
            queue = [q for q in queue if q[0] > t]
            for _, row in due:
                self._add(y, row, p, free)

    def _jump(self, y, j, p, free):
        names = self._names(y, free, p)
        exec(self._reset, _GLOBALS, names)
        for k, state in enumerate(self.states):
            y[k * self.n + j] = np.broadcast_to(names[state], self.n)[j]

    def _add(self, y, row, p, free):
        names = {**p, "w": row}
        exec(self._added, _GLOBALS, names)
        for k, state in enumerate(self.states):
            if state in names:
                added = names[state]
                if state in self.neuron.frozen_states:
                    added = added * free
                y[k * self.n : (k + 1) * self.n] += added
