"""SPEC s6: result notices, and SPEC s5.6, s11: the day file as the platform vouched for it."""

import hashlib
from datetime import date, timedelta

import pytest

from adapters.telecom import dayfile, replies
from adapters.telecom.wire import Agent, Answer
from contracts.biller import BadNotice, NoReconFile, Notice
from contracts.money import Fen
from contracts.outcomes import Declined, Paid, Reason, Unknown
from tests.unit.telecom.recorded import AGENT, CODES, NOW, SECRETS, VECTORS, authentic, body, changed, members, resign

D = "2026-11-24"
DAY = date(2026, 11, 24)
FILE = (VECTORS / "TEL_8801000123_20261124_01.csv").read_bytes()
EMPTY = (VECTORS / "TEL_8801000123_20261123_01.csv").read_bytes()


def read(number: int, **new: str | None) -> Notice | BadNotice:
    told: dict[str, str | None] = {**members(number, "request"), **new}
    return replies.read_notice(AGENT, resign({k: v for k, v in told.items() if v is not None}), NOW, CODES)


def test_recorded_notices() -> None:
    plat = members(25, "request")["platNo"]
    assert replies.read_notice(AGENT, body(25, "request"), NOW, CODES) == Notice(
        partner_serial="20261124000000000201",
        biller_account="13900000001",
        amount=Fen(5000),
        evidence=Paid(biller_serial=plat, paid=Fen(5000), biller_date=D),
        ack=b"success",
    )
    partial, failed = read(26), read(27)
    assert isinstance(partial, Notice)
    assert isinstance(failed, Notice)
    assert partial.amount == Fen(30000)
    assert isinstance(partial.evidence, Paid)
    assert partial.evidence.paid == Fen(15000)
    assert failed.evidence == Declined(resp_code="2012", reason=Reason.FAILED_LATER)
    assert partial.ack == failed.ack == body(25, "reply") == body(26, "reply") == body(27, "reply")


@pytest.mark.parametrize(("seconds", "fresh"), [(0, True), (300, True), (-300, True), (301, False), (-301, False)])
def test_only_fresh_notices(seconds: int, fresh: bool) -> None:
    found = replies.read_notice(AGENT, body(25, "request"), NOW + timedelta(seconds=seconds), CODES)
    assert isinstance(found, Notice) is fresh


@pytest.mark.parametrize(
    "agent",
    [
        Agent("8801000123", "02", AGENT.sign_type, {"02": SECRETS["02"]}),
        Agent("8801000124", "01", AGENT.sign_type, SECRETS),
        Agent("8801000123", "01", AGENT.sign_type, {"01": "another-secret-of-ours"}),
    ],
)
def test_notices_of_others_decide_nothing(agent: Agent) -> None:
    assert replies.read_notice(agent, body(25, "request"), NOW, CODES) == BadNotice(cause="notice.sign", status=401)


def test_a_key_held_beside_ours_signs_notices_too() -> None:
    agent = Agent("8801000123", "02", AGENT.sign_type, SECRETS)
    assert isinstance(replies.read_notice(agent, body(25, "request"), NOW, CODES), Notice)


@pytest.mark.parametrize("name", ["orderNo", "accNo", "faceValue", "succAmount", "state", "sign", "timestamp"])
def test_a_changed_member_breaks_the_sign(name: str) -> None:
    value = members(25, "request")[name]
    swapped = value.replace("0", "1") if "0" in value else "3"
    raw = body(25, "request").replace(f'"{name}":"{value}"'.encode(), f'"{name}":"{swapped}"'.encode())
    assert raw != body(25, "request")
    assert isinstance(replies.read_notice(AGENT, raw, NOW, CODES), BadNotice)


@pytest.mark.parametrize(
    "new",
    [
        {"orderNo": "2026"},
        {"orderNo": None},
        {"accNo": "02"},
        {"faceValue": "50"},
        {"state": "0"},
        {"state": "5"},
        {"state": None},
        {"version": "3.3"},
        {"timestamp": "20261324101500"},
    ],
)
def test_unreadable_notices_are_not_acknowledged(new: dict[str, str | None]) -> None:
    assert isinstance(read(25, **new), BadNotice)


