"""Our own signed replies and the bytes partners were sent: kept, sealed, verified by us and by strangers (M11)."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from certs.certificates import Role
from certs.keys import PemSigner
from gateway.core import items, rows
from gateway.core.kept_replies import KeepReplies
from gateway.ops.audit.days import Span, Trust, verify_days
from gateway.ops.audit.report import Report
from gateway.ops.audit.sealed import leaf_of
from gateway.ops.evidence.collect import collect
from gateway.store.port import Snapshot
from tests.stand.signed_house import SignedHouse, leaf_text, resum, verify

REPLY, REQUEST, ANSWER = "signed-reply", "partner-request", "partner-answer"


@pytest.fixture
def signed(tmp_path: Path) -> Iterator[SignedHouse]:
    house = SignedHouse(tmp_path)
    house.publish(1)
    yield house
    house.house.close()


def again(signed: SignedHouse) -> dict[str, list[str]]:
    """Every signature verified again: what is wrong, by check."""
    trust = Trust([one.certificate for one in signed.issuings], signed.bureau.root.certificate)
    span = Span(first="0000-00-00", last="9999-99-99", signatures=True)
    report: Report = signed.snapshot(lambda snapshot: verify_days(snapshot, span, trust))
    return {check.name: [f"{one.about} {one.detail}" for one in check.violations] for check in report.checks}


def with_bytes(signed: SignedHouse) -> rows.Payment:
    """A payment with what left for its biller and what its notice was answered with."""
    payment = signed.pay(10_001)
    order = signed.house.order_of(payment)
    paid: dict[str, Any] = {"paid_fen": payment.amount_fen, "biller_serial": "B", "raw": b"<told/>"}
    told = signed.house.evidence(order, "Paid", source="notice", **paid)
    asked = signed.house.evidence(order, "Pending", raw=b"<wait/>")
    for judge, sent in ((told, b"success"), (asked, b"POST /ask HTTP/1.1\r\n\r\n<ask/>")):
        signed.house.batch([msgspec.structs.replace(judge, sent=(sent,))])
    return payment


def kinds(folder: Path) -> dict[str, Path]:
    return {(one / "kind").read_text(): one for one in (folder / "records").iterdir()}


def test_m11_a_payment_with_its_reply_and_the_partners_bytes(signed: SignedHouse, tmp_path: Path) -> None:
    """M11: reply and its signature, attempts and partner bytes: all under the signed day, the reply by its own key."""
    payment = with_bytes(signed)
    told = signed.reply(payment)
    signed.close_day()
    assert again(signed)["signatures"] == []
    folder = tmp_path / "out"
    signed.write(payment, folder)
    found = kinds(folder)
    assert set(found) == {"request", "reply", "notice", "query", REPLY, REQUEST, ANSWER}
    assert (found[REQUEST] / "body").read_bytes().endswith(b"<ask/>")
    assert (found[REQUEST].name < found["query"].name, found["notice"].name < found[ANSWER].name) == (True, True)
    assert (found[ANSWER] / "body").read_bytes() == b"success"
    code, said = verify(folder)
    assert code == 0, said
    assert f" {REPLY} signed by the gateway, under the signed day" in said
    assert said.splitlines()[-1].endswith(", 7 records: all are under a signed day, 1 signed by who asked for it too")
    assert f'"signature";req;key="bm": {signed.asked.signature_field}'.encode() in told.base, "it names its request"


def test_the_whole_day_has_them_too(signed: SignedHouse, tmp_path: Path) -> None:
    signed.reply(with_bytes(signed))
    signed.reply(None, b'{"type":"urn:x"}')
    signed.close_day()
    signed.write_day("2026-11-24", tmp_path / "out")
    code, said = verify(tmp_path / "out")
    assert code == 0, said
    assert said.count(f" {REPLY} signed by the gateway") == 2


@pytest.mark.parametrize("role", [Role.STATION, Role.ARCHIVE])
def test_a_reply_by_a_key_of_another_role_proves_nothing(role: Role, signed: SignedHouse, tmp_path: Path) -> None:
    """A station's certificate that signed a "reply", put into the book as if it were ours."""
    payment = signed.pay(10_001)
    signer = signed.signer
    if role is Role.ARCHIVE:
        certificate, key = signed.bureau.certify("archive", Role.ARCHIVE)
        signer = PemSigner(certificate, key)
    told = signed.reply(payment, signer=signer)
    signed.close_day()
    (wrong,) = again(signed)["signatures"]
    assert told.record_id in wrong
    assert "no reply certificate" in wrong or "does not know" in wrong
    signed.write(payment, tmp_path / "out")
    code, said = verify(tmp_path / "out")
    assert code == 1, said
    assert "has not the role" in said or "is missing" in said


