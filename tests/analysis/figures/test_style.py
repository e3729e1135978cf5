"""Figures suit print, and leave no trace."""

import matplotlib
from matplotlib import pyplot
from matplotlib.text import Text

from bsnn.analysis.figures import over_dt
from bsnn.analysis.figures.style import new_figure, print_style


def test_print_style_is_legible_and_leaves_no_trace(cells):
    before = dict(matplotlib.rcParams)
    with print_style():
        figure, (left, right) = new_figure(2)
        over_dt.plot(cells, left, "accuracy")
        over_dt.plot(cells, right, "output_spikes")
    assert dict(matplotlib.rcParams) == before
    sizes = [text.get_fontsize() for text in figure.findobj(Text) if text.get_text()]
    assert min(sizes) >= 8
    assert 3.5 <= figure.get_figwidth() <= 7


def test_a_users_style_changes_no_figure():
    with matplotlib.rc_context({"axes.grid": True, "lines.linewidth": 7}):
        with print_style():
            (line,) = new_figure()[1][0].plot([0, 1])
        assert line.get_linewidth() < 3
        assert not line.axes.xaxis.get_gridlines()[0].get_visible()


def test_pyplot_knows_nothing_of_the_figures(cells):
    figure, (ax,) = new_figure()
    over_dt.plot(cells, ax, "accuracy")
    assert pyplot.get_fignums() == []
