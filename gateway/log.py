"""Log lines: JSON on stderr, a closed set of events and keys, nothing secret and no account number (style s8).

Each key has a rule: a form, a list, a whole number, or text that shows only words of ours.

Our own code calls `logger()`; modules that use the standard library's logging under `bianmin.` go the same way. In
tests a foreign event or key raises LogRefused; in production the line is replaced by `log.refused` and counted.
"""

import logging
import re
import sys
import threading
import traceback
from collections.abc import Callable, Collection, Mapping, MutableMapping
from datetime import UTC, datetime
from types import ModuleType
from typing import Any, cast

import msgspec

from contracts.breaker import BreakerState
from contracts.serials import SERIAL_PATTERN
from contracts.states import State
from gateway.clock import SystemClock
from gateway.log_text import HIDDEN, shown

if "rich" in sys.modules:
    import structlog
else:
    # Where structlog finds rich it loads all of it, 0.3 s at each start, for coloured tracebacks that we never draw.
    sys.modules["rich"] = cast(ModuleType, None)
    try:
        import structlog
    finally:
        del sys.modules["rich"]

EVENTS = frozenset(
    # the process
    "serve.started serve.draining process.failed store.busy store.full store.failed request.failed log.refused"
    " library.spoke"
    # the bus
    " bus.connected bus.failed bus.topic message.dead"
    # payments
    " pay.accepted pay.refused pay.ended question.answered notice.failed evidence.judged sweep.ended"
    # what went wrong and was dealt with
    " claim.failed save.failed adapter.failed chore.failed breaker.opened breaker.closed alarm.raised"
    " unit.redone unit.failed worker.failed writer.died checkpoint.failed frame.refused peer.dropped listener.failed"
    " certificate.unreadable".split()
)
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_STATES = frozenset[str]((*State, *BreakerState))
_FRAMES = 8
_encode = msgspec.json.Encoder().encode


class LogRefused(Exception):
    """A line with an event or key that is not in the closed set, or a value against its key's rule."""


class Secret:
    """Text that must not be shown: every way of printing it gives `***`."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself, for whoever needs it."""
        return self._text

    def __repr__(self) -> str:
        return "***"

    def __format__(self, spec: str) -> str:
        return "***"


class Refusals:
    """Counts lines that were replaced; the metrics read it."""

    def __init__(self) -> None:
        self.count = 0


refusals = Refusals()
_REFUSED = object()
Rule = Callable[[Any], Any]
"""What may be shown of a value, or _REFUSED."""


def _form(pattern: str) -> Rule:
    match = re.compile(pattern).fullmatch
    return lambda value: value if isinstance(value, str) and match(value) else _REFUSED


def _one_of(values: Collection[str]) -> Rule:
    return lambda value: value if isinstance(value, str) and value in values else _REFUSED


def _kind(value: Any) -> Any:
    """A class of exceptions by its name: that was written by whoever wrote the code."""
    return value.__name__ if isinstance(value, type) and issubclass(value, BaseException) else _REFUSED


def _number(value: Any) -> Any:
    return value if type(value) is int else _REFUSED


def _text(value: Any) -> str:
    """Text by its words, a whole number as it is (accounts, secrets and names are never numbers here), an exception by
    its kind, its words and its place, a tuple by its members; of anything else only what kind of thing it is."""
    if isinstance(value, str):
        return shown(value)
    if type(value) is int:
        return str(value)
    if isinstance(value, BaseException):
        return trace(value)
    if isinstance(value, tuple):
        return " ".join(_text(part) for part in value if part is not None)
    if isinstance(value, bytes | bytearray | memoryview):
        return f"{len(value)} bytes"
    return HIDDEN if isinstance(value, Secret) else f"a {type(value).__name__}"


RULES: Mapping[str, Rule] = {
    "event": _one_of(EVENTS),
    "level": _one_of({*_LEVELS, "critical"}),
    "timestamp": _form(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}(\.[0-9]+)?Z"),
    # Ours, or a terminal's own (W3C trace context): nothing but 32 hex digits gets in here.
    "trace_id": _form("[0-9a-f]{32}"),
    "institution_code": _form("[0-9]{1,14}"),
    "terminal_id": _form("[A-Za-z0-9_-]{1,16}"),
    "gateway_serial": _form(SERIAL_PATTERN),
    "biller": _form("[a-z][a-z0-9_]{0,31}"),
    # From the configuration: prefix, our own word, a biller's name.
    "topic": _form(r"[A-Za-z0-9_-]{1,64}\.(request\.[a-z][a-z0-9_]{0,31}|result|dead-letter)"),
    "task": _form(r"[a-z]{1,16}(\.[a-z][a-z0-9_]{0,31})?"),
    "error": _kind,
    "state_from": _one_of(_STATES),
    "state_to": _one_of(_STATES),
    "attempt": _number,
    "amount_fen": _number,
    "elapsed_ms": _number,
    "outcome": _text,
    "cause": _text,
}
"""Every key a line may have (style s8). None is for an account, a name or a secret; `outcome` and `cause`, the only
ones that take text from elsewhere, show no other words than gateway.log_text's."""


