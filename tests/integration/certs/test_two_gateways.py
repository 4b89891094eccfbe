"""Deeds on PostgreSQL, done through two gateways at once: one wins, the other is told why."""

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from certs.certificates import Role
from certs.keys import PemSigner
from gateway.core import items
from gateway.core.items_deeds import Act, Acted, ExpireCertificates
from gateway.core.views import ViewAccount
from gateway.store.migrations import upgrade
from tests.stand.bureau import DEPARTMENT, Asked, Bureau, Person, asked
from tests.stand.house import code, keyid
from tests.stand.stores import Asker, TwinStores

pytestmark = pytest.mark.postgres
ROUNDS = 8


class Offices:
    """Clerk and chief, each at a gateway of his own."""

    def __init__(self, dsn: str) -> None:
        self.bureau = Bureau(lambda: int(time.time() * 1000))
        self.stores = TwinStores(dsn, self.bureau.known_to(Asker().env))
        self.clerk, self.chief = self.bureau.clerk, self.bureau.chief

    async def do(self, who: Person, action: str, subject: str, **fields: str) -> Any:
        store = self.stores.one if who is self.clerk else self.stores.two
        return await store.run(self.bureau.act(who, action, subject, **fields))

    async def done(self, who: Person, action: str, subject: str, **fields: str) -> Acted:
        reply = await self.do(who, action, subject, **fields)
        assert isinstance(reply, Acted), reply
        return reply

    def application(self, one: Asked, station: int = 1, serial: str = "PILOT-1") -> dict[str, str]:
        return self.bureau.application(one, code(station), serial=serial, operator_id="1")

    async def issued(self, one: Asked, serial: str = "PILOT-1") -> PemSigner:
        application = self.application(one, serial=serial)
        applied = await self.done(self.clerk, "certs.apply", one.public_key_sha256, **application)
        await self.done(self.chief, "certs.approve", applied.state)
        certificate, _ = self.bureau.certify(
            "张三", Role.STATION, one.key, institution_code=code(1), usb_key_serial=serial
        )
        await self.done(self.clerk, "certs.issue", applied.state, **self.bureau.issued(certificate))
        return PemSigner(certificate, one.key)

    async def bound(self, serial: str = "PILOT-1") -> PemSigner:
        signer = await self.issued(asked(), serial)
        plan = await self.done(self.clerk, "certs.bind", signer.keyid, **self.place(serial))
        await self.done(self.chief, "ops.approve", str(plan.waits))
        return signer

    async def third(self) -> Person:
        """One more person of the key office, with a certificate in force."""
        plan = await self.done(self.clerk, "staff.add", "s-3", name="赵六", department=DEPARTMENT)
        await self.done(self.chief, "ops.approve", str(plan.waits))
        one = asked()
        fields = {"profile": "operator", "staff_id": "s-3", "csr": base64.b64encode(one.csr).decode()}
        applied = await self.done(self.clerk, "certs.apply", one.public_key_sha256, **fields)
        await self.done(self.chief, "certs.approve", applied.state)
        certificate, _ = self.bureau.certify("赵六", key=one.key)
        await self.done(self.clerk, "certs.issue", applied.state, **self.bureau.issued(certificate))
        plan = await self.done(self.clerk, "certs.bind", certificate.keyid, staff_id="s-3")
        await self.done(self.chief, "ops.approve", str(plan.waits))
        await self.done(self.clerk, "certs.activate", certificate.keyid)
        return Person("s-3", PemSigner(certificate, one.key))

    def place(self, serial: str = "PILOT-1") -> dict[str, str]:
        return {"institution_code": code(1), "terminal_id": "T1", "operator_id": "1", "key_serial": serial}


@pytest.fixture
async def offices(postgres_dsn: str) -> AsyncIterator[Offices]:
    await asyncio.to_thread(upgrade, postgres_dsn)
    found = Offices(postgres_dsn)
    stores = found.stores
    await stores.one.open()
    await stores.two.open()
    try:
        await stores.found()
        assert isinstance(await stores.one.run(found.bureau.first_staff()), Acted)
        yield found
    finally:
        await stores.one.close()
        await stores.two.close()


def kinds(replies: Sequence[Any]) -> list[str]:
    return sorted(type(one).__name__ for one in replies)


async def test_two_binders_at_once_one_wins(offices: Offices) -> None:
    for _ in range(ROUNDS):
        signer = await offices.issued(asked())
        plans = [
            str((await offices.done(who, "certs.bind", signer.keyid, **offices.place())).waits)
            for who in (offices.clerk, offices.chief)
        ]
        replies = await asyncio.gather(
            offices.do(offices.chief, "ops.approve", plans[0]), offices.do(offices.clerk, "ops.approve", plans[1])
        )
        assert kinds(replies) == ["Acted", "Refusal"]
        bound = await offices.stores.sql("SELECT * FROM bindings WHERE keyid = $1", signer.keyid)
        assert len(bound) == 1
        steps = await offices.stores.sql(
            "SELECT number, event FROM certificate_steps WHERE subject = $1 ORDER BY number", signer.keyid
        )
        assert [tuple(step) for step in steps] == [(1, "issue"), (2, "bind")]


