"""/docs: both contracts as one page of plain HTML, without a script. Pure."""

import re
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any, Final

Part = Mapping[str, Any]
"""Any object of a contract."""

STYLE: Final = """
:root { color-scheme: light dark; --ink: #1d2430; --soft: #5b6675; --line: #d9dee6;
  --ground: #ffffff; --raised: #f5f7fa; --link: #0b57c2; --good: #18794e; --bad: #b42318; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ee; --soft: #9aa5b4; --line: #323b48;
  --ground: #12161c; --raised: #1a2029; --link: #7db4ff; --good: #5fd19b; --bad: #ff8f86; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 6rem; max-width: 60rem; color: var(--ink);
  background: var(--ground); font: 16px/1.55 system-ui, sans-serif; }
h1 { font-size: 1.9rem; line-height: 1.2; } h2 { margin-top: 3.5rem; font-size: 1.45rem; }
h3 { margin-top: 2.2rem; font-size: 1.1rem; } a { color: var(--link); }
:target { scroll-margin-top: 1rem; }
h2, h3 { border-top: 1px solid var(--line); padding-top: 1rem; }
code, .method { font: 0.9em/1.4 ui-monospace, monospace; } code { overflow-wrap: anywhere; }
:not(h3) > code { background: var(--raised); padding: 0.1em 0.3em; border-radius: 4px; }
.method { font-weight: 700; color: var(--good); } .method.DELETE { color: var(--bad); }
.soft { color: var(--soft); font-size: 0.9em; }
table { width: 100%; border-collapse: collapse; margin: 0.6rem 0; font-size: 0.93em; }
th, td { text-align: left; vertical-align: top; padding: 0.4rem 0.8rem 0.4rem 0;
  overflow-wrap: anywhere;
  border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 500; }
details { margin: 0.8rem 0; } summary { cursor: pointer; color: var(--soft); }
nav ul { columns: 18rem; padding-left: 1.1rem; } nav a { overflow-wrap: anywhere; }
td p, td ul { margin: 0; }
"""

_METHODS: Final = ("get", "post", "put", "delete")
_CODE: Final = re.compile(r"`([^`]+)`")
_BULLET: Final = re.compile(r"^(?:-|\d+\.) ", re.MULTILINE)


def page(rest: Part, socket: Part) -> str:
    """The whole page, from the REST API's and the WebSocket protocol's contract."""
    parts = (
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>Chat: the contracts</title><style>{STYLE}</style></head><body>",
        f"<header><h1>Chat: the contracts</h1>{_lead()}</header>",
        _contents(rest, socket),
        f"<main>{_rest(rest)}{_socket(socket)}</main>",
        "</body></html>\n",
    )
    return "\n".join(parts)


def _lead() -> str:
    return (
        "<p>The same as files: "
        '<a href="openapi.json">openapi.json</a> (OpenAPI 3.1), '
        '<a href="asyncapi.json">asyncapi.json</a> (AsyncAPI 3.0).</p>'
    )


def _contents(rest: Part, socket: Part) -> str:
    calls = (
        f'<li><a href="#{operation["operationId"]}">'
        f'<span class="method {method.upper()}">{method.upper()}</span> {escape(path)}</a></li>'
        for path, method, operation in _operations(rest)
    )
    frames = (
        f'<li><a href="#{name}">{escape(message["name"])}</a></li>'
        for name, message in socket["components"]["messages"].items()
    )
    return (
        '<nav><p><a href="#rest">REST</a></p><ul>' + "".join(calls) + "</ul>"
        '<p><a href="#websocket">WebSocket</a></p><ul>' + "".join(frames) + "</ul></nav>"
    )


# --- REST --------------------------------------------------------------------------------


def _rest(document: Part) -> str:
    calls = "".join(_call(*row) for row in _operations(document))
    return (
        f'<h2 id="rest">REST</h2>{_prose(document["info"]["description"])}'
        f"<p>Base: <code>{escape(document['servers'][0]['url'])}</code></p>{calls}"
        f'<h3 id="rest-any">What any call may be answered</h3>{_any_responses(document)}'
        f'<h3 id="rest-types">Types</h3>{_types(document, "rest")}'
    )


