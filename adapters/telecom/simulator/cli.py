"""The simulator as a process of its own."""

import re
import sys
from collections.abc import Sequence

from adapters.kit.process import fixed_at, parser_for, run
from adapters.telecom.simulator.gate import Limits
from adapters.telecom.simulator.premises import Options
from adapters.telecom.simulator.server import start

_URL = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?/\S*")
_PARSER = parser_for("telecom", "The telecom platform's test platform.")
_PARSER.add_argument("--notice-url", help="where results of top-ups are told; without it nobody is told")
_PARSER.add_argument("--maintenance", action="store_true", help="refuse every call from 02:00:00 to 02:29:59")


def options_of(argv: Sequence[str]) -> tuple[Options, bool]:
    """Read the arguments: the options, and whether the port is wanted on a line of its own. Exits on wrong use."""
    given = _PARSER.parse_args(argv)
    if given.notice_url is not None and not _URL.fullmatch(given.notice_url):
        _PARSER.error("--notice-url is http://host[:port]/path, or https")
    limits = Limits(0, 0, 0, given.maintenance) if given.no_limits else Limits(maintenance=given.maintenance)
    options = Options(
        host=given.host,
        port=given.port,
        book=given.book,
        notice_url=given.notice_url,
        fixed_at=fixed_at(_PARSER, given),
        limits=limits,
    )
    return options, given.print_port


def main(argv: Sequence[str] | None = None) -> None:
    """Run until SIGTERM or SIGINT. Prints `listening on http://HOST:PORT` once it listens."""
    options, print_port = options_of(sys.argv[1:] if argv is None else argv)
    run(_PARSER, options, lambda: start(options), print_port=print_port)
