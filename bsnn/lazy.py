"""Packages whose public names are imported when they are first used."""

import importlib


def lazy_names(package, home):
    """Return ``__getattr__`` and ``__dir__`` for a package's ``__init__.py``.

    Parameters
    ----------
    package : str
        The package's ``__name__``.
    home : dict of str to str
        The module, relative to the package, of each public name; or that module
        itself, where it has the same name.
    """

    def get_attribute(name):
        if name in home:
            module = importlib.import_module(home[name], package)
            return module if home[name] == f".{name}" else getattr(module, name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    def list_names():
        return sorted([*vars(importlib.import_module(package)), *home])

    return get_attribute, list_names
