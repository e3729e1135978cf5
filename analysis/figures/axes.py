"""Axes of the study's figures: time steps with 0 among them, accuracies, labels."""

import numpy as np

MARKS = (0, 20, 40, 60, 70, 80, 85, 90, 93, 95, 97, 98, 98.5, 99, 99.5, 100)  # %
LABEL_ROOM = (8, 7)  # points that labels and markers keep from each other


def accuracy_axis(ax, accuracy):
    """Make the y axis one of accuracies in per cent.

    Where they spread over ten points or more the axis is logarithmic in the error, to
    show small differences at the top and a collapse at once.

    Parameters
    ----------
    ax : Axes
    accuracy : Series
        All fractions that will be drawn.
    """
    ax.set_ylabel("Test accuracy (%)")
    percent = 100 * accuracy
    if not percent.max() - percent.min() >= 10:
        return
    low, high = _stretch(percent.min()), _stretch(percent.max())
    margin = 0.05 * (high - low)
    low, high = low - margin, min(high + margin, _stretch(100.2))
    if ax.get_yscale() == "function":  # shared with axes that came before
        before = _stretch(np.array(ax.get_ylim()))
        low, high = min(low, before[0]), max(high, before[1])
    ticks = []
    for mark in MARKS[::-1]:
        inside = low <= _stretch(mark) <= high
        if inside and (not ticks or _stretch(ticks[-1]) - _stretch(mark) > margin):
            ticks.append(mark)
    ax.set_yscale("function", functions=(_stretch, _unstretch))
    ax.set_yticks(ticks, [f"{mark:g}" for mark in ticks])
    ax.set_ylim(_unstretch(low), _unstretch(high))


def accuracy_note(axes):
    """Return what a caption says of accuracy axes, '' of linear ones."""
    if all(ax.get_yscale() == "linear" for ax in axes):
        return ""
    return "The accuracy axis is logarithmic in the error. "


def time_step_axis(ax, time_steps):
    """Make the x axis one of time steps in ms, logarithmic, with room for 0.

    Parameters
    ----------
    ax : Axes
    time_steps : Series
        All time steps that will be drawn, one of them positive.
    """
    zero, positive = zero_position(time_steps), time_steps[time_steps > 0]
    low, high = positive.min(), positive.max()
    ticks = []
    for dt in sorted(positive.unique(), reverse=True):
        if not ticks or dt < ticks[-1] / 1.4:  # else the labels would touch
            ticks.append(dt)
    labels = [f"{dt:g}" for dt in ticks]
    with_zero = (time_steps == 0).any()
    if with_zero:
        ticks, labels = [*ticks, zero], [*labels, "0"]
    ax.set_xscale("log")
    ax.set_xticks(ticks, labels)
    ax.set_xticks(positive.unique(), [""] * positive.nunique(), minor=True)
    ax.set_xlim((zero if with_zero else low) / 1.25, high * 1.2)
    ax.set_xlabel("Time step (ms)")
    if with_zero:
        # Two slanted strokes: the axis is broken between 0 and the first step.
        middle = np.sqrt(zero * low)
        ax.plot(
            [middle / 1.04, middle * 1.04],
            [0, 0],
            transform=ax.get_xaxis_transform(),
            linestyle="none",
            marker=[(-1, -2), (1, 2)],
            markersize=7,
            color="black",
            clip_on=False,
        )


def zero_position(time_steps):
    """Return where on the logarithmic axis a time step of 0 is drawn."""
    return time_steps[time_steps > 0].min() / 2.2


def spikes_axis(ax):
    """Name an x axis of inverse spikes per sample by the spikes.

    Parameters
    ----------
    ax : Axes
        With all that is drawn.
    """
    low, high = ax.get_xlim()
    low = max(low, 1e-3 * high)
    steps = [k * 10.0**e for e in range(-3, 7) for k in (1, 2, 5)]
    # Along a wide axis 1, 2, 5, 10 and so on, along a narrow one multiples of one step.
    ticks = _apart(np.array(steps), low, high)
    for step in steps if high < 3 * low else ():
        n_most = int(1 / (low * step))
        multiples = step * np.arange(max(1, int(1 / (high * step))), n_most + 1)
        ticks = _apart(multiples, low, high)
        if len(ticks) == ((multiples >= 1 / high) & (multiples <= 1 / low)).sum():
            break
    ax.set_xlim(low, high)
    ax.set_xticks(ticks, [f"{1 / place:g}" for place in ticks])
    ax.set_xlabel("Spikes per sample, fewer to the right")


def _apart(spikes, low, high):
    """Return the inverse of rising numbers, those on an axis that are apart there."""
    ticks = []
    for place in 1 / spikes:
        inside = low <= place <= high
        if inside and (not ticks or ticks[-1] - place > 0.07 * (high - low)):
            ticks.append(place)
    return ticks


def label_points(ax, x, y, texts, colours):
    """Write texts beside points where there is room; the first ones choose first.

    Parameters
    ----------
    ax : Axes
        With its final scales.
    x, y : ndarray, shape (n_points,)
    texts, colours : sequence of n_points str
    """
    ax.autoscale_view()
    per_pixel = 72 / ax.figure.dpi
    points = ax.transData.transform(np.column_stack([x, y])) * per_pixel
    lower, upper = ax.bbox.get_points() * per_pixel
    taken = [point for point in points if np.isfinite(point).all()]
    for number, (point, text) in enumerate(zip(points, texts, strict=True)):
        width = 5 * len(text)
        for shift in ((5, 3), (5, -10), (-5 - width, 3), (-8, 7), (-3, -14)):
            centre = point + shift + (width / 2, 3)
            room = max(LABEL_ROOM[0], 0.7 * width), LABEL_ROOM[1]
            free = (np.abs(np.array(taken) - centre) >= room).any(axis=1).all()
            if free and (lower < centre).all() and (centre < upper).all():
                taken.append(centre)
                ax.annotate(
                    text,
                    (x[number], y[number]),
                    xytext=shift,
                    textcoords="offset points",
                    fontsize=8,
                    color=colours[number],
                )
                break


def drop_repetitions(axes):
    """Take label and legend off all but the first of the axes that share them."""
    for ax in axes[1:]:
        ax.set_ylabel(None)
        ax.get_legend().remove()


def _stretch(percent):
    # The error is taken half a per cent larger, so that it is never 0.
    return -np.log10(np.maximum(100.5 - percent, 0.1))


def _unstretch(value):
    return 100.5 - 10.0**-value