async def test_one_key_applied_for_at_both(offices: Offices) -> None:
    for _ in range(ROUNDS):
        one = asked()
        replies = await asyncio.gather(
            *(
                offices.do(who, "certs.apply", one.public_key_sha256, **offices.application(one, station))
                for who, station in ((offices.clerk, 1), (offices.chief, 2))
            )
        )
        assert kinds(list(replies)) == ["Acted", "Refusal"]


async def test_one_deed_shown_to_both_is_done_once(offices: Offices) -> None:
    for _ in range(ROUNDS):
        item = offices.bureau.act(offices.clerk, "key.receive", f"UK-{time.monotonic_ns()}")
        again = Act(arrival_id="other", deed=item.deed, signature=item.signature, keyid=item.keyid, entropy=9)
        replies = await asyncio.gather(offices.stores.one.run(item), offices.stores.two.run(again))
        assert kinds(list(replies)) == ["Acted", "Refusal"]
        assert [one.slug for one in replies if isinstance(one, items.Refusal)] == ["nonce-replayed"]


async def test_approved_and_rejected_at_once(offices: Offices) -> None:
    for number in range(ROUNDS):
        plan = str((await offices.done(offices.clerk, "key.receive", f"UK-{number}")).waits)
        replies = await asyncio.gather(
            offices.do(offices.chief, "ops.approve", plan), offices.do(offices.clerk, "ops.reject", plan)
        )
        assert kinds(list(replies)) == ["Acted", "Refusal"]
        (done,) = [one.state for one in replies if isinstance(one, Acted)]
        kept = await offices.stores.sql("SELECT 1 FROM usb_keys WHERE key_serial = $1", f"UK-{number}")
        assert len(kept) == (done == "DONE")


async def test_two_come_to_life_at_one_place_at_once(offices: Offices) -> None:
    await offices.done(offices.clerk, "certs.freeze", keyid(1))
    for _ in range(ROUNDS):
        signers = [await offices.bound(), await offices.bound()]
        replies = await asyncio.gather(
            offices.do(offices.clerk, "certs.activate", signers[0].keyid),
            offices.do(offices.chief, "certs.activate", signers[1].keyid),
        )
        assert kinds(list(replies)) == ["Acted", "Refusal"]
        for signer in signers:
            await offices.done(offices.clerk, "certs.revoke", signer.keyid, code="superseded")


async def test_one_comes_back_while_another_comes_to_life_at_its_place(offices: Offices) -> None:
    await offices.done(offices.clerk, "certs.freeze", keyid(1))
    for _ in range(ROUNDS):
        old, new = await offices.bound(), await offices.bound()
        await offices.done(offices.clerk, "certs.activate", old.keyid)
        await offices.done(offices.clerk, "certs.freeze", old.keyid)
        plan = await offices.done(offices.clerk, "certs.unfreeze", old.keyid)
        replies = await asyncio.gather(
            offices.do(offices.chief, "ops.approve", str(plan.waits)),
            offices.do(offices.clerk, "certs.activate", new.keyid),
        )
        assert kinds(list(replies)) == ["Acted", "Refusal"]
        for signer in (old, new):
            await offices.done(offices.clerk, "certs.revoke", signer.keyid, code="superseded")


async def test_two_revoke_two_of_three_approvers_at_once(offices: Offices) -> None:
    """Each of the two looks at three; both at once would leave one."""
    third = await offices.third()
    for _ in range(ROUNDS):
        replies = await asyncio.gather(
            offices.do(offices.clerk, "certs.revoke", offices.chief.keyid, code="keyCompromise"),
            offices.do(offices.chief, "certs.revoke", third.keyid, code="keyCompromise"),
        )
        done = [one for one in replies if isinstance(one, Acted) and one.state == "REVOKED"]
        assert len(done) == 1, replies
        await offices.stores.sql("UPDATE certificates SET state = 'ACTIVE', revoked_for = NULL WHERE role = 'operator'")


async def test_two_restore_at_once_and_one_of_them_is_too_late(offices: Offices) -> None:
    """The root's key speaks at two gateways: when the second is asked, two people can approve again."""
    bureau = offices.bureau
    for number in range(ROUNDS):
        await offices.done(offices.clerk, "certs.freeze", offices.chief.keyid)
        acts = []
        for letter in "ab":
            new = bureau.person(f"t-{number}{letter}", "周八")
            acts.append(bureau.by_root("staff.restore", bureau.newcomer(new, "周八")))
        replies = await asyncio.gather(offices.stores.one.run(acts[0]), offices.stores.two.run(acts[1]))
        assert kinds(replies) == ["Acted", "Refusal"], replies
        await offices.stores.sql("UPDATE certificates SET state = 'ACTIVE' WHERE keyid = $1", offices.chief.keyid)
        await offices.stores.sql(
            "UPDATE certificates SET state = 'FROZEN' WHERE role = 'operator' AND staff_id > 's-2'"
        )
    assert await offices.stores.sql("SELECT count(*) FROM alarms WHERE kind = 'staff.restored'") == [(ROUNDS,)]


