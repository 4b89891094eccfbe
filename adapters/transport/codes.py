"""A partner's codes as data: (flow, code, optional state) → what it means, why, and in whose words.

`codes.toml` holds `[flows]`, name = role, and `[[row]]` tables. A row stands for every flow it lists. What is not
listed has no meaning: find() answers None and the adapter answers Unknown (M4).
"""

import re
import tomllib
from collections.abc import Mapping
from enum import StrEnum

import msgspec

from contracts.outcomes import Declined, NotSent, Reason, Unknown
from contracts.problems import PROBLEMS


class Role(StrEnum):
    """What a flow asks for, and with it which meanings its codes may have."""

    PAY = "pay"
    EVIDENCE = "evidence"
    UNDO = "undo"
    BILL = "bill"
    FILE = "file"


class Means(StrEnum):
    """What a code proves; the first block are the outcomes of contracts.outcomes."""

    PAID = "paid"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    NOT_SENT = "not_sent"
    UNKNOWN = "unknown"
    PENDING = "pending"
    ABSENT = "absent"
    UNDONE = "undone"
    STILL_PAID = "still_paid"
    NEVER_PAID = "never_paid"
    NOT_UNDONE = "not_undone"
    FOUND = "found"
    NO_BILL = "no_bill"
    NO_FILE = "no_file"
    UNAVAILABLE = "unavailable"


_ALLOWED: Mapping[Role, frozenset[Means]] = {
    Role.PAY: frozenset({Means.PAID, Means.ACCEPTED, Means.DECLINED, Means.NOT_SENT, Means.UNKNOWN}),
    Role.EVIDENCE: frozenset({Means.PAID, Means.PENDING, Means.DECLINED, Means.UNKNOWN, Means.ABSENT, Means.UNDONE}),
    Role.UNDO: frozenset(
        {
            Means.UNDONE,
            Means.STILL_PAID,
            Means.NEVER_PAID,
            Means.NOT_UNDONE,
            Means.PENDING,
            Means.NOT_SENT,
            Means.UNKNOWN,
        }
    ),
    Role.BILL: frozenset({Means.FOUND, Means.NO_BILL, Means.UNAVAILABLE}),
    Role.FILE: frozenset({Means.FOUND, Means.NO_FILE, Means.UNAVAILABLE}),
}

# Words that speak of another request under the same number, or of one under way: a refusal in such words says nothing
# about whether money was booked, so only the partner's own sentence may turn it into "declined" (design s5).
_SUSPECT = re.compile(
    r"duplicate|repeat|already|in progress|processing|pending|busy|queued|used (again|for|otherwise)|exists|reversed"
    r"|重复|已(?:缴|销|支付|成功|存在|用|受理|返销)|处理中|进行中|在途|繁忙|排队|稍后查询",
    re.IGNORECASE,
)
_PROVES = re.compile(r"not booked|nothing (?:is |was )?booked", re.IGNORECASE)
_SLUG = re.compile(r"[a-z][a-z0-9-]{1,39}")


