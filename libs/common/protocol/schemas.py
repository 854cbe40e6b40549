"""The JSON Schemas (2020-12) of the types that clients meet, for the two contracts. Pure.

The shapes are msgspec's own; the sentences are the docstrings of the types and of their fields.
"""

import ast
import inspect
import re
from collections.abc import Iterable
from types import ModuleType
from typing import Any, Final

import msgspec

Schema = dict[str, Any]

REF: Final = "#/components/schemas/"
_GENERIC: Final = re.compile(r"^([A-Za-z]+)_([A-Za-z]+)_$")
_SNAKE_CASE: Final = re.compile(r"`([a-z0-9]+(?:_[a-z0-9]+)+)`")


def schemas(types: Iterable[Any], modules: Iterable[ModuleType]) -> dict[str, Schema]:
    """Each type's schema, and those it is made of, by name. `Page[Message]` is MessagePage.

    `modules` are where they are written, bases first: the fields' docstrings are there.
    """
    _, found = msgspec.json.schema_components(types, ref_template=REF + "{name}")
    fields = _fields_of(modules)
    named = {_name(name): _plain(schema) for name, schema in found.items()}
    for name, schema in named.items():
        schema["title"] = name
        schema["description"] = sentence(schema.get("description"))
        for field, text in fields.get(name, {}).items():
            schema["properties"][field]["description"] = text
    return named


def ref_to(kind: object) -> Schema:
    """The reference to a type's schema."""
    (reference,), _ = msgspec.json.schema_components([kind], ref_template=REF + "{name}")
    renamed: Schema = _plain(reference)
    return renamed


def sentence(docstring: str | None) -> str:
    """A docstring as clients read it: fields are camelCase on the wire."""
    return _SNAKE_CASE.sub(lambda found: f"`{camel(found[1])}`", inspect.cleandoc(docstring or ""))


def _name(name: str) -> str:
    """MessagePage for Page[Message], which msgspec calls Page_Message_."""
    return _GENERIC.sub(r"\2\1", name)


def _plain(schema: Any) -> Any:  # noqa: ANN401 - any part of a schema
    """The same schema; its references by our names, tuples of one type as arrays of a length.

    Many a tool for clients doesn't know `prefixItems`.
    """
    match schema:
        case {"prefixItems": [first, *_] as items} if all(item == first for item in items):
            kept = {key: part for key, part in schema.items() if key != "prefixItems"}
            return kept | {"items": _plain(first)}
        case {"$ref": reference}:
            return schema | {"$ref": REF + _name(reference.removeprefix(REF))}
        case dict():
            return {key: _plain(part) for key, part in schema.items()}
        case list():
            return [_plain(part) for part in schema]
        case _:
            return schema


def _fields_of(modules: Iterable[ModuleType]) -> dict[str, dict[str, str]]:
    """Class → field → docstring: the string behind it, which Python itself does not keep."""
    found: dict[str, dict[str, str]] = {}
    for module in modules:
        for kind in ast.parse(inspect.getsource(module)).body:
            if isinstance(kind, ast.ClassDef):
                inherited = [found.get(ast.unparse(base), {}) for base in kind.bases]
                found[kind.name] = {
                    field: text
                    for part in (*inherited, _documented(kind))
                    for field, text in part.items()
                }
    return found


def _documented(kind: ast.ClassDef) -> dict[str, str]:
    pairs = zip(kind.body, kind.body[1:], strict=False)
    return {
        camel(field.target.id): sentence(text.value.value)
        for field, text in pairs
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }


def camel(name: str) -> str:
    """As msgspec's rename="camel" has it."""
    first, *rest = name.split("_")
    return first + "".join(part.title() for part in rest)
