"""Log lines: a closed set of events and keys, and nothing that must not be shown."""

import ast
import json
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import structlog

from gateway import log

SERIAL = "2026112406H0P4QWR2D3RMF7"
TRACE = "0123456789abcdef" * 2
ACCOUNT = "13805790001"
SECRET = "Canary-Secret-of-no-digits"


@pytest.fixture
def lines() -> Iterator[list[str]]:
    found: list[str] = []
    log.configure("debug", strict=True, write=found.append)
    yield found
    structlog.reset_defaults()
    root = logging.getLogger()
    for handler in list(root.handlers):
        if type(handler).__module__ == "gateway.log":
            root.removeHandler(handler)
    root.setLevel(logging.WARNING)
    logging.getLogger("bianmin").setLevel(logging.NOTSET)


def test_a_line_is_one_json_document(lines: list[str]) -> None:
    log.logger().info("pay.ended", gateway_serial=SERIAL, biller="telecom", attempt=1, cause=None)
    (line,) = lines
    assert line.endswith("\n")
    found = json.loads(line)
    assert found.pop("timestamp").endswith("Z")
    assert found == {
        "event": "pay.ended",
        "level": "info",
        "gateway_serial": SERIAL,
        "biller": "telecom",
        "attempt": 1,
    }


@pytest.mark.parametrize(
    ("event", "keys"),
    [
        ("pay.unheard-of", {}),
        (SECRET, {}),
        ("pay.ended", {"password": SECRET}),
        ("pay.ended", {"biller_account": ACCOUNT}),
        ("pay.ended", {"gateway_serial": ACCOUNT}),
        ("pay.ended", {"biller": ACCOUNT}),
        ("pay.ended", {"amount_fen": 1.5}),
        ("pay.ended", {"amount_fen": True}),
        ("pay.ended", {"attempt": ACCOUNT}),
        ("pay.ended", {"state_to": SECRET}),
        ("pay.ended", {"state_to": "ZHANG_SAN"}),
        ("pay.ended", {"trace_id": "canary-trace"}),
        ("pay.ended", {"terminal_id": "诸葛丹青"}),
        ("bus.failed", {"topic": ACCOUNT}),
        ("bus.failed", {"topic": f"bianmin.request.{ACCOUNT}"}),
        ("bus.failed", {"error": "ZhangSan"}),
        ("bus.failed", {"error": ValueError(ACCOUNT)}),
        ("process.failed", {"task": f"call.{ACCOUNT}"}),
        ("pay.ended", {"institution_code": "KD0012345A"}),
    ],
)
def test_anything_else_is_refused_aloud_in_tests(event: str, keys: dict[str, object], lines: list[str]) -> None:
    with pytest.raises(log.LogRefused):
        log.logger().info(event, **keys)
    with pytest.raises(log.LogRefused):
        logging.getLogger("bianmin.flow").warning(event, extra=keys)
    assert not lines


def test_in_production_it_is_replaced_and_counted(lines: list[str]) -> None:
    log.configure("info", write=lines.append)
    before = log.refusals.count
    log.logger().info("pay.ended", password=SECRET)
    log.logger().info(SECRET, cause=ACCOUNT)
    assert log.refusals.count == before + 2
    assert [json.loads(line)["event"] for line in lines] == ["log.refused", "log.refused"]
    assert SECRET not in "".join(lines)
    assert ACCOUNT not in "".join(lines)


def test_a_log_refused_line_names_neither_key_nor_value(lines: list[str]) -> None:
    log.configure("info", write=lines.append)
    log.logger().info("pay.ended", **{f"key_{ACCOUNT}": "x"})
    log.logger().info("pay.ended", trace_id=ACCOUNT)
    assert [json.loads(line)["cause"] for line in lines] == ["another key", "trace_id"]
    assert ACCOUNT not in "".join(lines)


def test_text_shows_words_and_four_digits_and_numbers_show_whole(lines: list[str]) -> None:
    log.logger().error("claim.failed", cause=f"no order {ACCOUNT} of KD0012345A 诸葛丹青 after 20 s")
    log.logger().info("serve.started", cause=("public", 38443, "partner", None, "admin", 19090))
    assert [json.loads(line)["cause"] for line in lines] == [
        "no order *** of *** after 20 s",
        "public 38443 partner admin 19090",
    ]


def raise_with_secrets() -> None:
    """Locals hold what must not be shown; the exception's own text holds an account."""
    password = SECRET
    raise ValueError(f"no such account {ACCOUNT}, {len(password)}")