def _operations(document: Part) -> Iterable[tuple[str, str, Part]]:
    for path, methods in document["paths"].items():
        for method in _METHODS:
            if method in methods:
                yield path, method, methods[method]


def _call(path: str, method: str, operation: Part) -> str:
    body = operation.get("requestBody")
    return (
        f'<h3 id="{operation["operationId"]}"><span class="method {method.upper()}">'
        f"{method.upper()}</span> <code>{escape(path)}</code></h3>"
        f"<p>{_inline(operation['summary'])}. {_who(operation)}</p>"
        f"{_prose(operation.get('description', ''))}"
        f"{_parameters(operation)}"
        f"{'<p>Body: ' + _content(body) + '</p>' if body else ''}"
        f"{_responses(operation)}"
    )


def _who(operation: Part) -> str:
    match operation.get("security"):
        case []:
            said = "For everybody."
        case [{"service": _}]:
            said = "For our own services."
        case _:
            said = ""
    return f'<span class="soft">{said}</span>'


def _parameters(operation: Part) -> str:
    rows = [
        (
            f"<code>{escape(parameter['name'])}</code>",
            escape(parameter["in"]) + ("" if parameter["required"] else ", optional"),
            _type(parameter["schema"], "rest"),
            _inline(parameter.get("description", "")),
        )
        for parameter in operation["parameters"]
    ]
    return _table(("parameter", "in", "type", "meaning"), rows)


def _responses(operation: Part) -> str:
    """Those of its own; what may befall any call is told once."""
    own = {status: row for status, row in operation["responses"].items() if "$ref" not in row}
    shared = ", ".join(status for status in operation["responses"] if status not in own)
    return _table(("status", "answer", "headers"), map(_response, own, own.values())) + (
        f'<p class="soft">Besides: <a href="#rest-any">{escape(shared)}</a>.</p>'
    )


def _response(status: str, response: Part) -> Iterable[str]:
    is_problem = "application/problem+json" in response.get("content", {})
    content = "" if is_problem else _content(response)
    headers = ", ".join(f"<code>{escape(name)}</code>" for name in response["headers"])
    return (escape(status), _prose(response["description"]) + content, headers)


def _any_responses(document: Part) -> str:
    """By status, which the shared responses' names end with."""
    rows = {name[-3:]: row for name, row in document["components"]["responses"].items()}
    return _table(("status", "answer", "headers"), map(_response, rows, rows.values()))


def _content(holder: Part) -> str:
    return ", ".join(
        f"{_type(content['schema'], 'rest')} <span class='soft'>{escape(media_type)}</span>"
        for media_type, content in holder.get("content", {}).items()
    )


# --- WebSocket ---------------------------------------------------------------------------


def _socket(document: Part) -> str:
    channel = document["channels"]["chat"]
    security = document["components"]["securitySchemes"]["bearer"]
    frames = document["components"]["messages"]
    received = {
        operation["messages"][0]["$ref"].rpartition("/")[2]: operation
        for operation in document["operations"].values()
        if operation["action"] == "receive"
    }
    server = [name for name in frames if name not in received]
    return (
        f'<h2 id="websocket">WebSocket</h2>{_prose(document["info"]["description"])}'
        f"<p>Address: <code>{escape(channel['address'])}</code></p>"
        f"<h3>Authentication</h3>{_prose(security['description'])}"
        "<h2>Client → server</h2>"
        + "".join(_frame(document, name, received[name]) for name in received)
        + "<h2>Server → client</h2>"
        + "".join(_frame(document, name, None) for name in server)
        + f"<h2>Close codes</h2>{_closes(document)}<h2>Errors</h2>{_errors(document)}"
        f'<h3 id="socket-types">Types in frames</h3>{_types(document, "socket", but=frames)}'
    )


