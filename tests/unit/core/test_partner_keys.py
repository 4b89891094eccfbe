"""Partners' certificates: two people pin them, two at once for a roll-over, and a stale list closes the door."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.core import items
from gateway.core.items_deeds import Acted
from gateway.core.partner_keys import STALE, FindPartnerKeys, PartnerKeys
from gateway.core.revocations import KeepList
from gateway.core.rows import Alarm, PartnerCertificate
from gateway.flow.partner_signatures import Proven, Unproven, partner_signature
from tests.stand.bureau import Bureau, Person
from tests.stand.house import House
from tests.stand.partner_pki import Held, PartnerCa, at_ms

BILLER = "acme"
NOTICE = b'{"paid": 1}'


class Desk:
    """A house with its staff, and one partner with a CA of its own."""

    def __init__(self, folder: Path) -> None:
        self.house = House(folder, durable=False)
        self.bureau = Bureau(lambda: self.house.now)
        self.house.trust(self.bureau)
        assert isinstance(self.house.batch([self.bureau.first_staff()])[0], Acted)
        self.ca = PartnerCa(at_ms(self.house.now))

    def act(self, who: Person, action: str, subject: str, **fields: Any) -> Any:
        return self.house.batch([self.bureau.act(who, action, subject, **fields)])[0]

    def prepare(self, held: Held, use: str = "sign", **fields: str) -> Any:
        given = {"biller": BILLER, "use": use, "certificate": held.base64} | fields
        return self.act(self.bureau.clerk, "partner.add", held.certificate.keyid, **given)

    def add(self, held: Held, use: str = "sign", **fields: str) -> None:
        """Prepared by one, approved by another."""
        waits = self.prepare(held, use, **fields)
        assert isinstance(waits, Acted), waits
        done = self.act(self.bureau.chief, "ops.approve", str(waits.waits))
        assert isinstance(done, Acted), done

    def close(self, held: Held, who: Person | None = None) -> Any:
        return self.act(who or self.bureau.clerk, "partner.close", held.certificate.keyid, biller=BILLER)

    def keep(self, der: bytes, number: int, hours: int = 24) -> Any:
        now = self.house.now
        item = KeepList(
            issuer_keyid=self.ca.authority.certificate.keyid, number=number, der=der, this_update=now - 60_000,
            next_update=now + hours * 3_600_000, serials=None,
        )  # fmt: skip
        return self.house.batch([item])[0]

    def found(self, use: str = "sign") -> PartnerKeys:
        return self.house.ask(FindPartnerKeys(biller=BILLER, use=use), PartnerKeys)

    def proves(self, held: Held, keyid: str | None = None, signature: bytes | None = None) -> str:
        """ "ok", or the slug."""
        given = held.signer.sign(NOTICE) if signature is None else signature
        keyid = held.certificate.keyid if keyid is None else keyid
        reply = asyncio.run(partner_signature(_Store(self.house), BILLER, NOTICE, given, keyid))
        assert isinstance(reply, Proven | Unproven)
        return reply.slug if isinstance(reply, Unproven) else "ok"


class _Store:
    def __init__(self, house: House) -> None:
        self._house = house

    async def run(self, item: Any) -> Any:
        return self._house.batch([item])[0]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.house.close()


def test_two_people_pin_it(desk: Desk) -> None:
    held = desk.ca.alone()
    waits = desk.prepare(held)
    assert isinstance(waits, Acted)
    assert desk.proves(held) == "certificate-unknown", "one person's word is nothing yet"
    own = desk.act(desk.bureau.clerk, "ops.approve", str(waits.waits))
    assert isinstance(own, items.Refusal)
    assert desk.proves(held) == "certificate-unknown"
    assert isinstance(desk.act(desk.bureau.chief, "ops.approve", str(waits.waits)), Acted)
    assert desk.proves(held) == "ok"
    (row,) = desk.house.rows_of(PartnerCertificate)
    assert (row.added_by, row.approved_by, row.state) == ("s-1", "s-2", "ACTIVE")


def test_an_authoritys_certificate_is_pinned_for_its_lists_alone(desk: Desk) -> None:
    """M12: what others stand under is nobody's own; one that signed itself and may sign others, as tools make them, is
    compared byte by byte."""
    under = desk.ca.middle()
    for use in ("sign", "tls"):
        refused = desk.prepare(under, use)
        assert isinstance(refused, items.Refusal)
        assert "authority" in refused.detail
    desk.add(under, "ca")
    desk.add(desk.ca.authority, "tls")


def test_roll_over(desk: Desk) -> None:
    old, new, third = desk.ca.alone("old"), desk.ca.alone("new"), desk.ca.alone("third")
    desk.add(old)
    desk.add(new)
    assert [desk.proves(one) for one in (old, new)] == ["ok", "ok"]
    assert desk.proves(new, keyid="") == "ok", "a message that names no certificate"
    refused = desk.prepare(third)
    assert isinstance(refused, items.Refusal)
    assert "close one first" in refused.detail
    assert desk.close(old) == Acted(subject=old.certificate.keyid, state="CLOSED")
    assert [desk.proves(one) for one in (old, new)] == ["certificate-revoked", "ok"]
    desk.add(third)
    assert isinstance(desk.close(old), items.Refusal)
    again = desk.prepare(old)
    assert isinstance(again, items.Refusal)
    assert "registered already" in again.detail


def test_a_signature_counts_for_its_partner_its_bytes_and_its_certificate(desk: Desk) -> None:
    held, other = desk.ca.alone("a"), desk.ca.alone("b")
    desk.add(held)
    assert desk.proves(held, signature=held.signer.sign(NOTICE + b" ")) == "signature-invalid"
    assert desk.proves(other, keyid=held.certificate.keyid) == "signature-invalid"
    assert desk.proves(other) == "certificate-unknown"
    assert desk.proves(held, signature=b"") == "signature-invalid"
    elsewhere = asyncio.run(
        partner_signature(_Store(desk.house), "meters", NOTICE, held.signer.sign(NOTICE), held.certificate.keyid)
    )
    assert elsewhere == Unproven("certificate-unknown", "of 0 certificates none counts now")


def test_a_tls_certificate_signs_nothing(desk: Desk) -> None:
    held = desk.ca.alone()
    desk.add(held, "tls")
    assert desk.proves(held) == "certificate-unknown"
    assert [one.keyid for one in desk.found("tls").keys] == [held.certificate.keyid]


def test_edges_of_its_time(desk: Desk) -> None:
    begins = at_ms(desk.house.now) + timedelta(hours=1)
    held = desk.ca.leaf("later", begins=begins, ends=begins + timedelta(hours=1))
    desk.add(held)
    assert desk.proves(held) == "certificate-expired", "not yet"
    desk.house.advance(3600)
    assert desk.proves(held) == "ok"
    desk.house.advance(3599)
    assert desk.proves(held) == "ok"
    desk.house.advance(1)
    assert desk.proves(held) == "certificate-expired", "notAfter is exclusive"


def alarms(desk: Desk) -> list[str]:
    return [row.alarm_id for row in desk.house.rows_of(Alarm, "kind = ?", STALE)]


def test_a_stale_list_closes_the_door_with_an_alarm(desk: Desk) -> None:
    held, alone = desk.ca.leaf(), desk.ca.alone()
    desk.add(desk.ca.authority, "ca")
    desk.add(held)
    desk.add(alone)
    assert desk.proves(held) == "certificate-revoked", "no list at all"
    assert desk.proves(alone) == "ok", "it stands on no list"
    ca = desk.ca.authority.certificate.keyid[:16]
    assert alarms(desk) == [f"crl-{ca}-0"]
    assert desk.keep(desk.ca.crl(5), 5) == items.Kept(count=1)
    assert desk.proves(held) == "ok"
    desk.house.advance(24 * 3600 - 1)
    assert desk.proves(held) == "ok"
    desk.house.advance(1)
    assert [desk.proves(held) for _ in range(3)] == ["certificate-revoked"] * 3
    assert alarms(desk) == [f"crl-{ca}-0", f"crl-{ca}-5"], "once for each list that ran out"
    assert isinstance(desk.keep(desk.ca.crl(4), 4), items.Refusal), "an older one does not bring it back"
    assert desk.proves(held) == "certificate-revoked"
    desk.keep(desk.ca.crl(6), 6)
    assert desk.proves(held) == "ok"


def test_what_the_partners_ca_revoked(desk: Desk) -> None:
    held, other = desk.ca.leaf("a"), desk.ca.leaf("b")
    desk.add(desk.ca.authority, "ca")
    desk.add(held)
    desk.add(other)
    desk.keep(desk.ca.crl(1, held.certificate), 1)
    assert [desk.proves(one) for one in (held, other)] == ["certificate-revoked", "ok"]
    assert alarms(desk) == []


def test_one_person_cannot_take_the_list_away(desk: Desk) -> None:
    held = desk.ca.leaf()
    desk.add(desk.ca.authority, "ca")
    desk.add(held)
    desk.keep(desk.ca.crl(1, held.certificate), 1)
    refused = desk.close(desk.ca.authority)
    assert isinstance(refused, items.Refusal)
    assert held.certificate.keyid in refused.detail
    desk.close(held)
    assert isinstance(desk.close(desk.ca.authority), Acted)


@pytest.mark.parametrize(
    ("use", "fields", "told"),
    [
        ("sign", {"biller": "nobody"}, "no biller nobody"),
        ("seal", {}, "one of sign, tls, ca"),
        ("ca", {}, "authority that may sign revocation lists"),
        ("sign", {"certificate": "AAAA"}, "certificate"),
        ("sign", {"certificate": "@"}, "base64"),
    ],
)
def test_what_is_not_pinned(desk: Desk, use: str, fields: dict[str, str], told: str) -> None:
    refused = desk.prepare(desk.ca.leaf(), use, **fields)
    assert isinstance(refused, items.Refusal)
    assert told in refused.detail


def test_another_certificate_than_the_deed_names(desk: Desk) -> None:
    refused = desk.prepare(desk.ca.leaf("a"), certificate=desk.ca.leaf("b").base64)
    assert isinstance(refused, items.Refusal)
    assert "keyid" in refused.detail


def test_one_that_has_ended(desk: Desk) -> None:
    ends = at_ms(desk.house.now)
    held = desk.ca.leaf(begins=ends - timedelta(days=2), ends=ends)
    assert desk.prepare(held).slug == "certificate-expired"


def test_a_key_of_ours_is_no_partners(desk: Desk) -> None:
    certificate, key = desk.bureau.clerk.signer.certificate, None
    refused = desk.prepare(Held(certificate, key))
    assert isinstance(refused, items.Refusal)
    assert "registered already" in refused.detail


def test_two_plans_for_the_last_place(desk: Desk) -> None:
    """Two that were prepared while there was room for one: the second approval is refused."""
    desk.add(desk.ca.alone("one"))
    first, second = desk.prepare(desk.ca.alone("two")), desk.prepare(desk.ca.alone("three"))
    assert isinstance(desk.act(desk.bureau.chief, "ops.approve", str(first.waits)), Acted)
    refused = desk.act(desk.bureau.chief, "ops.approve", str(second.waits))
    assert isinstance(refused, items.Refusal)
    assert len(desk.found().keys) == 2
