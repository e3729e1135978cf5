"""How it is said that an object cannot be taken over: its kind, its name and why."""

import contextlib


def refusal(thing, why):
    """Return the error that says why a Brian2 object cannot be taken over."""
    return ValueError(
        f"{type(thing).__name__} {thing.name!r} cannot be taken over: {why}"
    )


@contextlib.contextmanager
def naming(thing):
    """Say which Brian2 object it is that bsnn refuses."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise type(error)(
            f"{type(thing).__name__} {thing.name!r} cannot be taken over: {error}"
        ) from error