def _frame(document: Part, name: str, operation: Part | None) -> str:
    message = document["components"]["messages"][name]
    fields = _fields(document["components"]["schemas"][name], "socket")
    answers = _answers(document, operation) if operation else ""
    return (
        f'<h3 id="{name}"><code>{escape(message["name"])}</code></h3>'
        f"{_prose(message['description'])}{fields}{answers}"
    )


def _answers(document: Part, operation: Part) -> str:
    names = [part["$ref"].rpartition("/")[2] for part in operation["reply"]["messages"]]
    links = " or ".join(
        f'<a href="#{name}">{escape(document["components"]["messages"][name]["name"])}</a>'
        for name in names
    )
    errors = ", ".join(f"<code>{escape(error)}</code>" for error in operation["x-errors"])
    return f"<p>Answer: {links}. Its own errors: {errors or 'none'}.</p>"


def _closes(document: Part) -> str:
    rows = [(str(row["code"]), _inline(row["meaning"])) for row in document["x-close-codes"]]
    return _table(("code", "what to do"), rows)


def _errors(document: Part) -> str:
    rows = [
        (str(row["code"]), f"<code>{escape(row['error'])}</code>", _inline(row["message"]))
        for row in document["x-errors"]
    ]
    return _table(("code", "error", "meaning"), rows)


# --- both --------------------------------------------------------------------------------


def _types(document: Part, prefix: str, but: Iterable[str] = ()) -> str:
    """Every schema, but those that are shown elsewhere."""
    shown = {name: s for name, s in document["components"]["schemas"].items() if name not in but}
    return "".join(
        f'<details id="{prefix}-{name}" open><summary>{escape(name)}</summary>'
        f"{_prose(schema['description'])}{_fields(schema, prefix)}</details>"
        for name, schema in shown.items()
    )


def _fields(schema: Part, prefix: str) -> str:
    required = schema.get("required", ())
    rows = [
        (
            f"<code>{escape(name)}</code>",
            _type(field, prefix) + ("" if name in required else ", optional"),
            _prose(field.get("description", "")),
        )
        for name, field in schema["properties"].items()
    ]
    return _table(("field", "type", "meaning"), rows)


def _type(schema: Part, prefix: str) -> str:
    match schema:
        case {"$ref": reference}:
            name = escape(reference.rpartition("/")[2])
            return f'<a href="#{prefix}-{name}">{name}</a>'
        case {"anyOf": parts}:
            return " or ".join(_type(part, prefix) for part in parts)
        case {"enum": values}:
            return " or ".join(f"<code>{escape(str(value))}</code>" for value in values)
        case {"type": "array" | "object"}:
            return _container(schema, prefix)
        case _:
            return escape(schema.get("format", schema["type"])) + _range(schema)


def _container(schema: Part, prefix: str) -> str:
    match schema:
        case {"items": items, "minItems": least, "maxItems": most} if least == most:
            return f"array of {most} {_type(items, prefix)}"
        case {"items": items}:
            return f"array of {_type(items, prefix)}"
        case {"additionalProperties": values}:
            return f"object of {_type(values, prefix)}"
        case _:
            return "object"


def _range(schema: Part) -> str:
    if "maximum" not in schema:
        return ""
    return f", {schema['minimum']} to {schema['maximum']}"


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = ["".join(f"<td>{cell}</td>" for cell in row) for row in rows]
    if not lines:
        return ""
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f"<table><tr>{head}</tr>{body}</table>"


def _prose(text: str) -> str:
    """Paragraphs, lists and `code`: all the Markdown that our sentences use."""
    return "".join(_block(block) for block in text.split("\n\n") if block.strip())


def _block(block: str) -> str:
    if not _BULLET.match(block):
        return f"<p>{_inline(block)}</p>"
    items = "".join(f"<li>{_inline(item)}</li>" for item in _BULLET.split(block) if item.strip())
    return f"<ol>{items}</ol>" if block[0].isdigit() else f"<ul>{items}</ul>"


def _inline(text: str) -> str:
    return _CODE.sub(r"<code>\1</code>", escape(text.strip()))
