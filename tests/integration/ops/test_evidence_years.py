"""Evidence over the years: lists that came later, certificates that ended, payments that left for the archive."""

import asyncio
from pathlib import Path
from typing import Any

from gateway.core import items, rows
from gateway.ops.archive import archive
from gateway.ops.evidence.standing import Standings
from tests.stand.house import NOON
from tests.stand.signed_house import SignedHouse, verify

DAY = "2026-11-24"


def test_later_lists_and_steps_say_nothing_about_before(tmp_path: Path) -> None:
    """Revoked in the afternoon, on a list that is dated back: the payment of the morning stays proven."""
    house = SignedHouse(tmp_path)
    house.publish(1)
    morning = house.pay(10_001)
    house.house.advance(60)
    house.do(house.bureau.clerk, "certs.revoke", house.signer.keyid, code="keyCompromise")
    house.publish(2, house.signer.certificate)
    house.close_day()
    house.write(morning, tmp_path / "out")
    code, said = verify(tmp_path / "out")
    assert code == 0, said
    assert "[key: ACTIVE, list 1]" in said
    assert len(list((tmp_path / "out" / "crls").iterdir())) == 2, "of the request, and of the day's own signature"
    status = (tmp_path / "out" / "status" / house.signer.keyid).read_text().splitlines()
    assert status[-1].split()[1:4] == ["revoke", "ACTIVE", "REVOKED"]
    house.house.close()


def test_it_outlives_every_certificate_in_it(tmp_path: Path) -> None:
    """Root, issuing CA, station and archive keys ended years ago; two periods of issuing CAs beside each other."""
    house = SignedHouse(tmp_path, noon=NOON - 22 * 365 * 86_400_000)
    house.publish(1)
    first = house.pay(10_001)
    house.close_day()
    house.rotate()
    house.publish(1)
    second = house.pay(10_002)
    house.close_day()
    for number, payment in enumerate((first, second)):
        house.write(payment, tmp_path / f"out-{number}")
        code, said = verify(tmp_path / f"out-{number}")
        assert code == 0, said
        assert "[key: ACTIVE, " in said
    assert (tmp_path / "out-0" / "issuing.cert.pem").read_text().count("BEGIN") == 2
    day = house.house.rows_of(rows.Seal)[0].day
    assert day.startswith("2004")
    house.write_day(day, tmp_path / "day")
    assert verify(tmp_path / "day")[0] == 0
    house.house.close()


def test_archived_payments_are_included(tmp_path: Path) -> None:
    house = SignedHouse(tmp_path)
    payment = house.pay(10_001)
    house.close_day()
    before = tmp_path / "before"
    house.write_day(DAY, before)
    house.house.advance(9 * 86_400)
    ids = [one.message_id for one in house.house.ask(items.TakeOutbox(older_than_ms=0), items.Outbox).messages]
    house.house.ask(items.MarkPublished(message_ids=ids), items.Kept)
    house.house.settle(house.house.pay(biller_account="70001"))
    house.house.seal()
    moved = asyncio.run(archive(_Desk(house), "2026-12-01"))
    assert moved.payments == 1
    for what, folder in ((DAY, tmp_path / "day"), (payment, tmp_path / "payment")):
        house.write_day(what, folder) if isinstance(what, str) else house.write(what, folder)
        code, said = verify(folder)
        assert code == 0, said
    assert (before / "SHA256SUMS").read_bytes() == (tmp_path / "day" / "SHA256SUMS").read_bytes()
    house.house.close()


class _Desk:
    """The house as commands see a book."""

    def __init__(self, house: SignedHouse) -> None:
        self._house = house.house

    async def run(self, item: Any) -> Any:
        return self._house.batch([item])[0]

    async def look(self, item: Any) -> Any:
        return self._house.engine.look(item)

    async def snapshot(self, use: Any) -> Any:
        raise NotImplementedError


def test_the_list_in_force_is_the_one_published_by_then(tmp_path: Path) -> None:
    house = SignedHouse(tmp_path)
    ca, now = house.issuings[0].certificate.keyid, house.house.now
    house.publish(1)
    house.house.advance(100)
    house.publish(2)

    async def at(snapshot: Any, moments: list[int]) -> list[int | None]:
        standings = Standings(snapshot, [house.issuings[0].certificate])
        found = [await standings.list_at(ca, moment) for moment in moments]
        return [one.number if one else None for one in found]

    moments = [now - 1, now, now + 99_999, now + 100_000, now + 86_400_000 + 99_000, now + 86_400_000 + 100_000]
    assert house.snapshot(lambda snapshot: at(snapshot, moments)) == [None, 1, 1, 2, 2, None]
    house.house.close()
