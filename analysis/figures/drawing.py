"""What drawing a figure gives."""

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A figure, the numbers in it, and its caption."""

    name: str
    figure: object
    table: pd.DataFrame
    caption: str


class NoData(Exception):
    """A figure that the sweep's data do not allow; the message says why."""