def test_the_canary(lines: list[str]) -> None:
    """A secret without digits and an account number through every way into a line; none comes out."""
    secret = log.Secret(SECRET)
    speak = log.logger()
    speak.info("pay.ended", cause=secret)
    speak.info("pay.ended", cause=f"{secret} {secret!r} {secret!s}")
    speak.info("pay.ended", cause={"key": secret, "account": ACCOUNT})
    speak.info("pay.ended", cause=f"{SECRET} {ACCOUNT}".encode())
    speak.info("pay.ended", outcome=[secret, ACCOUNT])
    speak.info("pay.ended", outcome=SECRET, cause=f"{SECRET}, {ACCOUNT}")
    speak.bind(cause=f"account {ACCOUNT}").info("pay.ended")
    try:
        raise_with_secrets()
    except ValueError as error:
        speak.error("chore.failed", exc_info=error)
        logging.getLogger("bianmin.store").exception("unit.failed")
        logging.getLogger("aiohttp.server").exception("Error handling request of %s", ACCOUNT)
    logging.getLogger("asyncio").warning("%s %s", ACCOUNT, secret)
    logging.getLogger("bianmin.http").warning("store.busy", extra={"cause": f"{ACCOUNT}", "trace_id": TRACE})
    written = "".join(lines)
    assert len(lines) == 12
    assert SECRET not in written
    assert ACCOUNT not in written
    assert ACCOUNT[:-4] not in written
    assert "raise_with_secrets" not in written, "places are files and lines"
    assert "test_log.py" in written


def test_other_packages_speak_through_us(lines: list[str]) -> None:
    logging.getLogger("asyncio").warning("executing took %s seconds", 3)
    logging.getLogger("asyncio").info("not heard")
    (line,) = lines
    assert json.loads(line)["event"] == "library.spoke"
    assert json.loads(line)["cause"] == "asyncio: executing took 3 seconds"


def test_a_library_that_cannot_format_its_own_line_hurts_nobody(lines: list[str]) -> None:
    record = logging.LogRecord("aiohttp.server", logging.ERROR, "", 0, "%d of %s", (ACCOUNT,), None)
    (ours,) = [handler for handler in logging.getLogger().handlers if type(handler).__module__ == "gateway.log"]
    ours.emit(record)
    assert json.loads(lines[0])["cause"] == "aiohttp.server: its arguments do not match"


def test_what_python_itself_would_print_becomes_lines(lines: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception nobody caught, in a thread, in a finalizer, and a warning."""
    for place in ((sys, "excepthook"), (sys, "unraisablehook"), (threading, "excepthook")):
        monkeypatch.setattr(*place, getattr(*place))
    log.take_over()
    try:
        error = ValueError(f"no account {ACCOUNT}")
        sys.excepthook(ValueError, error, None)
        sys.unraisablehook(SimpleNamespace(exc_value=error))
        threading.excepthook(SimpleNamespace(exc_value=error))  # type: ignore[arg-type]  # what it reads of it
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            warnings.warn(f"account {ACCOUNT}", stacklevel=1)
    finally:
        logging.captureWarnings(False)
    found = [json.loads(line) for line in lines]
    assert [line["event"] for line in found] == ["process.failed"] * 3 + ["library.spoke"]
    assert [line["cause"] for line in found[:3]] == ["ValueError: no account ***"] * 3
    assert ACCOUNT not in "".join(lines)


def test_levels(lines: list[str]) -> None:
    log.configure("warning", strict=True, write=lines.append)
    log.logger().info("pay.ended")
    logging.getLogger("bianmin.store").info("unit.redone")
    assert not lines
    log.logger().warning("pay.ended")
    logging.getLogger("bianmin.store").warning("unit.redone")
    assert len(lines) == 2


def test_every_event_that_the_gateway_speaks_is_in_the_list() -> None:
    spoken: set[str] = set()
    for path in (Path(__file__).parents[3] / "gateway").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in ("debug", "info", "warning", "error", "exception")
                and node.args
                and isinstance(node.args[0], ast.Constant)
                and isinstance(node.args[0].value, str)
            ):
                spoken.add(node.args[0].value)
    assert len(spoken) > 10
    assert spoken <= log.EVENTS


def test_events_are_nouns_and_verbs() -> None:
    for event in log.EVENTS:
        noun, _, verb = event.partition(".")
        assert noun.isalpha()
        assert verb.isalpha()
