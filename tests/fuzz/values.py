"""Messages of every type, and such that almost are: strategies made from the types themselves."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final, get_args
from uuid import UUID

import msgspec
from hypothesis import strategies as st
from msgspec import inspect

ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.sampled_from(["\ud800", "\0", "", "x" * 5_000, "\u202e", "9" * 30]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
"""Anything at all in a field's place."""


def kinds_in(union: Any) -> Sequence[inspect.StructType]:
    infos = [inspect.type_info(kind) for kind in get_args(union) or (union,)]
    return [info for info in infos if isinstance(info, inspect.StructType)]


def objects(union: Any) -> st.SearchStrategy[dict[str, Any]]:
    """JSON objects: fields of the right kind as a rule; others, none, and unknown ones too."""
    return st.one_of(*map(_object, kinds_in(union)))


def _object(info: inspect.StructType) -> st.SearchStrategy[dict[str, Any]]:
    fields = {field.encode_name: _value(field.type, as_text=True) | ODD for field in info.fields}
    required = {field.encode_name: fields.pop(field.encode_name) for field in info.fields[:1]}
    whole = st.fixed_dictionaries(required, optional=fields)
    return st.builds(lambda made, more: more | made | {"type": info.tag}, whole, _MORE)


_MORE = st.dictionaries(st.sampled_from(["x", "token", "content", "userId"]), ODD, max_size=2)


def arrays(union: Any) -> st.SearchStrategy[bytes]:
    """msgpack batches of tagged arrays, as `Codec` has them."""
    items = st.one_of(*map(_array, kinds_in(union)))
    return st.lists(items | ODD_BYTES, max_size=4).map(msgspec.msgpack.encode)


ODD_BYTES = ODD.filter(lambda value: "\ud800" not in repr(value).encode().decode("unicode_escape"))


def _array(info: inspect.StructType) -> st.SearchStrategy[list[Any]]:
    tag = [] if info.tag is None else [st.just(info.tag)]
    fields = [_value(field.type, as_text=False) for field in info.fields]
    return st.tuples(*tag, *fields).map(list)


_SCALARS: Final[Mapping[type[inspect.Type], st.SearchStrategy[Any]]] = {
    inspect.StrType: st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
    inspect.BytesType: st.binary(max_size=30),
    inspect.BoolType: st.booleans(),
    inspect.NoneType: st.none(),
}


def _value(info: inspect.Type, *, as_text: bool) -> st.SearchStrategy[Any]:
    if type(info) in _SCALARS:
        return _SCALARS[type(info)]
    if isinstance(info, inspect.UUIDType):
        return st.uuids().map(str if as_text else _bytes_of)
    if isinstance(info, inspect.IntType):
        return st.integers(info.ge or -(2**63), info.le or 2**63 - 1)
    return _made_of(info, as_text=as_text)


def _made_of(info: inspect.Type, *, as_text: bool) -> st.SearchStrategy[Any]:
    value = partial(_value, as_text=as_text)
    match info:
        case inspect.Metadata(type=inner):
            return value(inner)
        case inspect.ListType(item_type=item):
            return st.lists(value(item), max_size=3)
        case inspect.TupleType(item_types=items):
            return st.tuples(*map(value, items)).map(list)
        case inspect.DictType(key_type=key, value_type=inner):
            return st.dictionaries(value(key), value(inner), max_size=3)
        case inspect.UnionType(types):
            return st.one_of(*map(value, types))
        case inspect.StructType():
            return _array(info)
    raise TypeError(f"no strategy for {info}")


def _bytes_of(value: UUID) -> bytes:
    return value.bytes
