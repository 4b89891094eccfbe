"""Revocation lists in the book: numbers only grow, nothing revoked is left out, replays change nothing."""

from typing import Any

import pytest

from gateway.core import items
from gateway.core.revocations import KeepList, ListView, PeekList
from gateway.core.rows import RevocationList
from tests.stand.house import House

CA = "c" * 64


def keep(house: House, number: int, der: bytes = b"", serials: list[str] | None = None, **changes: Any) -> object:
    """Keep a list that began a minute ago and ends in a day."""
    times = {"this_update": house.now - 60_000, "next_update": house.now + 86_400_000} | changes
    item = KeepList(issuer_keyid=CA, number=number, der=der or b"list %d" % number, serials=serials, **times)
    return house.batch([item])[0]


def newest(house: House) -> int | None:
    view = house.look(PeekList(issuer_keyid=CA), ListView)
    return view.newest.number if view.newest else None


def refused(reply: object) -> str:
    assert isinstance(reply, items.Refusal), reply
    return reply.detail


def test_numbers_only_grow(house: House) -> None:
    assert newest(house) is None
    assert keep(house, 3) == items.Kept(count=1)
    assert keep(house, 4) == items.Kept(count=1)
    assert newest(house) == 4
    assert "older than list 4" in refused(keep(house, 3))
    assert "older than list 4" in refused(keep(house, 2, b"another"))
    assert "another list 4" in refused(keep(house, 4, b"another"))
    assert keep(house, 4) == items.Kept(count=0), "the very same list again is no news"
    assert newest(house) == 4
    ((kept,),) = house.sql("SELECT count(*) FROM revocation_lists")
    assert kept == 2


def test_two_in_one_batch(house: House) -> None:
    item = KeepList(
        issuer_keyid=CA, number=1, der=b"a", this_update=house.now - 1, next_update=house.now + 1000, serials=None
    )
    other = KeepList(
        issuer_keyid=CA, number=1, der=b"b", this_update=house.now - 1, next_update=house.now + 1000, serials=None
    )
    first, second, third = house.batch([item, other, item])
    assert first == items.Kept(count=1)
    assert "another list 1" in refused(second)
    assert third == items.Kept(count=0)


def test_other_authorities_have_numbers_of_their_own(house: House) -> None:
    keep(house, 9)
    other = KeepList(
        issuer_keyid="d" * 64, number=1, der=b"x", this_update=house.now, next_update=house.now + 1, serials=None
    )
    assert house.batch([other]) == [items.Kept(count=1)]


@pytest.mark.parametrize("changes", [{"this_update": 2**45}, {"next_update": 1_000_000}])
def test_what_is_not_in_force_now(house: House, changes: dict[str, Any]) -> None:
    assert "not in force now" in refused(keep(house, 1, **changes))


def revoke(house: House, serial: str) -> None:
    """A certificate of this CA that is revoked."""
    house.sql(
        "INSERT INTO certificates (keyid, der, role, state, public_key_sha256, not_before, not_after, registered_at,"
        " serial, issuer_keyid, key_serial, state_at, revoked_for)"
        " VALUES (?, x'00', 'station', 'REVOKED', ?, 1, 2, 1, ?, ?, '', 1, 'keyCompromise')",
        *(serial, serial, serial, CA),
    )


def test_a_list_of_ours_names_everything_revoked(house: House) -> None:
    revoke(house, "1f")
    assert "1f" in refused(keep(house, 1, serials=["2a"]))
    assert keep(house, 1, serials=["1f", "2a"]) == items.Kept(count=1)
    revoke(house, "2b")
    assert "2b" in refused(keep(house, 2, serials=["1f"]))
    assert keep(house, 2, serials=None) == items.Kept(count=1), "of a partner's CA the book knows nothing"


def test_the_moment_is_the_books(house: House) -> None:
    keep(house, 1)
    (row,) = house.rows_of(RevocationList)
    assert row.published_at == house.now
    assert row.this_update < row.published_at < row.next_update
