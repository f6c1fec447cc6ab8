"""Configurations that can be edited until a run takes them."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from dcal.errors import DCALError


class Editable:
    """A base of dataclasses whose fields can be set, under their own names alone, until `freeze` is called.

    A name that is no field raises DCALError, which names a similar one. `other_names`: what a field is called
    elsewhere, with a property of that name here; in a call of the class, the message says what to write instead.
    """

    other_names: ClassVar[Mapping[str, str]] = {}

    def __new__(cls, *values: Any, **named: Any) -> Any:
        for name in named:
            cls.check_name(name)
        return super().__new__(cls)

    @classmethod
    def check_name(cls, name: str) -> None:
        """Raises DCALError unless `name` is a field."""
        fields = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type] # a dataclass's base
        if name in fields:
            return
        close = difflib.get_close_matches(name, fields, n=1)
        hint = cls.other_names.get(name) or (close[0] if close else None)
        write = f"write {hint}" if hint else f"its fields are {', '.join(fields)}"
        raise DCALError(f"{cls.__name__} has no field {name!r}: {write}")

    def normalised(self, name: str, value: Any) -> Any:
        """The value as the field `name` keeps it."""
        return value

    def check(self) -> None:
        """Raises DCALError unless the fields can work together."""

    def freeze(self) -> None:
        """Check the fields; from now on, setting one raises DCALError."""
        self.check()
        object.__setattr__(self, "_frozen", True)

    if not TYPE_CHECKING:  # a type checker knows the fields, and must not take any other name

        def __setattr__(self, name: str, value: Any) -> None:
            if name not in type(self).other_names:
                type(self).check_name(name)
            if getattr(self, "_frozen", False):
                raise DCALError(
                    f"{name} cannot be set any more: a run has been started with this configuration. For another run, "
                    f"make a new one: dataclasses.replace(config, {name}={value!r}, out=…)"
                )
            object.__setattr__(self, name, self.normalised(name, value))
