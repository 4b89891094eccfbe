"""The simulator as a process of its own."""

import sys
from collections.abc import Sequence

from adapters.kit.process import fixed_at, parser_for, run
from adapters.tv.simulator.platform import Limits, Options
from adapters.tv.simulator.server import start

_PARSER = parser_for("tv", "The TV platform's test platform.")
_PARSER.add_argument("--maintenance", action="store_true", help="refuse calls on first Tuesdays, 01:00 to 03:00")


def options_of(argv: Sequence[str]) -> tuple[Options, bool]:
    """Read the arguments: the options, and whether the port is wanted on a line of its own. Exits on wrong use."""
    given = _PARSER.parse_args(argv)
    limits = Limits(0, 0, given.maintenance) if given.no_limits else Limits(maintenance=given.maintenance)
    options = Options(
        host=given.host, port=given.port, book=given.book, fixed_at=fixed_at(_PARSER, given), limits=limits
    )
    return options, given.print_port


def main(argv: Sequence[str] | None = None) -> None:
    """Run until SIGTERM or SIGINT. Prints `listening on http://HOST:PORT` once it listens."""
    options, print_port = options_of(sys.argv[1:] if argv is None else argv)
    run(_PARSER, options, lambda: start(options), print_port=print_port)
