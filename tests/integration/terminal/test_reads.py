"""Questions that move no money, and opening a terminal."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from certs import pilot
from contracts import api
from contracts.money import Fen
from gateway.terminal import ConfigFault, Refused, Terminal, TerminalFault, Undecided
from gateway.terminal.wire import Ask, Proven
from tests.integration.terminal.clocks import FastClock
from tests.integration.terminal.double import QUERY_TOKEN, SERIAL, Double, Keys, served


async def test_every_read_is_typed(double: Double, terminal: Terminal) -> None:
    assert isinstance(await terminal.balance(), api.AccountBalance)
    assert isinstance(await terminal.entries(cursor="a_1"), api.EntryPage)
    services = await terminal.services()
    assert isinstance(services, api.ServiceList)
    assert services.items[0].params[0].choices["cmcc"] == "移动"
    assert isinstance(await terminal.list(), api.PaymentPage)
    assert isinstance(await terminal.gateway_time(), api.TimeAnswer)
    missing = await terminal.status(SERIAL)
    assert isinstance(missing, Refused)
    assert missing.slug == "not-found"


async def test_a_list_sends_the_query_it_signed(double: Double, terminal: Terminal) -> None:
    page = await terminal.list(
        account_date="2026-11-24", biller_account="a@b.c", state="UNKNOWN", limit=5, cursor="c-1"
    )
    target = "/v1/payments?account_date=2026-11-24&biller_account=a@b.c&state=UNKNOWN&cursor=c-1&limit=5"
    assert double.arrivals[-1].target == target
    assert isinstance(page, Undecided | api.PaymentPage)


async def test_a_target_leaves_byte_for_byte_as_it_was_signed(double: Double, terminal: Terminal) -> None:
    """The HTTP library would send %3A as `:`, which the signature does not cover."""
    target = "/v1/account/entries?cursor=%3A%40%E5%8D%95"
    assert isinstance(await terminal._parts.wire.exchange(Ask(method="GET", target=target), 2), Proven)
    assert double.arrivals[-1].target == target


@pytest.mark.parametrize("word", ["unsigned", "by-station", "altered", "cut", "reset", "to-another", "half"])
async def test_an_unproven_read_is_asked_again(double: Double, terminal: Terminal, word: str) -> None:
    double.plan = [word]
    answer = await terminal.query_bill("power.bill", "4600123456")
    assert isinstance(answer, api.BillAnswer)
    assert len(double.sent("/v1/bill-queries")) == 2


async def test_a_slow_bill_is_waited_for(double: Double, terminal: Terminal) -> None:
    double.bill_pending = 3
    answer = await terminal.query_bill("power.bill", "4600123456")
    assert isinstance(answer, api.BillAnswer)
    assert len(double.sent(f"/v1/bill-queries/{QUERY_TOKEN}")) == 3


async def test_a_bill_that_never_comes_is_pending(double: Double) -> None:
    double.bill_pending = 999
    async with Terminal(double.config(read_deadline_s=3), FastClock(20)) as terminal:
        assert isinstance(await terminal.query_bill("power.bill", "4600123456"), api.BillPending)


async def test_a_proven_refusal_of_a_read_is_one(double: Double, terminal: Terminal) -> None:
    double.plan = ["account-not-found"]
    answer = await terminal.query_bill("power.bill", "4600123456")
    assert isinstance(answer, Refused)
    double.plan = ["overloaded"] * 99
    async with Terminal(double.config(read_deadline_s=2), FastClock(20)) as short:
        answer = await short.query_bill("power.bill", "4600123456")
    assert isinstance(answer, Refused)
    assert answer.slug == "overloaded"


async def test_reads_where_nobody_listens(double: Double) -> None:
    async with Terminal(double.config(url="http://127.0.0.1:9", read_deadline_s=1), FastClock(20)) as terminal:
        answer = await terminal.balance()
        assert isinstance(answer, Undecided)
        assert (answer.key, answer.sent) == (None, False)
        assert isinstance(await terminal.gateway_time(), Undecided)


async def test_the_other_requests_go_to_their_paths(double: Double, terminal: Terminal) -> None:
    await terminal.cancel(SERIAL, "户号错误", authorization="authorization-01")
    await terminal.refund(SERIAL, Fen(500), "多收")
    await terminal.report_write(SERIAL, ok=False, card_data="00ff")
    targets = [one.target.removeprefix(f"/v1/payments/{SERIAL}") for one in double.arrivals]
    assert targets == ["/cancellations", "/refunds", "/card-writes"]
    assert len({one.key for one in double.arrivals}) == 3
    assert b'"result":"failed"' in double.arrivals[-1].body


@pytest.mark.parametrize("serial", ["", "2026112406H0P4QWR2D3RMF", "../../x", f"{SERIAL}\n", SERIAL.lower()])
async def test_a_serial_out_of_form_is_refused_here(double: Double, terminal: Terminal, serial: str) -> None:
    with pytest.raises(ValueError, match="serial"):
        await terminal.status(serial)
    assert not double.arrivals


async def test_a_terminal_must_be_open(double: Double) -> None:
    terminal = Terminal(double.config(), FastClock())
    with pytest.raises(RuntimeError, match="not open"):
        await terminal.balance()


@pytest.mark.parametrize("days", [800, -3])
async def test_a_certificate_out_of_its_time(double: Double, days: int) -> None:
    with pytest.raises(TerminalFault, match="证书已过期或未生效"):
        await Terminal(double.config(), FastClock(skew=timedelta(days=days))).open()


async def test_a_certificate_of_another_authority(double: Double, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Keys(tmp_path / "other", datetime.now(UTC))
    with pytest.raises(TerminalFault, match="certificate-unknown"):
        await Terminal(double.config(root_cert_file=str(other.folder / "root.cert.pem")), FastClock()).open()


async def test_a_wrong_password_and_a_missing_file(double: Double) -> None:
    Path(double.config().key_password_file).write_text("wrong\n")
    with pytest.raises(TerminalFault, match=r"station\.key\.pem"):
        await Terminal(double.config(), FastClock()).open()
    with pytest.raises(TerminalFault, match=r"nowhere\.pem"):
        await Terminal(double.config(cert_file="/nowhere.pem"), FastClock()).open()
    Path(double.config().key_password_file).unlink()


def server_certificate(folder: Path, name: str) -> ssl.SSLContext:
    """A self-signed TLS certificate for one DNS name, as `tls.pem`, and a server's context with it."""
    key, now = pilot.make_key(), datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, SHA256())
    )
    (folder / "tls.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "tls.key.pem").write_bytes(private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "tls.pem", folder / "tls.key.pem")
    return context


@pytest.mark.parametrize(("name", "answers"), [("pay.bianmin.example", True), ("evil.example", False)])
async def test_tls_names_the_authority_whatever_the_url_says(tmp_path: Path, name: str, *, answers: bool) -> None:
    double = Double(Keys(tmp_path, datetime.now(UTC)))
    async with served(double, server_certificate(tmp_path, name)):
        config = double.config(tls_ca_file=str(tmp_path / "tls.pem"), read_deadline_s=2)
        async with Terminal(config, FastClock(20)) as terminal:
            answer = await terminal.balance()
    assert isinstance(answer, api.AccountBalance if answers else Undecided)
    assert bool(double.arrivals) is answers


async def test_tls_trust_that_cannot_be_read(double: Double) -> None:
    config = double.config(url="https://127.0.0.1:9", tls_ca_file=double.config().key_file)
    with pytest.raises(ConfigFault, match="tls_ca_file"):
        await Terminal(config, FastClock()).open()