class Writer:
    """Checks, redacts and writes lines. strict: refuse aloud."""

    def __init__(self, write: Callable[[str], object], *, strict: bool) -> None:
        self._write, self._strict = write, strict

    def line(self, found: Mapping[str, Any]) -> None:
        """Write one line, or what says that it was refused."""
        self._write(self.render(found))

    def render(self, found: Mapping[str, Any]) -> str:
        """The text of one line, or of what says that it was refused."""
        line: dict[str, Any] = {}
        for key, value in found.items():
            if value is None:
                continue
            rule = RULES.get(key)
            if rule is None or (told := rule(value)) is _REFUSED:
                return self._refuse(key, found.get("timestamp"))
            line[key] = told
        if "event" not in line:
            return self._refuse("event", found.get("timestamp"))
        return _encode(line).decode() + "\n"

    def _refuse(self, key: str, timestamp: object) -> str:
        about = key if key in RULES else "another key"
        if self._strict:
            raise LogRefused(f"{about} is not in the list, or has not its form")
        refusals.count += 1
        line = {"event": "log.refused", "level": "error", "timestamp": timestamp, "cause": about}
        return _encode(line).decode() + "\n"


class _Sink:
    """What structlog hands a rendered line to, by the name of its level."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self.debug = self.info = self.warning = self.error = self.critical = write


class _Handler(logging.Handler):
    """Lines of the standard library's logging; other packages' become `library.spoke`."""

    def __init__(self, writer: Writer) -> None:
        super().__init__()
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        ours = record.name.partition(".")[0] == "bianmin"
        line: dict[str, Any] = {
            "event": record.msg if ours else "library.spoke",
            "level": record.levelname.lower(),
            "timestamp": _stamp(datetime.fromtimestamp(record.created, UTC)),
        }
        if ours:
            line |= {key: value for key, value in record.__dict__.items() if key not in _STANDARD}
        else:
            line["cause"] = _said(record)
        if record.exc_info and record.exc_info[1] is not None:
            line["cause"] = (line.get("cause"), record.exc_info[1])
        self._writer.line(line)


def _said(record: logging.LogRecord) -> str:
    try:
        return f"{record.name}: {record.getMessage()}"
    except (TypeError, ValueError, KeyError):
        return f"{record.name}: its arguments do not match"  # a library's slip must not become our fault


_STANDARD = frozenset(logging.LogRecord("", 0, "", 0, "", None, None).__dict__) | {"message", "asctime"}


def trace(error: BaseException) -> str:
    """An exception in one line: kind, its text's words, where it was raised, innermost first; never a local value."""
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    places = [f"{'/'.join(frame.filename.split('/')[-2:])}:{frame.lineno}" for frame in reversed(frames)]
    told = f"{type(error).__name__}: {shown(str(error))}".removesuffix(": ")
    return f"{told} at {' < '.join(places)}" if places else told


def _stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def configure(level: str = "info", *, strict: bool = False, write: Callable[[str], object] | None = None) -> None:
    """Send everything to `write` (stderr), one JSON line each. Call once at start; again replaces what was."""
    write = write or _to_stderr
    writer, sink, clock = Writer(write, strict=strict), _Sink(write), SystemClock()

    def finish(_logger: object, _method: str, line: MutableMapping[str, Any]) -> str:
        error = line.pop("exc_info", None)
        if isinstance(error, BaseException):
            line["cause"] = (line.get("cause"), error)
        line["timestamp"] = clock.now().isoformat(timespec="microseconds").replace("+00:00", "Z")
        return writer.render(line)

    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            finish,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=lambda *_: sink,
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _Handler)]:
        root.removeHandler(handler)
    root.addHandler(_Handler(writer))
    root.setLevel(logging.WARNING)
    logging.getLogger("bianmin").setLevel(_LEVELS[level])


def take_over() -> None:
    """Let what Python itself would print on stderr (an exception nobody caught, a warning) become lines too."""
    speaker = logging.getLogger("bianmin.process")

    def failed(error: BaseException | None) -> None:
        speaker.error("process.failed", exc_info=error)

    sys.excepthook = lambda _kind, error, _trace: failed(error)
    sys.unraisablehook = lambda found: failed(found.exc_value)
    threading.excepthook = lambda found: failed(found.exc_value)
    logging.captureWarnings(True)


def logger() -> "structlog.typing.FilteringBoundLogger":
    """The product's logger: `logger().info("pay.sent", gateway_serial=…)`; errors as `exc_info=error`."""
    return cast("structlog.typing.FilteringBoundLogger", structlog.get_logger())


def _to_stderr(line: str) -> None:
    sys.stderr.write(line)
