"""A Python that has loaded nothing yet."""

import subprocess
import sys

HEAVY = ("brian2", "matplotlib", "numpy", "pandas", "scipy", "torch")


def loaded(code, packages=HEAVY):
    """Which of some packages are loaded once `code` has run in a fresh Python."""
    code = f"import sys; {code}; print(*[m for m in {packages!r} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return run.stdout.split()