@pytest.mark.parametrize("name", ["base", "signature", "body", "keyid"])
def test_a_reply_that_was_changed_is_found(name: str, signed: SignedHouse, tmp_path: Path) -> None:
    """Also by somebody who writes leaf and sums anew, and says that its day is not signed."""
    payment = signed.pay(10_001)
    told = signed.reply(payment)
    signed.close_day()
    signed.write(payment, tmp_path / "out")
    folder = shutil.copytree(tmp_path / "out", tmp_path / "copy")
    record = folder / "records" / told.record_id
    kept = (record / name).read_bytes()
    (record / name).write_bytes(bytes([kept[0] ^ 1]) + kept[1:])
    (record / "leaf").write_text(leaf_text(record))
    for place in ("path", "index", "day"):
        (record / place).unlink()
    resum(folder)
    assert verify(folder)[0] == 1
    forged = "f" * 64 if name == "keyid" else b"\x00"
    signed.house.rewrite("records", f"{name} = ? WHERE record_id = ?", forged, told.record_id)
    found = again(signed)
    assert any(told.record_id in one for one in found["records"] + found["signatures"])


def test_a_request_is_no_reply_and_a_reply_no_request(signed: SignedHouse, tmp_path: Path) -> None:
    """Each is signed for its own purpose: the kind cannot be changed with the tag left as it is."""
    payment = signed.pay(10_001)
    told = signed.reply(payment)
    signed.house.rewrite("records", "kind = 'request' WHERE record_id = ?", told.record_id)
    signed.close_day()
    assert any("no station certificate" in one for one in again(signed)["signatures"])
    signed.write(payment, tmp_path / "out")
    assert verify(tmp_path / "out")[0] == 1


def test_a_reply_is_kept_once_however_often_it_comes(signed: SignedHouse) -> None:
    told = signed.reply(signed.pay(10_001))
    other = msgspec.structs.replace(told, record_id=told.record_id[:-1] + ("0" if told.record_id[-1] != "0" else "1"))
    signed.house.advance(5)
    replies = signed.house.batch([KeepReplies(replies=(told, other)), KeepReplies(replies=(other,))])
    assert replies == [items.Kept(count=2), items.Kept(count=1)]
    kept = signed.house.rows_of(rows.Record, f"kind = '{REPLY}'")
    assert {row.record_id for row in kept} == {told.record_id, other.record_id}
    assert len(kept) == 2


def test_what_does_not_lead_to_its_days_root_is_not_said_to_be_under_it(signed: SignedHouse) -> None:
    """M11: a leaf that somebody changed in the book, day signed: `bianmin evidence` counts one less."""
    payment = signed.pay(10_001)
    told = signed.reply(payment)
    signed.close_day()

    async def proven(snapshot: Snapshot) -> set[str]:
        found = await collect(snapshot, payment.gateway_serial)
        assert found is not None
        return {place.record.kind for place in found.places if place.under_a_signed_day}

    assert signed.snapshot(proven) == {"request", "reply", REPLY}
    signed.house.rewrite("records", "leaf = ? WHERE record_id = ?", b"\x01" * 32, told.record_id)
    assert signed.snapshot(proven) == set(), "a leaf is a sibling of the others: the root is another"


def told_of(signed: SignedHouse, folder: Path) -> tuple[rows.Payment, Path]:
    """The folder of a payment with a reply that tells of it, and that reply's part of it."""
    payment = signed.pay(10_001)
    told = signed.reply(payment, msgspec.json.encode({"gateway_serial": payment.gateway_serial, "state": "SUCCESS"}))
    signed.close_day()
    signed.write(payment, folder)
    return payment, folder / "records" / told.record_id


def test_m11_a_reply_is_told_with_its_request_and_its_payment(signed: SignedHouse, tmp_path: Path) -> None:
    """M11: what a folder is said to be of is held against the payment that our signed reply names."""
    payment, reply = told_of(signed, tmp_path / "out")
    code, said = verify(tmp_path / "out")
    assert code == 0, said
    request = kinds(tmp_path / "out")["request"].name
    assert f" {reply.name} {REPLY} " in said
    assert f", to the request {request} [" in said
    assert f"OK 全部得到证明 payment {payment.gateway_serial}, " in said
    contents = tmp_path / "out" / "contents"
    other = payment.gateway_serial[:-1] + ("0" if payment.gateway_serial[-1] != "0" else "1")
    contents.write_text(contents.read_text().replace(payment.gateway_serial, other))
    resum(tmp_path / "out")
    code, said = verify(tmp_path / "out")
    assert code == 1
    assert f"it tells of payment {payment.gateway_serial}, and this is said to be of another" in said


