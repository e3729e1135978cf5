"""Series of one data set have their colours."""

import pandas as pd
import pytest

from bsnn.analysis.figures import confidence, pareto
from bsnn.analysis.figures.colours import sequential_colour


@pytest.mark.parametrize("plot", [pareto.plot, confidence.plot])
def test_two_data_sets_in_one_plot_are_refused(ax, plot):
    table = pd.DataFrame({"source": "bsnn", "dataset": ["mnist", "digits"]})
    with pytest.raises(ValueError, match="one data set, got digits, mnist from bsnn"):
        plot(table, ax)


def test_any_number_of_time_steps_spans_the_same_colours():
    ends = {(sequential_colour(0, n), sequential_colour(n - 1, n)) for n in (2, 3, 7)}
    ((first, last),) = ends
    assert first != last
    assert sequential_colour(0, 1) == first
