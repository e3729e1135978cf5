"""Dataclass fields that carry what forms, checks and tables need to know."""

import dataclasses
import types
import typing
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Field:
    """What is known of a field, whatever its value.

    Parameters
    ----------
    name : str
    annotation : type
        Of its value: int, float or str, a tuple of them, or either of these or None.
    default : optional
        `dataclasses.MISSING` where it must be given.
    help : str
    unit : str, optional
        Of its numbers; a time has it at the end of its name, too.
    tag : str, optional
        What stands for it in short names; fields may share one.
    choices : tuple of str
        The words that it may be.
    least : int, optional
        The least that it may be.
    positive : bool
        Whether it must be above 0.
    """

    name: str
    annotation: type | types.GenericAlias | types.UnionType
    default: typing.Any
    help: str
    unit: str | None = None
    tag: str | None = None
    choices: tuple[str, ...] = ()
    least: int | None = None
    positive: bool = False

    @property
    def several(self) -> bool:
        return typing.get_origin(self._unless_none) is tuple

    @property
    def kind(self) -> type:
        """The type of its value, or of each of several."""
        return self._unless_none.__args__[0] if self.several else self._unless_none

    @property
    def option(self) -> str:
        """What a command line calls it."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def label(self) -> str:
        """What the head of a table calls it."""
        if self.unit is None:
            return self.name
        return f"{self.name.removesuffix(f'_{self.unit}')} ({self.unit})"

    @property
    def _optional(self):
        return isinstance(self.annotation, types.UnionType)

    @property
    def _unless_none(self):
        return self.annotation.__args__[0] if self._optional else self.annotation

    def checked(self, value):
        """Return a value as the type of its annotation, in a form that JSON can hold.

        Raises
        ------
        ValueError
            If it is not of that type, or is one that the field cannot have.
        """
        from bsnn.equations.units import one_of

        if value is None and self._optional:
            return None
        try:
            value = self._converted(value)
        except TypeError as error:
            kind = self.annotation
            kind = kind.__name__ if isinstance(kind, type) else kind
            raise ValueError(f"'{self.name}' must be {kind}, got {value!r}.") from error
        if self.choices:
            one_of(value, self.name, self.choices)
        if self.least is not None and value < self.least:
            bound = f"be {self.least} or more" if self.least else "not be negative"
            raise ValueError(f"'{self.name}' must {bound}, got {value!r}.")
        if self.positive and value <= 0:
            raise ValueError(f"'{self.name}' must be positive, got {value!r}.")
        return value

    def _converted(self, value):
        from bsnn.equations.units import as_int, as_list, as_number

        convert = {int: as_int, float: as_number, str: _as_text}[self.kind]
        if self.several:
            return tuple(convert(item, self.name) for item in as_list(value, self.name))
        return convert(value, self.name)


def field(help: str, default: typing.Any = dataclasses.MISSING, **known):
    """Declare a field of which `known` is what `Field` takes."""
    return dataclasses.field(default=default, metadata={"help": help, **known})


def fields_of(cls: type) -> dict[str, Field]:
    """Return by name those fields of a dataclass that `field` declared."""
    annotations = typing.get_type_hints(cls)
    return {
        field.name: Field(
            name=field.name,
            annotation=annotations[field.name],
            default=field.default,
            **field.metadata,
        )
        for field in dataclasses.fields(cls)
        if field.metadata
    }


def in_short(value) -> str:
    """Return a value as names, tables and help texts show it."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _as_text(value, name):
    if not isinstance(value, str):
        raise TypeError(f"'{name}' must be str, got {value!r}.")
    return value
