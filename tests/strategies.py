"""What hypothesis draws: physical parameters."""

from hypothesis import strategies as st


def tau_pairs():
    """Two time constants of 1-50 ms, in seconds, at least 0.1 ms apart."""
    taus = st.floats(1e-3, 50e-3)
    return st.tuples(taus, taus).filter(lambda pair: abs(pair[0] - pair[1]) >= 1e-4)
