"""What the tests of figures draw into, and from."""

import pandas as pd
import pytest

from bsnn.analysis.figures.style import new_figure
from bsnn.analysis.study import published, tables


@pytest.fixture
def ax():
    return new_figure()[1][0]


@pytest.fixture
def cells():
    theirs = tables.cells(published.runs("emnist"))
    ours = theirs.assign(
        source="bsnn", dataset="emnist", accuracy=theirs.accuracy - 0.1
    )
    return pd.concat([ours, theirs], ignore_index=True)
