"""The judgement of a soak sees growth, and only growth."""

import numpy as np
import pandas as pd
import pytest

from tests.reliability.soak import judge

SECONDS = np.arange(100.0)


@pytest.mark.parametrize(
    ("resident", "descriptors", "ok"),
    [
        (400 + 3 * np.sin(SECONDS), 30 + SECONDS % 2, True),
        (400 + 200 * np.exp(-SECONDS / 4), 30, True),
        (400 - 200 * np.exp(-SECONDS / 4), 30, True),  # warming up
        (400 + 0.1 * SECONDS, 30, False),
        (400, 30 + SECONDS // 40, False),
    ],
)
def test_growth_is_seen(resident, descriptors, ok):
    table = pd.DataFrame(
        {
            "seconds": SECONDS,
            "process": "main 7",
            "resident_mib": resident,
            "descriptors": descriptors,
        }
    )
    assert judge(table).ok.tolist() == [ok]


def test_a_process_that_was_replaced_is_no_success():
    halves = np.where(SECONDS < 50, "main 7", "main 8")
    table = pd.DataFrame(
        {"seconds": SECONDS, "process": halves, "resident_mib": 4, "descriptors": 9}
    )
    assert judge(table).ok.tolist() == [False, False]
