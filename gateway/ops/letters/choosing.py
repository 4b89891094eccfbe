"""Options that choose letters, and reading what they choose, page by page."""

from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Any, TypeVar

import click

from contracts.bus import DEAD_REASONS
from gateway.core.verdicts import Verdict
from gateway.ops.shared import NotSo

if TYPE_CHECKING:
    from gateway.core.letters import JudgedLetter, JudgeLetters
    from gateway.ops.desk import Desk

F = TypeVar("F", bound=Callable[..., Any])
PAGE = 500
_OPTIONS = (
    click.option("--biller", help="Of this biller."),
    click.option("--reason", "letter_reason", type=click.Choice(DEAD_REASONS), help="Dead for this reason."),
    click.option("--station", help="Of payments of this station."),
    click.option("--account", help="Of payments for this biller account."),
    click.option("--since", help="Found dead at or after: YYYY-MM-DD or YYYY-MM-DDThh:mm:ss, the bureau's time."),
    click.option("--until", help="Found dead before."),
    click.option("--verdict", type=click.Choice(list(Verdict)), help="With this verdict now."),
    click.option("--letter", "letters", multiple=True, help="Only this letter; may be given again."),
)


def choosing(command: F) -> F:
    """The options; the command takes them in `**given`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def moment(text: str | None, zone: tzinfo, option: str) -> int | None:
    """A time as people give it, in ms. Raises UsageError."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise click.UsageError(f"{option}: YYYY-MM-DD or YYYY-MM-DDThh:mm:ss") from None
    return int((found if found.tzinfo else found.replace(tzinfo=zone)).timestamp() * 1000)


class Chosen:
    """Letters by the options' values. book_at: the database's clock when the first page was judged, ms."""

    def __init__(self, desk: "Desk", given: Mapping[str, Any], zone: tzinfo, states: str) -> None:
        from gateway.core.letters import JudgeLetters
        from gateway.ops.letters.shown import masked_filter

        self._desk, self._verdict, self._letters = desk, given["verdict"], list(given["letters"])
        self._item = JudgeLetters(
            states=states,
            limit=PAGE,
            letter_ids=self._letters or None,
            biller=given["biller"],
            reason=given["letter_reason"],
            institution_code=given["station"],
            biller_account=given["account"],
            since=moment(given["since"], zone, "--since"),
            until=moment(given["until"], zone, "--until"),
        )
        self.book_at = 0
        names = ("biller", "letter_reason", "station", "account", "since", "until", "verdict")
        self.filter = masked_filter({name: str(given[name]) for name in names if given[name] is not None}) | (
            {"letters": ",".join(sorted(self._letters))} if self._letters else {}
        )

    async def each(self) -> AsyncIterator["JudgedLetter"]:
        """Every letter that is chosen, by its id. Raises NotSo for one that was named and is not there."""
        from msgspec.structs import replace

        from gateway.core.letters import LettersJudged

        item: JudgeLetters | None = self._item
        while item is not None:
            found = await self._desk.look(item)
            if not isinstance(found, LettersJudged):
                raise TypeError(type(found).__name__)
            self.book_at = self.book_at or found.now
            missing = set(self._letters) - {one.letter.letter_id for one in found.letters}
            if missing:
                raise NotSo(f"there is no dead letter {min(missing)}")
            for one in found.letters:
                if self._verdict in (None, one.verdict):
                    yield one
            item = None if found.after is None else replace(item, after=found.after)
