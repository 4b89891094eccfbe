"""`asyncapi.json`: AsyncAPI 3.0 made from the messages of contracts.bus."""

import json
import re
from typing import Any

import msgspec

from contracts import bus

API_VERSION = "1.0.0"
"""Version of the messages, not of the product; each message names its own schema version too."""

_REF = "#/components/schemas/{name}"
_REQUESTS = (bus.OrderMessage, bus.BillQueryMessage)
_RESULTS = (bus.ResultMessage, bus.BillResultMessage)
_DEAD_LETTER = "DeadLetter"
_KEYS = {"request": "The biller account, so that one account's orders stay in order.", "result": "The serial or token."}

_ABOUT = """\
Messages wake, SQL decides: a consumer believes only the serials in a message and reads the row they name. Delivery is
at least once and in no order that may be relied on; a message that cannot be read goes whole to the dead-letter topic
and stops nobody. Topics begin with the configured prefix (`bianmin` unless configured otherwise). Payloads are JSON.
Headers repeat what people and tools look for; no consumer believes them. A schema is a name with a version: old and new
versions lie side by side in a topic, and readers of a new version are released before its writers."""

_HEADERS = {
    "type": "object",
    "properties": {
        "message_id": {"type": "string"},
        "content-type": {"type": "string", "const": "application/json"},
        "schema": {"type": "string", "description": "Name and version, as in the payload."},
        "traceparent": {"type": "string", "description": "W3C trace context, where the payload has one."},
    },
    "required": ["message_id", "content-type"],
}
_DEAD_HEADERS = {
    "reason": f"One of {', '.join(bus.DEAD_REASONS)}.",
    "detail": "More about it, for people; holds no value of the message.",
    "topic": "Where it lay.",
    "partition": "The same.",
    "offset": "The same.",
    "timestamp": "Its own, in milliseconds since the epoch.",
    "worker": "The process that put it away.",
}
_SHORT_HEADERS = {
    "value_bytes": "Of a short letter: how long the value is that the dead-letter topic did not take.",
    "value_sha256": "Of a short letter: the SHA-256 of that value, in hex. The record lies where topic, partition and "
    "offset say until its retention ends.",
}


def document() -> dict[str, Any]:
    """The description as plain JSON values, in a stable order. Source: design s7, worked example s5.3."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Bianmin Gateway bus",
            "version": API_VERSION,
            "description": _ABOUT,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {
            "request": _channel(
                "bianmin.request.{biller}",
                "One topic per biller, so that a slow biller slows only itself.",
                _REQUESTS,
                {"biller": {"description": "The adapter's name, as in the manifest."}},
            ),
            "result": _channel("bianmin.result", "Something is decided; whoever holds its call looks it up.", _RESULTS),
            "deadLetter": {
                "address": "bianmin.dead-letter",
                "description": "Records that nobody can use, key, value and headers as they came.",
                "messages": {_DEAD_LETTER: {"$ref": f"#/components/messages/{_DEAD_LETTER}"}},
            },
        },
        "operations": {
            "publishRequests": _operation("send", "request", "The relay publishes outbox rows after their commit."),
            "consumeRequests": _operation("receive", "request", "A worker claims the order it names, then calls."),
            "publishResults": _operation("send", "result", "The relay, and workers that answered a bill query."),
            "consumeResults": _operation("receive", "result", "The process that holds the terminal's call."),
            "publishDeadLetters": _operation("send", "deadLetter", "A worker, before it commits the offset."),
        },
        "components": {"messages": _messages(), "schemas": _schemas()},
    }


def render() -> bytes:
    """The file, byte for byte: UTF-8, one space of indentation, a last line feed."""
    return json.dumps(document(), ensure_ascii=False, indent=1).encode() + b"\n"


def _channel(
    address: str, says: str, kinds: tuple[type[Any], ...], parameters: dict[str, Any] | None = None
) -> dict[str, Any]:
    channel: dict[str, Any] = {
        "address": address,
        "description": says,
        "messages": {kind.__name__: {"$ref": f"#/components/messages/{kind.__name__}"} for kind in kinds},
    }
    return channel | ({"parameters": parameters} if parameters else {})


def _operation(action: str, channel: str, says: str) -> dict[str, Any]:
    return {"action": action, "channel": {"$ref": f"#/channels/{channel}"}, "summary": says}


def _messages() -> dict[str, Any]:
    return (
        {kind.__name__: _message(kind, _KEYS["request"]) for kind in _REQUESTS}
        | {kind.__name__: _message(kind, _KEYS["result"]) for kind in _RESULTS}
        | {_DEAD_LETTER: _dead_letter()}
    )


def _message(kind: type[Any], key: str) -> dict[str, Any]:
    return {
        "name": kind.__name__,
        "summary": re.sub(r"\s+", " ", kind.__doc__ or ""),
        "contentType": "application/json",
        "headers": _HEADERS,
        "payload": {"$ref": _REF.format(name=kind.__name__)},
        "bindings": {"kafka": {"key": {"type": "string", "description": key}, "bindingVersion": "0.5.0"}},
    }


def _dead_letter() -> dict[str, Any]:
    says = _DEAD_HEADERS | _SHORT_HEADERS
    members = {name: {"type": "string", "description": text} for name, text in says.items()}
    return {
        "name": _DEAD_LETTER,
        "summary": "The record as it came, whatever it holds, or short where the topic does not take it whole; the "
        "last header of each of these names is ours.",
        "contentType": "application/octet-stream",
        "headers": {"type": "object", "properties": members, "required": sorted(_DEAD_HEADERS)},
        "payload": {"description": "Any bytes, or none."},
    }


def _schemas() -> dict[str, Any]:
    _, components = msgspec.json.schema_components((*_REQUESTS, *_RESULTS), ref_template=_REF)
    for schema in components.values():
        schema["description"] = re.sub(r"\s+", " ", schema["description"])
    return {name: components[name] for name in sorted(components)}
