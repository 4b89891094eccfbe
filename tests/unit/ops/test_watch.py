"""The gauges that are looked up: ages, clocks, certificates, disk, the last audit."""

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.clock import BookClock
from gateway.core import items
from gateway.core.audited import KeepAudit
from gateway.core.items_deeds import Acted
from gateway.core.revocations import KeepList
from gateway.metrics import Metrics
from gateway.store.port import StoreBusy
from gateway.store.sqlite.readers import take_snapshot
from gateway.watch import Watch, Watched
from tests.stand.bureau import Bureau
from tests.stand.house import House
from tests.stand.house import keyid as keyid_of


class Frozen:
    """The machine's clock, so many seconds beside the book's."""

    def __init__(self, house: House, behind_s: float = 0) -> None:
        self._house, self._behind_s = house, behind_s

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._house.now / 1000 - self._behind_s, UTC)

    def monotonic(self) -> float:
        return self._house.now / 1000

    def boottime(self) -> float:
        return self._house.now / 1000

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError


class Book:
    """The little of a Store that a watch needs, over a house's file."""

    def __init__(self, house: House) -> None:
        self._house, self.down = house, False

    async def look(self, item: items.Item) -> object:
        if self.down:
            raise StoreBusy("told to be down")
        return self._house.engine.look(item)

    async def snapshot(self, use):  # type: ignore[no-untyped-def]
        return await take_snapshot(self._house.engine.path, use)


class Watching:
    def __init__(self, folder: Path, behind_s: float = 0) -> None:
        self.house = House(folder)
        self.book, self.metrics = Book(self.house), Metrics()
        self.raised: list[tuple[str, int]] = []
        self.failed: list[str] = []
        clock = self.clock = BookClock(Frozen(self.house, behind_s))
        watched = Watched(
            store=self.book,  # type: ignore[arg-type]
            clock=clock,
            certificates={"reply": clock.now() + timedelta(days=10)},
            issuers={"a" * 64: clock.now() + timedelta(days=400), "b" * 64: clock.now() - timedelta(days=1)},
            folder=folder,
            raised=lambda kind, count: self.raised.append((kind, count)),
            failed=lambda name, _: self.failed.append(name),
        )
        self.watch = Watch(self.metrics, watched)

    def value(self, name: str) -> float:
        for line in self.metrics.render().decode().splitlines():
            if line.startswith(f"bianmin_{name} "):
                return float(line.rpartition(" ")[2])
        raise AssertionError(name)


@pytest.fixture
def watching(tmp_path: Path) -> Watching:
    return Watching(tmp_path)


async def test_ages_of_what_waits(watching: Watching) -> None:
    house = watching.house
    payment = house.pay()
    house.advance(40)
    await watching.watch.look()
    assert watching.value("outbox_oldest_seconds") == 40
    assert watching.value("unclaimed_oldest_seconds") == 40
    assert watching.value("seal_lag_seconds") == 40
    house.settle(payment, "Unknown", cause="reset-after-send")
    rows = house.sql("SELECT message_id FROM outbox")
    house.batch([items.MarkPublished(message_ids=[row[0] for row in rows])])
    house.seal()
    house.advance(700)
    await watching.watch.look()
    assert watching.value("outbox_oldest_seconds") == 0
    assert watching.value("unclaimed_oldest_seconds") == 0
    assert watching.value('in_doubt{age="2h",biller="acme",rung="1"}') == 1


async def test_certificates_and_disk(watching: Watching) -> None:
    await watching.watch.look()
    ends = watching.house.sql("SELECT min(not_after) FROM certificates WHERE role = 'station'")[0][0]
    assert watching.value('certificate_not_after_seconds{role="station"}') == ends / 1000
    assert watching.value('certificate_not_after_seconds{role="reply"}') == watching.house.now / 1000 + 864_000
    assert 0 < watching.value("disk_free_ratio") <= 1


@pytest.mark.parametrize(("behind_s", "shown"), [(0, 0.0), (600, 600.0), (-600, -600.0)])
async def test_a_machine_whose_clock_is_off(tmp_path: Path, behind_s: float, shown: float) -> None:
    watching = Watching(tmp_path, behind_s)
    await watching.watch.look()
    assert watching.value("clock_skew_seconds") == shown
    told = watching.clock.now().timestamp() * 1000
    assert told == pytest.approx(watching.house.now, abs=1), "whoever asks the gateway's clock hears the book's time"