def test_a_folder_without_a_reply_is_only_said_to_be_of_its_payment(signed: SignedHouse, tmp_path: Path) -> None:
    payment, reply = told_of(signed, tmp_path / "out")
    shutil.rmtree(reply)
    contents = tmp_path / "out" / "contents"
    count = len(list((tmp_path / "out" / "records").iterdir()))
    contents.write_text(f"payment {payment.gateway_serial}\nrecords {count}\n")
    resum(tmp_path / "out")
    code, said = verify(tmp_path / "out")
    assert code == 0, said
    assert f"OK 全部得到证明 said to be of payment {payment.gateway_serial}, " in said


def test_a_reply_whose_request_was_taken_out_says_so(signed: SignedHouse, tmp_path: Path) -> None:
    payment, _ = told_of(signed, tmp_path / "out")
    shutil.rmtree(kinds(tmp_path / "out")["request"])
    contents = tmp_path / "out" / "contents"
    count = len(list((tmp_path / "out" / "records").iterdir()))
    contents.write_text(f"payment {payment.gateway_serial}\nrecords {count}\n")
    resum(tmp_path / "out")
    assert ", to a request that is not here [" in verify(tmp_path / "out")[1]


def root_deed(signed: SignedHouse) -> rows.Record:
    (record,) = signed.house.rows_of(rows.Record, "kind = 'root-deed'")
    return record


def test_m12_what_the_root_signed_is_verified_by_the_root(signed: SignedHouse, tmp_path: Path) -> None:
    """M12: the deed that brought the first staff in, by strangers and by `audit verify --signatures`."""
    signed.close_day()
    deed = root_deed(signed)
    signed.write_day("2026-11-24", tmp_path / "out")
    code, said = verify(tmp_path / "out")
    assert code == 0, said
    assert f"PROVEN   {deed.record_id} root-deed signed by the root, under the signed day 2026-11-24\n" in said
    assert again(signed)["signatures"] == []


@pytest.mark.parametrize("how", ["signature", "keyid", "late"])
def test_what_the_root_did_not_sign_is_found(how: str, signed: SignedHouse, tmp_path: Path) -> None:
    """Also where whoever forged it made leaf and day again, archive key and all."""
    deed = root_deed(signed)
    certificate, key = signed.bureau.certify("gateway", Role.OPERATOR)
    values: dict[str, Any] = {
        "signature": {"signature": PemSigner(certificate, key).sign(deed.base)},
        "keyid": {"keyid": certificate.keyid, "signature": PemSigner(certificate, key).sign(deed.base)},
        "late": {"received_at": deed.received_at + 301_000},
    }[how]
    forged = msgspec.structs.replace(deed, **values)
    forged = msgspec.structs.replace(forged, leaf=leaf_of(forged))
    for name in ("signature", "keyid", "received_at", "leaf"):
        signed.house.rewrite("records", f"{name} = ? WHERE record_id = ?", getattr(forged, name), deed.record_id)
    signed.close_day()
    found = again(signed)
    assert (found["records"], found["chain"], found["days"]) == ([], [], [])
    assert [deed.record_id in one for one in found["signatures"]] == [True]
    signed.write_day("2026-11-24", tmp_path / "out")
    code, said = verify(tmp_path / "out")
    assert code == 1
    assert deed.record_id in said


def test_one_deed_of_the_root_kept_twice_is_found(signed: SignedHouse, tmp_path: Path) -> None:
    deed = root_deed(signed)
    payment = signed.pay(10_001)
    (other,) = signed.house.rows_of(rows.Record, "kind = 'reply' AND gateway_serial = ?", payment.gateway_serial)
    twice = msgspec.structs.replace(deed, record_id=other.record_id)
    twice = msgspec.structs.replace(twice, leaf=leaf_of(twice))
    for name in ("kind", "received_at", "keyid", "base", "signature", "body", "leaf"):
        signed.house.rewrite("records", f"{name} = ? WHERE record_id = ?", getattr(twice, name), twice.record_id)
    signed.close_day()
    assert any("kept twice" in one for one in again(signed)["signatures"])
    signed.write_day("2026-11-24", tmp_path / "out")
    assert "one signed deed, shown twice" in verify(tmp_path / "out")[1]
