"""Requests that come twice, late, or from somebody else."""

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from certs.certificates import Role
from certs.keys import PemSigner
from certs.pilot import issue, make_issuing, make_key, make_root
from contracts import api
from contracts.signer import Signer
from gateway.demo.expect import Expect
from gateway.demo.stage import CARRIER, FINAL, Row, Scenario, Stage, Title, need
from gateway.demo.system import MAIN
from gateway.terminal import Tombstone

TOPPED_UP = ("RESERVED", "SENT", "SUCCESS")


def request(account: str, amount_fen: int, trace: str) -> api.PaymentRequest:
    """A top-up as a terminal asks for it."""
    return api.PaymentRequest(
        service="mobile.topup", biller_account=account, amount_fen=amount_fen, terminal_trace=trace, params=CARRIER
    )


def fresh_key() -> str:
    """An idempotency key nobody has used."""
    return f"DEMO-{secrets.token_hex(12)}"


async def duplicate(stage: Stage) -> Sequence[Row]:
    """One key five times at once, each signed afresh, and once more at the end: one payment. Another request under the
    same key is refused."""
    key, wanted = fresh_key(), request("13805790110", 3_000, "000110")
    async with stage.signed() as client, stage.terminal("duplicate") as terminal:
        answers = await asyncio.gather(*(client.send(client.payment(wanted, key=key)) for _ in range(5)))
        taken = [answer.payment.gateway_serial for answer in answers if answer.status in (201, 202)]
        told = [answer.slug for answer in answers if answer.status not in (201, 202)]
        need(taken and len(set(taken)) == 1, f"{len(set(taken))} payments came of one key")
        need(set(told) <= {"request-running"}, f"a duplicate was refused with {told}")
        payment = await stage.until(terminal, taken[0], FINAL)
        again = await client.send(client.payment(wanted, key=key))
        need(again.status == 201 and again.replayed and again.proven, f"the replay was answered {again.status}")
        need(again.payment.gateway_serial == taken[0], "the replay speaks of another payment")
        other = await client.send(client.payment(request("13805790110", 5_000, "000110"), key=key))
        need((other.status, other.slug) == (422, "key-reused"), f"another request was answered {other}")
    need(await stage.book.under_key(MAIN.code, key) == [taken[0]], "the book holds more than one payment of the key")
    expect = Expect(states=TOPPED_UP, evidence="notice", paid_fen=3_000, tries=("Accepted",), charged_fen=3_000)
    return [await stage.judge(payment, expect)]


async def tombstoned(stage: Stage) -> Sequence[Row]:
    """A request hangs in the network; the shop asks what became of it, is told "never", and gives the cash back. When
    the original arrives at last, validly signed, it is refused for good."""
    key = fresh_key()
    async with stage.signed() as client, stage.terminal("tombstoned") as terminal:
        late = client.payment(request("13805790111", 3_000, "000111"), key=key)
        fate = await terminal.inquire(key)
        need(isinstance(fate, Tombstone), f"the inquiry found {fate}")
        for message in (late, client.payment(request("13805790111", 3_000, "000111"), key=key)):
            answer = await client.send(message)
            need((answer.status, answer.slug) == (409, "tombstoned"), f"the late request was answered {answer}")
            need(answer.proven, "the refusal is not signed")
    need(await stage.book.key(MAIN.code, key) == ("TOMBSTONE", None), "the key is no tombstone")
    need(await stage.book.under_key(MAIN.code, key) == [], "a tombstoned key has a payment")
    return [Row(gateway_serial=None, states=(), evidence=None, note="409 tombstoned")]


