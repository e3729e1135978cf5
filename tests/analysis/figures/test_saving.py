"""What is saved can be printed, and lies beside its numbers."""

import pandas as pd
import pytest

from bsnn.analysis.figures import over_dt
from bsnn.analysis.figures.saving import save_figure
from bsnn.analysis.figures.style import new_figure, print_style


def test_saved_figure_has_its_numbers_beside_it(tmp_path, cells):
    figure, (ax,) = new_figure(width="column", height=2.5)
    over_dt.plot(cells, ax, "accuracy")
    path = tmp_path / "new" / "accuracy"
    with print_style():
        written = save_figure(figure, path, cells)
    names = ["accuracy.csv", "accuracy.pdf", "accuracy.png"]
    assert sorted(p.name for p in path.parent.iterdir()) == names
    assert sorted(p.name for p in written) == names
    assert path.with_suffix(".pdf").read_bytes().startswith(b"%PDF-")
    # Width and height stand at a fixed place in a PNG.
    png = path.with_suffix(".png").read_bytes()
    assert png.startswith(b"\x89PNG") and int.from_bytes(png[16:20], "big") == 700
    saved = pd.read_csv(path.with_suffix(".csv"))
    pd.testing.assert_frame_equal(saved, cells, rtol=1e-15, check_dtype=False)


def test_a_figure_that_fails_leaves_nothing(tmp_path, cells, monkeypatch):
    figure, _ = new_figure()
    save_figure(figure, tmp_path / "kept", cells)
    before = (tmp_path / "kept.png").read_bytes()

    def fail(*_, **__):
        raise RuntimeError("no ink")

    monkeypatch.setattr(figure, "savefig", fail)
    with pytest.raises(RuntimeError, match="no ink"):
        save_figure(figure, tmp_path / "kept", cells)
    assert (tmp_path / "kept.png").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 3
