"""Log lines: JSON on stderr, a closed set of events and keys, nothing secret and no account number (style s8).

Our own code calls `logger()`; modules that use the standard library's logging under `bianmin.` go the same way. In
tests a foreign event or key raises LogRefused; in production the line is replaced by `log.refused` and counted.
"""

import logging
import re
import sys
import traceback
from collections.abc import Callable, Mapping, MutableMapping
from datetime import UTC, datetime
from types import ModuleType
from typing import Any, cast

import msgspec

from contracts.serials import SERIAL_PATTERN
from gateway.clock import SystemClock

if "rich" in sys.modules:
    import structlog
else:
    # Where structlog finds rich it loads all of it, 0.3 s at each start, for coloured tracebacks that we never draw.
    sys.modules["rich"] = cast(ModuleType, None)
    try:
        import structlog
    finally:
        del sys.modules["rich"]

KEYS = frozenset(
    "event level timestamp trace_id institution_code terminal_id biller gateway_serial attempt state_from state_to"
    " outcome amount_fen elapsed_ms cause".split()
)
EVENTS = frozenset(
    # the process
    "serve.started serve.draining store.busy store.full store.failed request.failed log.refused"
    " library.spoke"
    # payments
    " pay.accepted pay.refused pay.ended question.answered notice.failed evidence.judged sweep.ended"
    # what went wrong and was dealt with
    " claim.failed save.failed adapter.failed chore.failed breaker.opened breaker.closed alarm.raised"
    " unit.redone unit.failed worker.failed writer.died checkpoint.failed frame.refused peer.dropped listener.failed"
    " certificate.unreadable".split()
)
_IDS: Mapping[str, re.Pattern[str]] = {
    "trace_id": re.compile(r"[A-Za-z0-9_-]{1,64}"),
    "institution_code": re.compile(r"[A-Za-z0-9]{1,20}"),
    "terminal_id": re.compile(r"[A-Za-z0-9_-]{1,32}"),
    "gateway_serial": re.compile(SERIAL_PATTERN),
    "biller": re.compile(r"[a-z][a-z0-9_]{0,31}"),
    "state_from": re.compile(r"[A-Z_]{1,32}"),
    "state_to": re.compile(r"[A-Z_]{1,32}"),
}
_NUMBERS = frozenset({"attempt", "amount_fen", "elapsed_ms"})
_SERIAL = SERIAL_PATTERN.strip("^$")
# Ours may stand in a text as it is; any other run of five digits or more may be somebody's account.
_DIGITS = re.compile(rf"(?P<ours>(?<![0-9A-Za-z]){_SERIAL}(?![0-9A-Za-z]))|(?P<run>[0-9]{{5,}})")
_RUN = re.compile("[0-9]{5}")
_AS_IT_IS = _NUMBERS | _IDS.keys() | {"event", "level", "timestamp"}
_CAUSE_MAX = 1_000
_FRAMES = 8
_encode = msgspec.json.Encoder().encode
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class LogRefused(Exception):
    """A line with an event or key that is not in the closed set, or a value of the wrong kind."""


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


def mask(text: str) -> str:
    """The text with every run of five or more digits cut to its last four; our own serials stay."""
    if _RUN.search(text) is None:
        return text
    return _DIGITS.sub(lambda found: found["ours"] or f"***{found['run'][-4:]}", text)


def check_line(line: Mapping[str, Any]) -> str | None:
    """Why a line may not be written, or None."""
    if line.get("event") not in EVENTS:
        return "an event that is not in the list"
    if not line.keys() <= KEYS:
        unknown = sorted(line.keys() - KEYS)
        return f"keys that are not in the list: {', '.join(map(mask, unknown))}"
    for key, value in line.items():
        if value is None:
            continue
        if key in _NUMBERS and type(value) is not int:
            return f"{key} is no whole number"
        form = _IDS.get(key)
        if form is not None and not (isinstance(value, str) and form.fullmatch(value)):
            return f"{key} has not its form"
    return None


def redact(line: Mapping[str, Any]) -> dict[str, Any]:
    """What may be shown of a checked line: accounts cut, texts of bounded length; a Secret prints itself as ***."""
    return {key: value if key in _AS_IT_IS else _shown(value) for key, value in line.items() if value is not None}


def _shown(value: Any) -> str:
    if isinstance(value, bytes | bytearray | memoryview):
        return f"{len(value)} bytes"
    return mask(str(value)[:_CAUSE_MAX])


class Writer:
    """Checks, redacts and writes lines. strict: refuse aloud."""

    def __init__(self, write: Callable[[str], object], *, strict: bool) -> None:
        self._write, self._strict = write, strict

    def line(self, found: Mapping[str, Any]) -> None:
        """Write one line, or what says that it was refused."""
        self._write(self.render(found))

    def render(self, found: Mapping[str, Any]) -> str:
        """The text of one line, or of what says that it was refused."""
        refused = check_line(found)
        if refused is not None:
            if self._strict:
                raise LogRefused(f"{found.get('event')!r}: {refused}")
            refusals.count += 1
            found = {"event": "log.refused", "level": "error", "timestamp": found.get("timestamp"), "cause": refused}
        return _encode(redact(found)).decode() + "\n"


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
            line["cause"] = f"{record.name}: {record.getMessage()}"
        if record.exc_info and record.exc_info[1] is not None:
            line["cause"] = " ".join(part for part in (line.get("cause"), trace(record.exc_info[1])) if part)
        self._writer.line(line)


_STANDARD = frozenset(logging.LogRecord("", 0, "", 0, "", None, None).__dict__) | {"message", "asctime"}


def trace(error: BaseException) -> str:
    """An exception in one line: kind, text, and where it was raised, innermost first; never a local value."""
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    places = [f"{'/'.join(frame.filename.split('/')[-2:])}:{frame.lineno}" for frame in reversed(frames)]
    return f"{type(error).__name__}: {error} at {' < '.join(places)}"


def _stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def configure(level: str = "info", *, strict: bool = False, write: Callable[[str], object] | None = None) -> None:
    """Send everything to `write` (stderr), one JSON line each. Call once at start; again replaces what was."""
    write = write or _to_stderr
    writer, sink, clock = Writer(write, strict=strict), _Sink(write), SystemClock()

    def finish(_logger: object, _method: str, line: MutableMapping[str, Any]) -> str:
        error = line.pop("exc_info", None)
        if isinstance(error, BaseException):
            line["cause"] = trace(error)
        line["timestamp"] = clock.now().isoformat(timespec="microseconds").replace("+00:00", "Z")
        return writer.render(line)

    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
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


def logger() -> "structlog.typing.FilteringBoundLogger":
    """The product's logger: `logger().info("pay.sent", gateway_serial=…)`; errors as `exc_info=error`."""
    return cast("structlog.typing.FilteringBoundLogger", structlog.get_logger())


def _to_stderr(line: str) -> None:
    sys.stderr.write(line)
