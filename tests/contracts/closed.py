"""JSON Schemas as the tests hold them against what comes: also what they don't name is a drift."""

from typing import Any

from jsonschema_rs import Draft202012Validator


def validator(document: dict[str, Any], schema: dict[str, Any]) -> Draft202012Validator:
    """Of a schema that refers to the document's components."""
    whole = {"allOf": [schema], "components": {"schemas": document["components"]["schemas"]}}
    return Draft202012Validator(closed(whole), validate_formats=True)


def closed(schema: Any) -> Any:
    """The same, without further properties. Clients ignore what they don't know, tests don't."""
    match schema:
        case {"type": "object", "properties": dict()}:
            return {key: closed(part) for key, part in schema.items()} | {
                "additionalProperties": False
            }
        case dict():
            return {key: closed(part) for key, part in schema.items()}
        case list():
            return [closed(part) for part in schema]
        case _:
            return schema


def complaint(found: Draft202012Validator, value: Any) -> str | None:
    """What is wrong with the value, and where; None when nothing is."""
    if found.is_valid(value):
        return None
    return "; ".join(
        f"/{'/'.join(map(str, error.instance_path))}: {error.message}"
        for error in found.iter_errors(value)
    )
