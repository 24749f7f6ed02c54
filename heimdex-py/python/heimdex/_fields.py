"""The properties of records: facts of the core's JSON with the types that people see."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar, overload

if TYPE_CHECKING:
    from ._results import Record

T = TypeVar("T")


class Field(Generic[T]):
    """A fact of a record, that of the same name or of `key`, as `read` makes it of JSON.

    One that may be left out is then read from `absent`.
    """

    def __init__(self, read: Callable[[Any], T], doc: str, *, key: str = "", absent: object = ...) -> None:
        self._read, self._key, self._absent = read, key, absent
        self.__doc__ = doc

    def __set_name__(self, owner: type[Record], name: str) -> None:
        self._key = self._key or name

    @overload
    def __get__(self, record: None, owner: type) -> Field[T]: ...
    @overload
    def __get__(self, record: Record, owner: type | None = None) -> T: ...
    def __get__(self, record: Record | None, owner: type | None = None) -> Field[T] | T:
        if record is None:
            return self
        facts = record._data
        return self._read(facts[self._key] if self._absent is ... else facts.get(self._key, self._absent))

    def __set__(self, record: Record, value: NoReturn) -> NoReturn:
        raise AttributeError(f"{type(record).__name__} does not change")


def maybe(kind: Callable[[Any], T], doc: str) -> Field[T | None]:
    """A fact that may be `None`, or left out."""
    return Field(lambda value: None if value is None else kind(value), doc, absent=None)


def many(kind: Callable[[Any], T], doc: str, *, absent: object = ...) -> Field[list[T]]:
    """A fact that is a list."""
    return Field(lambda values: [kind(value) for value in values], doc, absent=absent)


def in_seconds(key: str, doc: str) -> Field[float]:
    """A fact in microseconds as seconds."""
    return Field(lambda micros: int(micros) / 1_000_000, doc, key=key)
