"""The adapter against a partner on a real socket that plays the recorded replies, whole or broken."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters.telecom import build
from adapters.telecom.adapter import Telecom, new_nonce
from adapters.telecom.config import Config
from adapters.telecom.manifest import MANIFEST
from adapters.telecom.signing import check, read_object
from contracts.biller import (
    BadNotice,
    Bill,
    BillUnavailable,
    Cancels,
    FetchesRecon,
    NoReconFile,
    Notice,
    PinsServer,
    QueriesBills,
    QueriesResults,
    ReconFile,
    Reverses,
    TakesNotices,
)
from contracts.outcomes import Accepted, NotSent, Paid, StillPaid, Undone, Unknown
from contracts.states import OrderKind
from tests.stand.partner_pki import PartnerCa
from tests.unit.telecom.recorded import (
    AGENT,
    NOW,
    SECRETS,
    VECTORS,
    bill_question,
    body,
    members,
    pay_order,
    resign,
    result_query,
    undo_order,
)
from tests.unit.transport.partners import Answering, FakeClock, Partner, Visit, partner, reply
from tests.unit.transport.test_http_faults import FAULTS, free_port
from tests.unit.transport.test_tls import server_of

DAY = date(2026, 11, 24)
FILE = (VECTORS / "TEL_8801000123_20261124_01.csv").read_bytes()


class NowClock(FakeClock):
    """At the moment of the recording."""

    def __init__(self) -> None:
        super().__init__()
        self.today = NOW


@asynccontextmanager
async def adapter(url: str, tmp_path: Path, clock: FakeClock | None = None, **settings: Any) -> AsyncIterator[Telecom]:
    key = tmp_path / "telecom.key"
    key.write_text(SECRETS["01"] + "\n")
    config = Config(base_url=url, agent_no="8801000123", sign_key_file=str(key), **settings)
    made = build(config, clock or NowClock())
    await made.open()
    await made.open()
    try:
        yield made
    finally:
        await made.close()
        await made.close()


def platform(replies: Mapping[str, Callable[[Mapping[str, str]], Mapping[str, str]]], files: bytes = b"") -> Answering:
    """Answers POST by path with the given members, our nonce echoed and signed; GET with `files`."""

    async def answer(visit: Visit) -> None:
        while True:
            head, _, raw = (await visit.request()).partition(b"\r\n\r\n")
            path = head.split(b" ")[1].decode()
            if head.startswith(b"GET"):
                await visit.send(reply(files, "Content-Type: application/octet-stream"))
                continue
            assert b"\r\nContent-Type: application/json; charset=utf-8\r\n" in head + b"\r\n"
            sent = read_object(raw, 8192)
            assert check(AGENT.sign_type, SECRETS["01"], sent)
            told = {**replies[path](sent), "nonce": sent["nonce"]}
            await visit.send(reply(resign(told)))

    return answer


def playing(number: int, path: str) -> Answering:
    return platform({path: lambda _: members(number, "reply")})


async def test_protocols(tmp_path: Path) -> None:
    async with adapter("http://localhost:1", tmp_path) as near:
        for protocol in (QueriesBills, QueriesResults, Reverses, Cancels, TakesNotices, FetchesRecon):
            assert isinstance(near, protocol)
        assert near.manifest is MANIFEST


async def test_pay_topup_reverse_cancel_query(tmp_path: Path) -> None:
    async with partner(playing(4, "/v3/bill/pay")) as far, adapter(far.url, tmp_path) as near:
        assert isinstance(await near.pay(pay_order(4)), Paid)
    async with partner(playing(19, "/v3/topup/order")) as far, adapter(far.url, tmp_path) as near:
        assert isinstance(await near.pay(pay_order(19)), Accepted)
    async with partner(playing(13, "/v3/bill/reverse")) as far, adapter(far.url, tmp_path) as near:
        assert isinstance(await near.reverse(undo_order(13)), Undone)
        assert isinstance(await near.cancel(undo_order(13, OrderKind.CANCEL)), Undone)
        assert far.requests == 2
    async with partner(playing(16, "/v3/bill/reverse")) as far, adapter(far.url, tmp_path) as near:
        assert isinstance(await near.reverse(undo_order(16)), StillPaid)
    async with partner(playing(28, "/v3/order/query")) as far, adapter(far.url, tmp_path) as near:
        assert isinstance(await near.query_result(result_query(28)), Paid)
    async with partner(playing(1, "/v3/bill/query")) as far, adapter(far.url, tmp_path) as near:
        assert isinstance(await near.query_bill(bill_question(1)), Bill)


@pytest.mark.parametrize(("late_s", "stamp"), [(-1, "20261124101459"), (0, "20261124101500"), (2, "20261124101500")])
async def test_timestamp_is_never_later_than_send_by(tmp_path: Path, late_s: int, stamp: str) -> None:
    seen: list[str] = []

    def note(number: int) -> Callable[[Mapping[str, str]], Mapping[str, str]]:
        def told(sent: Mapping[str, str]) -> Mapping[str, str]:
            seen.append(sent["timestamp"])
            return members(number, "reply")

        return told

    send_by = NOW + timedelta(seconds=late_s)
    far_side = platform({"/v3/bill/pay": note(4), "/v3/bill/reverse": note(13)})
    async with partner(far_side) as far, adapter(far.url, tmp_path) as near:
        await near.pay(pay_order(4, send_by=send_by))
        await near.reverse(replace(undo_order(13), send_by=send_by))
    assert seen == [stamp, stamp]


async def test_each_call_has_its_own_nonce(tmp_path: Path) -> None:
    async with partner(playing(4, "/v3/bill/pay")) as far, adapter(far.url, tmp_path) as near:
        await asyncio.gather(*(near.pay(pay_order(4)) for _ in range(20)))
        nonces = re.findall(rb'"nonce":"([A-Za-z0-9]{16,32})"', far.got)
    assert len(set(nonces)) == 20
    assert re.fullmatch(r"[0-9a-f]{32}", new_nonce())


async def nothing_sent(near: Telecom) -> None:
    assert isinstance(await near.pay(pay_order(4, send_deadline=99.0)), NotSent)
    assert isinstance(await near.pay(pay_order(19, send_deadline=99.0)), NotSent)
    assert isinstance(await near.reverse(replace(undo_order(13), send_deadline=99.0)), NotSent)


async def test_past_the_send_deadline(tmp_path: Path) -> None:
    async with partner(playing(4, "/v3/bill/pay")) as far, adapter(far.url, tmp_path) as near:
        await nothing_sent(near)
        assert far.got == b""


async def test_unreachable_is_not_sent_and_no_evidence(tmp_path: Path) -> None:
    async with adapter(f"http://localhost:{free_port()}", tmp_path) as near:
        assert isinstance(await near.pay(pay_order(4)), NotSent)
        assert isinstance(await near.pay(pay_order(19)), NotSent)
        assert isinstance(await near.reverse(undo_order(13)), NotSent)
        assert isinstance(await near.query_result(result_query(28)), Unknown)
        assert isinstance(await near.query_bill(bill_question(1)), BillUnavailable)
        assert await near.fetch_recon(DAY) == NoReconFile(cause="ClientConnectorError", retry_after_s=600)


QUICK_FAULTS = sorted(set(FAULTS) - {"silence", "dribble"})


@pytest.mark.parametrize("fault", QUICK_FAULTS)
async def test_broken_answers_leave_everything_in_doubt(tmp_path: Path, fault: str) -> None:
    async with partner(FAULTS[fault]) as far, adapter(far.url, tmp_path) as near:
        for outcome in (
            await near.pay(pay_order(4)),
            await near.pay(pay_order(19)),
            await near.reverse(undo_order(13)),
            await near.query_result(result_query(28)),
        ):
            assert isinstance(outcome, Unknown)
        assert isinstance(await near.query_bill(bill_question(1)), BillUnavailable)
        assert isinstance(await near.fetch_recon(DAY), NoReconFile)


@pytest.mark.parametrize("raw", [body(4, "reply"), body(38, "reply"), b"", b"<html>busy</html>", b"{}"])
async def test_a_reply_that_is_not_ours_proves_nothing(tmp_path: Path, raw: bytes) -> None:
    async def replay(visit: Visit) -> None:
        await visit.request()
        await visit.send(reply(raw))

    async with partner(replay) as far, adapter(far.url, tmp_path) as near:
        assert isinstance(await near.pay(pay_order(4)), Unknown)


async def test_orders_the_platform_could_not_take_never_leave(tmp_path: Path) -> None:
    async with partner(playing(4, "/v3/bill/pay")) as far, adapter(far.url, tmp_path) as near:
        assert isinstance(await near.pay(pay_order(4, bill={})), NotSent)
        assert isinstance(await near.pay(pay_order(19, params={})), NotSent)
        assert isinstance(await near.reverse(replace(undo_order(13), partner_serial="1")), NotSent)
        assert isinstance(await near.query_result(result_query(28, kind=OrderKind.REFUND)), Unknown)
        assert isinstance(await near.query_bill(replace(bill_question(1), params={})), BillUnavailable)
        assert far.connections == 0


async def recon(tmp_path: Path, files: bytes, **settings: Any) -> tuple[Any, Partner]:
    far_side = platform({"/v3/recon/file": lambda _: members(43, "reply")}, files)
    async with partner(far_side) as far, adapter(far.url, tmp_path, **settings) as near:
        return await near.fetch_recon(DAY), far


async def test_day_file(tmp_path: Path) -> None:
    found, far = await recon(tmp_path, FILE)
    assert isinstance(found, ReconFile)
    assert found.content == FILE
    assert (found.name, found.sha256) == ("TEL_8801000123_20261124_01.csv", members(43, "reply")["fileSha256"])
    assert b"GET /v3/recon/download?token=b8cf19337f60809fd95f85f27751dd65 HTTP/1.1\r\n" in far.got


@pytest.mark.parametrize(
    ("files", "cause"),
    [
        (FILE[:-1], "file.size"),
        (FILE + b"x", "reply.too_long"),
        (FILE.replace(b"36.51", b"63.51", 1), "file.sha256"),
        (b"", "file.size"),
    ],
)
async def test_a_file_that_is_not_the_one(tmp_path: Path, files: bytes, cause: str) -> None:
    found, _ = await recon(tmp_path, files)
    assert found == NoReconFile(cause=cause, retry_after_s=600)


async def test_a_file_too_large_is_not_fetched(tmp_path: Path) -> None:
    found, far = await recon(tmp_path, FILE, recon_max_bytes=1_024)
    assert found == NoReconFile(cause="file.too_large", retry_after_s=None)
    assert b"GET" not in far.got


async def test_notices_at_the_door(tmp_path: Path) -> None:
    async with adapter("http://localhost:1", tmp_path) as near:
        found = near.read_notice({"content-type": "application/json"}, body(25, "request"))
        assert isinstance(found, Notice)
        assert found.ack == b"success"
        assert isinstance(near.read_notice({}, body(25, "request")[:-1]), BadNotice)
    late = NowClock()
    late.today = NOW + timedelta(seconds=301)
    async with adapter("http://localhost:1", tmp_path, late) as near:
        assert isinstance(near.read_notice({}, body(25, "request")), BadNotice)


async def test_nothing_works_before_open(tmp_path: Path) -> None:
    made = build(
        Config(base_url="http://localhost:1", agent_no="8801000123", sign_key_file=str(tmp_path / "gone")), NowClock()
    )
    with pytest.raises(RuntimeError):
        await made.pay(pay_order(4))
    with pytest.raises(ValueError, match="sign_key_file"):
        await made.open()
    await made.close()


async def test_cert_05_a_server_that_nobody_pinned_gets_no_payment(tmp_path: Path) -> None:
    """CERT-05: told before and after open(); without a certificate that counts nothing leaves us."""
    ca = PartnerCa(datetime.now(UTC))
    held, other = ca.alone("platform"), ca.alone("other")
    far_at = platform({"/v3/bill/pay": lambda _: members(4, "reply")})
    async with partner(far_at, server_of(held, tmp_path)) as far, adapter(far.url, tmp_path) as near:
        assert isinstance(near, PinsServer)
        for pins, kind in (([other], NotSent), ([held, other], Paid), ([], NotSent)):
            near.pin_server([one.certificate.der for one in pins])
            assert isinstance(await near.pay(pay_order(4)), kind), pins
            await near.close()
            await near.open()
            assert isinstance(await near.pay(pay_order(4)), kind), pins