def test_raw_rubbish() -> None:
    for raw in (b"", b"success", b"{}", b"x" * 8193, body(25, "request") + b" " * 8192):
        assert isinstance(replies.read_notice(AGENT, raw, NOW, CODES), BadNotice)


@pytest.mark.parametrize(
    ("number", "new"),
    [
        (25, {"succAmount": "49.99"}),
        (25, {"succAmount": "50.01"}),
        (25, {"succAmount": None}),
        (25, {"platNo": "X"}),
        (25, {"acctDate": None}),
        (26, {"succAmount": "300.00"}),
        (26, {"succAmount": "0.00"}),
        (27, {"succAmount": "10.00"}),
    ],
)
def test_an_authentic_contradiction_is_an_alarm(number: int, new: dict[str, str | None]) -> None:
    found = read(number, **new)
    assert isinstance(found, Notice)
    assert isinstance(found.evidence, Unknown)
    assert found.evidence.alarm
    assert found.ack == b"success"


def offer() -> dayfile.Offer:
    found = dayfile.recon_reply(authentic(43), AGENT, DAY, CODES)
    assert isinstance(found, dayfile.Offer)
    return found


def test_recorded_file() -> None:
    assert offer().name == "TEL_8801000123_20261124_01.csv"
    assert offer().size == len(FILE) == len(body(45, "reply"))
    assert dayfile.fault(offer(), AGENT, body(45, "reply")) is None
    not_ready = dayfile.recon_reply(authentic(44), AGENT, date(2026, 11, 25), CODES)
    assert not_ready == NoReconFile(cause="code.2501", retry_after_s=600)


def test_empty_day() -> None:
    empty = dayfile.Offer(
        day=date(2026, 11, 23),
        name="TEL_8801000123_20261123_01.csv",
        issue="01",
        size=len(EMPTY),
        sha256=hashlib.sha256(EMPTY).hexdigest(),
        target="/",
    )
    assert dayfile.fault(empty, AGENT, EMPTY) is None


@pytest.mark.parametrize(("code", "retry"), [("2502", None), ("9005", 600), ("7777", 600), ("0001", 600)])
def test_other_answers_about_the_file(code: str, retry: int | None) -> None:
    found = dayfile.recon_reply(Answer(code, members(43, "reply")), AGENT, DAY, CODES)
    assert isinstance(found, NoReconFile)
    assert found.retry_after_s == retry


@pytest.mark.parametrize(
    "lie",
    [
        {"acctDate": "20261123"},
        {"issueNo": "02"},
        {"issueNo": None},
        {"fileName": "TEL_8801000124_20261124_01.csv"},
        {"fileSize": "-1"},
        {"fileSize": "01036"},
        {"fileSha256": "EF" * 32},
        {"downloadPath": "http://other.example/v3/recon/download?token=" + "0" * 32},
        {"downloadPath": "/v3/recon/download?token=../../x"},
    ],
)
def test_an_offer_out_of_form_is_none(lie: dict[str, str | None]) -> None:
    told = changed(43, **lie)
    assert isinstance(told, Answer)
    assert isinstance(dayfile.recon_reply(told, AGENT, DAY, CODES), NoReconFile)


def as_offered(content: bytes) -> str | None:
    """The platform's own signed size and hash agree; is the file still whole in itself?"""
    made = dayfile.Offer(
        day=DAY,
        name="n",
        issue="01",
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        target="/",
    )
    return dayfile.fault(made, AGENT, content)


def test_damaged_files() -> None:
    assert as_offered(FILE) is None
    assert dayfile.fault(offer(), AGENT, FILE[:-1]) == "file.size"
    assert dayfile.fault(offer(), AGENT, FILE.replace(b"36.51", b"36.52", 1)) == "file.sha256"
    assert as_offered(FILE.replace(b"36.51", b"36.52", 1)) == "file.trailer_sha256"
    assert as_offered(FILE[:-2]) == "file.trailer"
    assert as_offered(b"\r\n".join(FILE.split(b"\r\n")[:-2]) + b"\r\n") == "file.trailer"
    assert as_offered(FILE.replace(b"8801000123,20261124,01", b"8801000123,20261123,01", 1)) == "file.header"
    assert as_offered(FILE.replace(b",3.4\r\n", b",3.3\r\n", 1)) == "file.header"
    for stub in (b"", b"\r\n", b"H", b"T"):
        assert as_offered(stub) == "file.header"
