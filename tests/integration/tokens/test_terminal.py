"""A terminal with a USB key: pays, and however the key is pulled, the payment's state is what `last` says."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from certs.authority.files import write_certificate
from certs.tokens.faults import TEXTS, Trouble
from certs.tokens.signer import TokenSigner
from contracts import api
from contracts.money import Fen
from gateway.terminal import Terminal, TerminalFault, Tombstone, Undecided
from gateway.terminal.keys import open_token
from tests.integration.terminal.clocks import FastClock
from tests.integration.tokens.material import NOW, PinBook, later
from tests.integration.tokens.shopfront import Shopfront, make_keys
from tests.stand.softhsm import UsbKey

REMOVED = TEXTS[Trouble.REMOVED].shop_text


async def pay(terminal: Terminal, **more: Any) -> Any:
    """Pay 100.00."""
    return await terminal.pay("mobile.topup", "13805790001", Fen(10000), params={"carrier": "cmcc"}, **more)


async def test_a_shops_day_with_a_usb_key(front: Shopfront) -> None:
    book = PinBook()
    async with front.terminal(book) as terminal:
        assert isinstance(await terminal.balance(), api.AccountBalance)
        paid = await pay(terminal)
        last = await terminal.last()
    assert isinstance(paid, api.Payment)
    assert last is not None
    assert last.fate == paid
    assert len(book.asked) == 1
    assert front.usb.calls("C_Login") == 1


async def test_pulled_between_journal_and_signature(front: Shopfront) -> None:
    book = PinBook()
    async with front.terminal(book) as terminal:
        front.usb.set("pull_at_sign")
        answer = await pay(terminal)
        assert isinstance(answer, Undecided)
        assert (answer.sent, answer.shop_text) == (False, REMOVED)
        assert front.double.arrivals == []
        last = await terminal.last()
        assert last is not None
        assert isinstance(last.fate, Undecided)
        assert not last.fate.sent
        front.usb.plug()
        assert isinstance(await pay(terminal), api.Payment)
    assert len(front.double.payments) == 1
    assert [ask.again for ask in book.asked] == [False, True]


class PullsAfterSigning:
    """A signer whose key is pulled as soon as it has signed once."""

    def __init__(self, inner: TokenSigner, usb: UsbKey) -> None:
        self._inner, self._usb = inner, usb
        self.keyid, self.alg, self.certificate_der = inner.keyid, inner.alg, inner.certificate_der

    def sign(self, data: bytes) -> bytes:
        """Sign, and be pulled."""
        signature = self._inner.sign(data)
        self._usb.pull()
        return signature


async def test_pulled_between_signature_and_sending(front: Shopfront) -> None:
    token = open_token(front.config(), PinBook(), datetime.now(UTC))
    async with Terminal(front.config(), FastClock(20), signer=PullsAfterSigning(token, front.usb)) as terminal:
        paid = await pay(terminal)
        assert isinstance(paid, api.Payment)
        last = await terminal.last()
        assert last is not None
        assert last.known == paid
        assert isinstance(last.fate, Undecided)
        assert last.fate.shop_text == REMOVED
    token.close()
    assert len(front.double.payments) == 1


async def test_pulled_between_sending_and_reply(front: Shopfront) -> None:
    front.double.on_arrival.append(front.usb.pull)
    async with front.terminal(PinBook()) as terminal:
        paid = await pay(terminal)
        assert isinstance(paid, api.Payment)
    assert len(front.double.payments) == 1


@pytest.mark.parametrize("taken", [True, False])
async def test_pulled_while_the_reply_is_lost(front: Shopfront, taken: bool) -> None:
    front.double.plan = ["taken-cut" if taken else "cut"]
    front.double.on_arrival.append(front.usb.pull)
    async with front.terminal(PinBook()) as terminal:
        answer = await pay(terminal)
        assert isinstance(answer, Undecided)
        assert (answer.sent, answer.shop_text) == (True, REMOVED)
        still = await terminal.last()
        assert still is not None
        assert isinstance(still.fate, Undecided)
        assert (still.fate.sent, still.fate.shop_text, still.key) == (True, REMOVED, answer.key)
    front.usb.plug()
    # Another run, the same journal.
    async with front.terminal(PinBook()) as terminal:
        last = await terminal.last()
    assert last is not None
    assert last.key == answer.key
    if taken:
        assert isinstance(last.fate, api.Payment)
        assert last.fate.idempotency_key == answer.key
    else:
        assert last.fate == Tombstone(answer.key or "")
    assert len(front.double.payments) == taken


async def test_no_pin_again_in_the_middle_of_a_payment_says_so(front: Shopfront) -> None:
    async with front.terminal(PinBook("246810", then=None)) as terminal:
        front.usb.pull()
        await pay(terminal)
        front.usb.plug()
        answer = await pay(terminal)
    assert isinstance(answer, Undecided)
    assert (answer.sent, answer.shop_text) == (False, TEXTS[Trouble.PIN_NEEDED].shop_text)
    assert front.double.arrivals == []


async def test_a_certificate_may_lie_beside_the_token(front: Shopfront, tmp_path: Path) -> None:
    file = tmp_path / "given.pem"
    write_certificate(file, front.double.keys.station)
    async with front.terminal(PinBook(), cert_file=str(file)) as terminal:
        assert isinstance(await terminal.balance(), api.AccountBalance)


async def test_what_is_wrong_at_opening_is_told_and_nothing_stays_open(front: Shopfront) -> None:
    for days, expected in ((9000, Trouble.CERTIFICATE_EXPIRED), (-9000, Trouble.CERTIFICATE_NOT_YET_VALID)):
        with pytest.raises(TerminalFault) as caught:
            await Terminal(front.config(), FastClock(20, later(days) - NOW), pin=PinBook()).open()
        assert caught.value.shop_text == TEXTS[expected].shop_text
    with pytest.raises(TerminalFault) as caught:
        await front.terminal(PinBook("111111")).open()
    assert caught.value.shop_text == TEXTS[Trouble.PIN_FEW_TRIES].shop_text
    front.usb.pull()
    with pytest.raises(TerminalFault) as caught:
        await front.terminal(PinBook()).open()
    assert caught.value.shop_text == TEXTS[Trouble.NO_TOKEN].shop_text
    front.usb.plug()
    async with front.terminal(PinBook()) as terminal:
        assert isinstance(await terminal.balance(), api.AccountBalance)
        assert terminal.notices == ["U盾口令曾经输错，剩余次数不多，请核对后再输"]


async def test_a_foreign_ca_closes_the_key_again(front: Shopfront, tmp_path: Path) -> None:
    other = make_keys(tmp_path / "other")
    change = {
        name: str(other.folder / f"{name.split('_')[0]}.cert.pem") for name in ("issuing_cert_file", "root_cert_file")
    }
    with pytest.raises(TerminalFault, match="签发机构不符"):
        await front.terminal(PinBook(), **change).open()
    assert front.usb.calls("C_Finalize") == front.usb.calls("C_Initialize")
