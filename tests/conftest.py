"""Fixtures shared by the tests: compiled programs are built once a session."""

import os
import signal

import hypothesis
import numpy as np
import pytest

# How long an example takes, to draw and to test, depends on who shares the machine.
hypothesis.settings.register_profile(
    "shared",
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("shared")


@pytest.fixture(scope="session", autouse=True)
def build_cache(tmp_path_factory):
    """Keep the user's build cache out of it, unless BSNN_CACHE names one."""
    if "BSNN_CACHE" not in os.environ:
        folder = tmp_path_factory.getbasetemp()
        if "PYTEST_XDIST_WORKER" in os.environ:  # which share what they build
            folder = folder.parent
        os.environ["BSNN_CACHE"] = str(folder / "cache")


@pytest.fixture(scope="session", autouse=True)
def interrupts():
    """Let the programs of the tests heed Ctrl-C, which a shell's background ignores."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def rng():
    return np.random.default_rng(20240722)