async def replayed_nonce(stage: Stage) -> Sequence[Row]:
    """The very bytes of a good request, sent again by whoever recorded them."""
    key = fresh_key()
    async with stage.signed() as client, stage.terminal("replayed-nonce") as terminal:
        message = client.payment(request("13805790112", 3_000, "000112"), key=key)
        first = await client.send(message)
        need(first.status in (201, 202) and first.proven, f"the original was answered {first}")
        second = await client.send(message)
        need((second.status, second.slug) == (401, "nonce-replayed"), f"the recording was answered {second}")
        payment = await stage.until(terminal, first.payment.gateway_serial, FINAL)
    need(await stage.book.under_key(MAIN.code, key) == [payment.gateway_serial], "the recording paid once more")
    expect = Expect(states=TOPPED_UP, evidence="notice", paid_fen=3_000, tries=("Accepted",), charged_fen=3_000)
    return [await stage.judge(payment, expect, note="401 nonce-replayed")]


@dataclass(frozen=True, slots=True)
class Impostor:
    """Signs with a key of its own under somebody else's keyid."""

    own: Signer
    keyid: str

    @property
    def alg(self) -> str:
        """As the own key implies."""
        return self.own.alg

    @property
    def certificate_der(self) -> bytes:
        """The own certificate; nobody is shown it."""
        return self.own.certificate_der

    def sign(self, data: bytes) -> bytes:
        """Sign with the own key."""
        return self.own.sign(data)


async def forged(stage: Stage) -> Sequence[Row]:
    """Six forgeries, from an exchanged amount to a stranger's CA. None may leave a trace in the book."""
    async with stage.signed() as client:
        stranger = _stranger(stage)
        keys = [fresh_key() for _ in range(6)]
        good = [client.payment(request("13805790113", 3_000, "000113"), key=key) for key in keys[:3]]
        more = good[0].body.replace(b"3000", b"9000")
        wanted = request("13805790113", 3_000, "000113")
        impostor = Impostor(stranger, client.signer.keyid)
        forgeries = [
            (good[0].bent(body=more), "signature-invalid"),
            (good[1].bent(body=more, digest=True), "signature-invalid"),
            (good[2].bent(unsigned=True), "signature-missing"),
            (client.payment(wanted, key=keys[3], signer=stranger), "certificate-unknown"),
            (client.payment(wanted, key=keys[4], signer=impostor), "signature-invalid"),
            (client.payment(wanted, key=keys[5], age_s=600), "signature-expired"),
        ]
        need(more != good[0].body, "the forgery changes nothing")
        for forgery, slug in forgeries:
            answer = await client.send(forgery)
            need((answer.status, answer.slug) == (401, slug), f"must be 401 {slug}, was {answer}")
        await _untouched(stage, keys)
    return [Row(gateway_serial=None, states=(), evidence=None, note="401 ×6")]


def _stranger(stage: Stage) -> PemSigner:
    """A station certificate of the right form, from a CA of its own."""
    now, key = stage.clock.now(), make_key()
    issuing = make_issuing(make_root("示范县邮政局", now), now)
    certificate = issue(
        issuing,
        Role.STATION,
        key.public_key(),
        operator="张三",
        institution_code=MAIN.code,
        usb_key_serial="STRANGER-1",
        now=now,
    )
    return PemSigner(certificate, key)


async def _untouched(stage: Stage, keys: Sequence[str]) -> None:
    """No forgery decided a key or made a payment."""
    for key in keys:
        need(await stage.book.key(MAIN.code, key) is None, f"a forgery decided the key {key}")
        need(await stage.book.under_key(MAIN.code, key) == [], f"a forgery paid under {key}")


SCENARIOS = (
    Scenario(
        rows=(Title("duplicate-request", "同一请求重复提交：只缴一笔", "one key six times, one effect"),),
        run=duplicate,
    ),
    Scenario(
        rows=(Title("tombstoned-late-request", "查无此笔后迟到的请求：作废", "a late request after its inquiry"),),
        run=tombstoned,
    ),
    Scenario(
        rows=(Title("replayed-nonce", "录下的请求原样重放：拒绝", "recorded bytes sent again: refused"),),
        run=replayed_nonce,
    ),
    Scenario(
        rows=(Title("forged-signature", "六种伪造签名：全部拒绝，不留痕迹", "six forgeries: refused, no trace"),),
        run=forged,
    ),
)