async def test_one_station_is_added_twice_at_once(offices: Offices) -> None:
    for number in range(ROUNDS):
        station, plans = f"4609{number:04}", []
        for who in (offices.clerk, offices.chief):
            certificate, _ = offices.bureau.certify(
                "张三", Role.STATION, institution_code=station, usb_key_serial=f"PILOT-{who.staff_id}-{number}"
            )
            plan = await offices.done(
                who, "station.add", station, name="站", terminal_id="T1", operator_id="1", operator_name="张三",
                services="acme.bill", trained_days="9", certificate=base64.b64encode(certificate.der).decode(),
            )  # fmt: skip
            plans.append(str(plan.waits))
        replies = await asyncio.gather(
            offices.do(offices.chief, "ops.approve", plans[0]), offices.do(offices.clerk, "ops.approve", plans[1])
        )
        assert kinds(replies) == ["Acted", "Refusal"], replies
        assert await offices.stores.sql("SELECT count(*) FROM bindings WHERE institution_code = $1", station) == [(1,)]


async def test_lost_while_the_unfreezing_is_approved(offices: Offices) -> None:
    """Whichever comes first: no certificate speaks out of a lost key."""
    await offices.done(offices.clerk, "certs.freeze", keyid(1))
    for number in range(ROUNDS):
        serial = f"UK-{number}"
        for action, fields in (("key.receive", {}), ("key.hand-out", {"institution_code": code(1), "holder": "张三"})):
            plan = await offices.done(offices.clerk, action, serial, **fields)
            await offices.done(offices.chief, "ops.approve", str(plan.waits))
        signer = await offices.bound(serial)
        await offices.done(offices.clerk, "certs.activate", signer.keyid)
        await offices.done(offices.clerk, "certs.freeze", signer.keyid)
        plan = await offices.done(offices.clerk, "certs.unfreeze", signer.keyid)
        _, lost = await asyncio.gather(
            offices.do(offices.chief, "ops.approve", str(plan.waits)), offices.do(offices.clerk, "key.lost", serial)
        )
        assert isinstance(lost, Acted)
        ((state,),) = await offices.stores.sql("SELECT state FROM certificates WHERE keyid = $1", signer.keyid)
        assert state == "FROZEN"


async def test_frozen_here_is_frozen_there_at_once(offices: Offices) -> None:
    make, stores = offices.stores.make, offices.stores
    speaks = [await store.look(ViewAccount(arrival=make.arrival())) for store in (stores.one, stores.two)]
    assert not any(isinstance(one, items.Refusal) for one in speaks)
    await offices.done(offices.clerk, "certs.freeze", keyid(1))
    for _ in range(ROUNDS):
        for store in (stores.one, stores.two):
            assert (await store.look(ViewAccount(arrival=make.arrival()))).slug == "certificate-revoked"
            assert (await store.run(make.accept())).slug == "certificate-revoked"


async def test_whole_life_ends_by_the_clock(offices: Offices) -> None:
    await offices.done(offices.clerk, "certs.freeze", keyid(1))
    signer = await offices.issued(asked())
    plan = await offices.done(offices.clerk, "certs.bind", signer.keyid, **offices.place())
    await offices.done(offices.chief, "ops.approve", str(plan.waits))
    await offices.done(offices.clerk, "certs.activate", signer.keyid)
    arrival = offices.stores.make.arrival(keyid=signer.keyid)
    assert isinstance(await offices.stores.two.run(offices.stores.make.accept(arrival=arrival)), items.Taken)
    await offices.stores.sql("DROP TRIGGER certificates_no_update ON certificates")
    await offices.stores.sql("UPDATE certificates SET not_after = not_before + 1 WHERE keyid = $1", signer.keyid)
    assert (await offices.stores.two.run(ExpireCertificates())).count == 1
    ((state,),) = await offices.stores.sql("SELECT state FROM certificates WHERE keyid = $1", signer.keyid)
    assert state == "EXPIRED"


async def test_database_keeps_what_was_done(offices: Offices) -> None:
    """Whoever has a console cannot rewrite who did what."""
    import asyncpg

    await offices.done(offices.clerk, "certs.freeze", keyid(1))
    for text in (
        "UPDATE certificate_steps SET staff = 'x'",
        "DELETE FROM certificate_steps",
        "DELETE FROM certificates WHERE role = 'operator'",
        "UPDATE certificates SET public_key_sha256 = 'x'",
        "UPDATE bindings SET approved_by = 'x'",
        "DELETE FROM bindings",
        "TRUNCATE certificate_steps",
    ):
        with pytest.raises(asyncpg.PostgresError):
            await offices.stores.sql(text)