class Row(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One meaning. flows: names in `[flows]`. code, state: the partner's, untouched; state "" means none is compared.

    reason: for `declined` a contracts Reason, for undo refusals a slug. retry_after_s: for `not_sent`, `no_file`
    (-1 there: it will never come). problem: slug of contracts.problems, for `no_bill`. shop_text: Simplified Chinese,
    "" where the reason's own text suffices. staff_text: the partner's meaning. source: document section and its words.
    """

    flows: tuple[str, ...]
    code: str
    state: str = ""
    means: Means
    reason: str = ""
    retry_after_s: int = 0
    problem: str = ""
    shop_text: str = ""
    staff_text: str
    source: str


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    flows: dict[str, Role]
    row: tuple[Row, ...]


class CodeTable:
    """All rows of one partner, checked; look-up is exact."""

    def __init__(self, rows: Mapping[tuple[str, str, str], Row], flows: Mapping[str, Role]) -> None:
        self._rows, self._flows = rows, flows

    def find(self, flow: str, code: str, state: str = "") -> Row | None:
        """The row of this flow, code and state, or None: not listed, so not known."""
        assert flow in self._flows, "flow is not declared"
        return self._rows.get((flow, code, state))

    def rows(self) -> Mapping[tuple[str, str, str], Row]:
        """Every (flow, code, state) with its row."""
        return self._rows


def refused(row: Row, resp_code: str, *, retry_after_s: int = 0) -> Declined | NotSent | Unknown:
    """What a row of a pay flow that is neither paid nor accepted says. retry_after_s: the partner's wish."""
    if row.means is Means.DECLINED:
        return Declined(resp_code=resp_code, reason=Reason(row.reason))
    if row.means is Means.NOT_SENT:
        again = max(row.retry_after_s, retry_after_s)
        return NotSent(cause=f"code.{resp_code}", retry_after_s=again, resp_code=resp_code)
    return Unknown(cause=f"code.{row.code}", resp_code=resp_code)


def load_codes(text: str) -> CodeTable:
    """Read codes.toml. Raises ValueError with row and rule for whatever is not exactly as this module says.

    Refused among others: unknown keys, a meaning the flow's role cannot have, one (flow, code, state) twice, a
    `declined` in a pay flow whose words speak of a duplicate, an earlier payment or one in progress, unless its
    source line says that nothing was booked.
    """
    try:
        document = msgspec.convert(tomllib.loads(text), _Document)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as failure:
        raise ValueError(f"codes.toml: {failure}") from None
    table: dict[tuple[str, str, str], Row] = {}
    for row in document.row:
        if not row.flows:
            raise ValueError(f"codes.toml: code {row.code} lists no flow")
        for flow in row.flows:
            if flow not in document.flows:
                raise ValueError(f"codes.toml: code {row.code}: flow {flow} is not declared")
            _check(row, flow, document.flows[flow])
            key = (flow, row.code, row.state)
            if key in table:
                raise ValueError(f"codes.toml: {flow} {row.code} {row.state} twice")
            table[key] = row
    return CodeTable(table, document.flows)


def _check(row: Row, flow: str, role: Role) -> None:
    where = f"codes.toml: {flow} {row.code} {row.state}".rstrip()
    if row.means not in _ALLOWED[role]:
        raise ValueError(f"{where}: {row.means} is no answer of a {role} flow")
    if not row.code or not row.staff_text or not row.source:
        raise ValueError(f"{where}: code, staff_text and source are needed")
    if row.means is Means.DECLINED and row.reason not in set(Reason):
        raise ValueError(f"{where}: reason must be one of {', '.join(Reason)}")
    if row.means in {Means.STILL_PAID, Means.NOT_UNDONE} and not _SLUG.fullmatch(row.reason):
        raise ValueError(f"{where}: reason must be a slug")
    if row.means is Means.NOT_SENT and row.retry_after_s < 1:
        raise ValueError(f"{where}: retry_after_s must be at least 1")
    if row.means is Means.NO_FILE and not (row.retry_after_s >= 1 or row.retry_after_s == -1):
        raise ValueError(f"{where}: retry_after_s must be at least 1, or -1 for never")
    if row.means is Means.NO_BILL and (row.problem not in PROBLEMS or not row.shop_text):
        raise ValueError(f"{where}: problem (a slug of contracts.problems) and shop_text are needed")
    _refuse_guess(row, where, role)


def _refuse_guess(row: Row, where: str, role: Role) -> None:
    if role is not Role.PAY or row.means is not Means.DECLINED:
        return
    if _SUSPECT.search(f"{row.staff_text} {row.shop_text} {row.source}") and not _PROVES.search(row.source):
        raise ValueError(f"{where}: declined, but its words speak of another payment and its source proves nothing")
