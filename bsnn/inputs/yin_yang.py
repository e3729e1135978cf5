r"""The Yin-Yang task: points of a Yin-Yang symbol, to be told apart by their region.

The symbol fills the disc of radius 1/2 about (1/2, 1/2). Two discs of radius 1/4, about
(1/4, 1/2) and (3/4, 1/2), make its lobes; two of radius 1/10 about the same points are
its dots, the third class. Each point is given as (x, y, 1 - x, 1 - y).

References
----------
Kriener, Göltz & Petrovici 2022, doi:10.1145/3517343.3517380.
"""

import numpy as np

YIN, YANG, DOT, OUTSIDE = 0, 1, 2, -1
RADIUS, LOBE_RADIUS, DOT_RADIUS = 0.5, 0.25, 0.1


def region(x, y):
    """Return the class of each point (x, y); -1 outside the symbol."""
    left = np.hypot(x - 0.25, y - 0.5)
    right = np.hypot(x - 0.75, y - 0.5)
    yin = (left <= LOBE_RADIUS) | ((y > 0.5) & (right > LOBE_RADIUS))
    dot = np.minimum(left, right) < DOT_RADIUS
    inside = np.hypot(x - 0.5, y - 0.5) <= RADIUS
    return np.select([~inside, dot, yin], [OUTSIDE, DOT, YIN], YANG)


def sample(n_samples, seed):
    """Draw points with the classes in equal proportions.

    Parameters
    ----------
    n_samples : int
    seed : int

    Returns
    -------
    features : ndarray, shape (n_samples, 4), float64
        (x, y, 1 - x, 1 - y), each in 0..1.
    labels : ndarray, shape (n_samples,), int64
        0 yin, 1 yang, 2 dot; the numbers of samples of a class differ by 1 at most.
    """
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n_samples) % 3)
    points = np.empty((n_samples, 2))
    # Draw anew, uniformly in the square, until each point lies in its class.
    pending = np.arange(n_samples)
    while pending.size:
        points[pending] = rng.random((pending.size, 2))
        pending = pending[region(*points[pending].T) != labels[pending]]
    return np.hstack([points, 1 - points]), labels
