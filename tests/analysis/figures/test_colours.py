"""Series of one data set have their colours."""

import pandas as pd
import pytest

from bsnn.analysis.figures import confidence, pareto


@pytest.mark.parametrize("plot", [pareto.plot, confidence.plot])
def test_two_data_sets_in_one_plot_are_refused(ax, plot):
    table = pd.DataFrame({"source": "bsnn", "dataset": ["mnist", "digits"]})
    with pytest.raises(ValueError, match="one data set, got digits, mnist from bsnn"):
        plot(table, ax)
