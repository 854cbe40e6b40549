"""One of each type that travels between processes: every field told apart by its value."""

from collections.abc import Callable, Iterator, Mapping
from itertools import count
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import inspect


def specimens(kind: type[msgspec.Struct]) -> list[msgspec.Struct]:
    """With all its fields, and, where some may be missing, with those that may not."""
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    numbers = count(1)
    whole = _struct(info, numbers, is_whole=True)
    least = _struct(info, numbers, is_whole=False)
    may_miss = any(not field.required for field in info.fields)
    return [whole, least] if may_miss else [whole]


def _struct(info: inspect.StructType, numbers: Iterator[int], *, is_whole: bool) -> msgspec.Struct:
    fields = {
        field.name: _value(field.type, numbers, is_whole=is_whole)
        for field in info.fields
        if field.required or is_whole
    }
    made: msgspec.Struct = info.cls(**fields)
    return made


_SCALARS: Final[Mapping[type[inspect.Type], Callable[[int], Any]]] = {
    inspect.UUIDType: lambda number: UUID(int=number),
    inspect.IntType: lambda number: number,
    inspect.StrType: lambda number: f"text {number}",
    inspect.BytesType: lambda number: b"bytes %d" % number,
    inspect.BoolType: lambda number: bool(number % 2),
}


def _value(info: inspect.Type, numbers: Iterator[int], *, is_whole: bool) -> Any:
    if scalar := _SCALARS.get(type(info)):
        return scalar(next(numbers))
    match info:
        case inspect.Metadata(type=inner):
            value = _value(inner, numbers, is_whole=is_whole)
        case inspect.LiteralType(values):
            value = values[0]
        case inspect.ListType(item_type=item):
            value = [_value(item, numbers, is_whole=is_whole)]
        case inspect.TupleType(item_types=items):
            value = tuple(_value(item, numbers, is_whole=is_whole) for item in items)
        case inspect.DictType(key_type=key, value_type=of_key):
            first = _value(key, numbers, is_whole=is_whole)
            value = {first: _value(of_key, numbers, is_whole=is_whole)}
        case inspect.StructType():
            value = _struct(info, numbers, is_whole=is_whole)
        case inspect.UnionType(types):
            some = [one for one in types if not isinstance(one, inspect.NoneType)]
            is_none = not is_whole and len(some) < len(types)
            value = None if is_none else _value(some[0], numbers, is_whole=is_whole)
        case _:
            raise TypeError(f"no specimen of {info}")
    return value
