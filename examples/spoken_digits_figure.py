"""Draw what the time step does to spoken digits
==============================================

::

    python examples/spoken_digits_figure.py spoken-digits.csv spoken-digits.png

Of the rows that `examples/spoken_digits.py` left with ``--out``, those of the fast
sigmoid: accuracy, hidden spikes and time to a stable decision against the time step of
training (lines), and of the networks trained at each step the accuracy at others
(dashed).
"""

import sys

import matplotlib.pyplot as plt
import pandas as pd

VALUES = {
    "accuracy_percent": "Test accuracy (%)",
    "hidden_spikes": "Hidden spikes a sample",
    "decision_ms": "Stable decision (ms)",
}
COLOURS = {"recurrent": "#0072B2", "feed-forward": "#D55E00"}


def main():
    table = pd.read_csv(sys.argv[1]).query("estimator == 'fast-sigmoid'")
    by = ["network", "train_dt_ms", "test_dt_ms"]
    mean = table.groupby(by, as_index=False).mean(numeric_only=True)
    _, axes = plt.subplots(1, 4, figsize=(12, 3.2), layout="constrained")
    *own, transfer = axes
    for network, rows in mean.groupby("network"):
        trained = rows[rows.train_dt_ms == rows.test_dt_ms]
        for ax, (value, label) in zip(own, VALUES.items(), strict=True):
            ax.plot(
                trained.train_dt_ms,
                trained[value],
                "o-",
                color=COLOURS[network],
                label=network,
            )
            ax.set_ylabel(label)
        marks = iter("os^Dv")
        for dt, line in rows.groupby("train_dt_ms"):
            transfer.plot(
                line.test_dt_ms,
                line.accuracy_percent,
                f"{next(marks)}--",
                color=COLOURS[network],
                label=f"{dt:g} ms, {network}",
            )
    transfer.set(ylabel="Test accuracy (%)", title="trained at")
    transfer.legend(fontsize=7, frameon=False)
    own[0].legend(frameon=False)
    own[0].set_ylim(90, 100.3)
    own[1].set_ylim(bottom=0)
    steps = sorted(table.test_dt_ms.unique())
    for ax in axes:
        ax.set(xscale="log", xlabel="Time step (ms)")
        ax.set_xticks(steps, [f"{dt:g}" for dt in steps])
        ax.minorticks_off()
        ax.set_xlim(steps[0] / 1.2, 1.2 * steps[-1])
    if len(sys.argv) > 2:
        plt.savefig(sys.argv[2], dpi=150)
    plt.show()


if __name__ == "__main__":
    main()