async def test_the_last_audit(watching: Watching) -> None:
    await watching.watch.look()
    assert "audit_ended_seconds" not in watching.metrics.render().decode(), "none yet"
    for violations in (3, 0):
        watching.house.batch([KeepAudit(violations=violations)])
        await watching.watch.look()
        assert watching.value("audit_violations") == violations
        assert watching.value("audit_ended_seconds") == watching.house.now / 1000


async def test_an_alarm_is_told_once(watching: Watching) -> None:
    watching.house.sql(
        "INSERT INTO alarms (alarm_id, kind, biller, gateway_serial, detail, raised_at)"
        " VALUES ('a1', 'amount-differs', 'acme', NULL, 'x', 1)"
    )
    await watching.watch.look()
    await watching.watch.look()
    assert watching.raised == [("amount-differs", 1)]


async def test_of_a_book_that_is_away_nothing_is_told(watching: Watching) -> None:
    """What was so before would look like all is well; the next look tells again."""
    watching.house.pay()
    watching.house.advance(5)
    await watching.watch.look()
    assert (watching.value("book_up"), watching.value("outbox_oldest_seconds")) == (1, 5)
    watching.book.down = True
    await watching.watch.look()
    assert watching.failed == ["watch"]
    assert watching.value("book_up") == 0
    assert math.isnan(watching.value("outbox_oldest_seconds"))
    watching.book.down = False
    await watching.watch.look()
    assert (watching.value("book_up"), watching.value("outbox_oldest_seconds")) == (1, 5)


async def test_revocation_lists_of_cas_that_owe_one(watching: Watching) -> None:
    house = watching.house
    for number, issuer in enumerate("abpx", 1):
        item = KeepList(
            issuer_keyid=issuer * 64, number=number, der=b"list", this_update=house.now - 1,
            next_update=house.now + number * 1000, serials=None,
        )  # fmt: skip
        house.batch([item])
    for keyid, use in (("p" * 64, "ca"), ("q" * 64, "ca"), ("r" * 64, "sign")):
        house.sql(
            "INSERT INTO partner_certificates (biller, keyid, der, use, public_key_sha256, not_before, not_after,"
            " state, added_by, added_at, approved_by, approved_at)"
            " VALUES ('acme', ?, x'00', ?, ?, 1, ?, 'ACTIVE', 'a', 1, 'b', 2)",
            *(keyid, use, keyid, house.now + 5_000_000 + ord(keyid[0])),
        )
    await watching.watch.look()
    lines = [line for line in watching.metrics.render().decode().splitlines() if "crl_next" in line and line[0] != "#"]
    assert {line.split('"')[1]: float(line.split()[-1]) for line in lines} == {
        "a" * 16: house.now / 1000 + 1,
        "p" * 16: house.now / 1000 + 3,
        "q" * 16: 0,
    }, "ours that is valid; partners', also without a list; not one that ended, nor a stranger's"
    assert watching.value('certificate_not_after_seconds{role="partner"}') == (house.now + 5_000_112) / 1000


async def test_ends_of_stations_and_staff_of_those_not_renewed(watching: Watching) -> None:
    """The first one counts; renewed, it does not; where none is left the gauge is gone, and its alert with it."""
    house = watching.house
    office = Bureau(lambda: house.now)
    house.trust(office)
    house.ask(office.first_staff(), Acted)
    house.engine.connection.execute("DROP TRIGGER certificates_no_update")
    house.sql("UPDATE certificates SET not_after = ? WHERE keyid = ?", house.now + 1000, keyid_of(1))
    await watching.watch.look()
    assert watching.value('certificate_not_after_seconds{role="station"}') == house.now / 1000 + 1
    staff = min(office.clerk.signer.certificate.not_after, office.chief.signer.certificate.not_after)
    assert watching.value('certificate_not_after_seconds{role="operator"}') == staff.timestamp()
    house.sql("UPDATE certificates SET renews = ? WHERE keyid = ?", keyid_of(1), keyid_of(2))
    await watching.watch.look()
    assert watching.value('certificate_not_after_seconds{role="station"}') > house.now / 1000 + 1000
    house.sql("UPDATE certificates SET state = 'FROZEN' WHERE role = 'station'")
    await watching.watch.look()
    with pytest.raises(AssertionError):
        watching.value('certificate_not_after_seconds{role="station"}')
