"""Both ways of TLS with a real partner on loopback: its pinned certificate, and ours."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from adapters.transport.http import HttpCall, HttpCaller, NeverLeft, Reply, Result, TimeOuts
from adapters.transport.tls import TlsFiles, client_context
from gateway.clock import SystemClock
from tests.stand.partner_pki import PASSWORD, Held, PartnerCa
from tests.unit.transport.partners import Visit, partner, polite, reply

NOW = datetime.now(UTC)


def pem(folder: Path, name: str, *held: Held) -> str:
    """Certificates as one file."""
    file = folder / name
    file.write_bytes(b"".join(one.certificate.parsed.public_bytes(Encoding.PEM) for one in held))
    return str(file)


def server_of(held: Held, folder: Path, *, clients: str = "") -> ssl.SSLContext:
    """A partner's server; clients: PEM of the client certificates it wants one of."""
    certificate, key, _ = held.write(folder, "server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key, PASSWORD)
    if clients:
        context.load_verify_locations(clients)
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.verify_mode = ssl.CERT_REQUIRED
    return context


async def ask(server: ssl.SSLContext, files: TlsFiles, pins: list[bytes] | None = None) -> Result:
    """One call to a server, with these files of ours."""
    async with partner(polite, server) as theirs:
        caller = HttpCaller(
            clock=SystemClock(), base_url=f"https://127.0.0.1:{theirs.port}", connections=1,
            ssl_context=client_context(files, pins),
        )  # fmt: skip
        await caller.open()
        try:
            time_outs = TimeOuts(connect_ms=3000, total_ms=5000)
            return await caller.call(
                HttpCall(method="POST", target="/", body=b"x", time_outs=time_outs, reply_limit=100)
            )
        finally:
            await caller.close()


@pytest.fixture(scope="module")
def ca() -> PartnerCa:
    return PartnerCa(NOW)


async def test_a_pinned_server(ca: PartnerCa, tmp_path: Path) -> None:
    """Self-signed or under whatever CA, by another name: it is the one that was pinned."""
    for held in (ca.alone("other.example"), ca.leaf("other.example")):
        answer = await ask(server_of(held, tmp_path), TlsFiles(pinned_cert_file=pem(tmp_path, "pins.pem", held)))
        assert isinstance(answer, Reply), answer


async def test_roll_over_of_a_pinned_server(ca: PartnerCa, tmp_path: Path) -> None:
    old, new = ca.alone("old"), ca.leaf("new", host="127.0.0.1")
    files = TlsFiles(pinned_cert_file=pem(tmp_path, "pins.pem", old, new))
    for held in (old, new):
        assert isinstance(await ask(server_of(held, tmp_path), files), Reply)


async def test_a_server_that_is_not_the_pinned_one(ca: PartnerCa, tmp_path: Path) -> None:
    """Another leaf of the same CA, its CA's own name, a twin of the name: nothing left us."""
    pinned = ca.leaf("right", host="127.0.0.1")
    files = TlsFiles(pinned_cert_file=pem(tmp_path, "pins.pem", pinned))
    twin = PartnerCa(NOW).leaf("right", host="127.0.0.1")
    for held in (ca.leaf("right", host="127.0.0.1"), ca.alone("right", host="127.0.0.1"), twin):
        answer = await ask(server_of(held, tmp_path), files)
        assert isinstance(answer, NeverLeft), answer


@pytest.mark.parametrize("begins", [timedelta(days=-2), timedelta(hours=1)], ids=["ended", "not yet"])
async def test_a_pinned_server_out_of_its_time(ca: PartnerCa, tmp_path: Path, begins: timedelta) -> None:
    held = ca.leaf("right", begins=NOW + begins, ends=NOW + begins + timedelta(days=1))
    answer = await ask(server_of(held, tmp_path), TlsFiles(pinned_cert_file=pem(tmp_path, "pins.pem", held)))
    assert isinstance(answer, NeverLeft), answer


async def test_a_ca_of_its_own_and_the_name_counts(ca: PartnerCa, tmp_path: Path) -> None:
    files = TlsFiles(ca_file=pem(tmp_path, "ca.pem", ca.authority))
    assert isinstance(await ask(server_of(ca.leaf("x", host="127.0.0.1"), tmp_path), files), Reply)
    assert isinstance(await ask(server_of(ca.leaf("x", host="127.0.0.2"), tmp_path), files), NeverLeft)


async def test_our_own_certificate(ca: PartnerCa, tmp_path: Path) -> None:
    server, ours = ca.leaf("server"), ca.alone("bianmin")
    pins, wanted = pem(tmp_path, "pins.pem", server), pem(tmp_path, "clients.pem", ours)
    certificate, key, password = ours.write(tmp_path, "ours")
    files = TlsFiles(
        pinned_cert_file=pins, client_cert_file=str(certificate), client_key_file=str(key),
        client_key_password_file=str(password),
    )  # fmt: skip
    assert isinstance(await ask(server_of(server, tmp_path, clients=wanted), files), Reply)
    without = await ask(server_of(server, tmp_path, clients=wanted), TlsFiles(pinned_cert_file=pins))
    assert not isinstance(without, Reply), "they ask for it, and get none"


@pytest.mark.parametrize("spoilt", ["certificate", "key", "password", "missing"])
def test_files_that_cannot_be_used(ca: PartnerCa, tmp_path: Path, spoilt: str) -> None:
    certificate, key, password = ca.alone().write(tmp_path, "ours")
    if spoilt == "certificate":
        certificate.write_bytes(ca.alone().certificate.parsed.public_bytes(Encoding.PEM))
    elif spoilt == "key":
        key.write_bytes(b"-----BEGIN NOTHING-----")
    elif spoilt == "password":
        password.write_bytes(b"wrong-password-of-mine\n")
    else:
        password.unlink()
    files = TlsFiles(
        client_cert_file=str(certificate), client_key_file=str(key), client_key_password_file=str(password)
    )
    with pytest.raises(ValueError, match=r"ours\.(key\.pem|password): expected") as told:
        client_context(files)
    assert "wrong-password-of-mine" not in str(told.value)


def test_files_that_do_not_go_together() -> None:
    assert TlsFiles().wrong() is None
    assert client_context(TlsFiles()) is None
    assert "instead of" in str(TlsFiles(ca_file="a", pinned_cert_file="b").wrong())
    assert "together" in str(TlsFiles(client_cert_file="a").wrong())
    with pytest.raises(ValueError, match="PEM certificates"):
        client_context(TlsFiles(pinned_cert_file="/nowhere"))


async def test_pins_that_change_while_it_is_open(ca: PartnerCa, tmp_path: Path) -> None:
    """CERT-05: the next request is held to the new ones, also on a connection that stands; none: nobody is believed."""
    first, second = ca.leaf("first", host="127.0.0.1"), ca.alone("second")
    files = TlsFiles(ca_file=pem(tmp_path, "ca.pem", ca.authority))

    async def two(visit: Visit) -> None:
        while True:
            await visit.request()
            await visit.send(reply(b"x"))

    async with partner(two, server_of(first, tmp_path)) as theirs:
        caller = HttpCaller(
            clock=SystemClock(), base_url=f"https://127.0.0.1:{theirs.port}", connections=2,
            ssl_context=client_context(files),
        )  # fmt: skip
        await caller.open()

        async def told() -> type:
            time_outs = TimeOuts(connect_ms=3000, total_ms=5000)
            call = HttpCall(method="POST", target="/", body=b"x", time_outs=time_outs, reply_limit=100)
            return type(await caller.call(call))

        try:
            assert await told() is Reply
            for pins, kind in (([second], NeverLeft), ([first, second], Reply), ([], NeverLeft), ([first], Reply)):
                caller.use(client_context(files, [one.certificate.der for one in pins]))
                assert await told() is kind, pins
        finally:
            await caller.close()
    assert theirs.requests == 3


async def test_no_system_ca_is_believed_beside_pins() -> None:
    context = client_context(TlsFiles(), [])
    assert context is not None
    assert context.cert_store_stats()["x509"] == 0
    with pytest.raises(ValueError, match="pinned"):
        client_context(TlsFiles(), [b"none"])


@pytest.mark.parametrize("pinned_by", ["file", "book"])
async def test_nothing_under_a_pinned_certificate_is_believed(tmp_path: Path, pinned_by: str) -> None:
    """M12: the pin is one certificate. Whoever holds the key of one that may sign others makes no server by it."""
    ca = PartnerCa(NOW)
    under = ca.leaf("server", host="127.0.0.1")
    chain = tmp_path / "server.cert.pem"
    theirs = server_of(under, tmp_path)
    chain.write_bytes(chain.read_bytes() + ca.authority.certificate.parsed.public_bytes(Encoding.PEM))
    theirs.load_cert_chain(chain, tmp_path / "server.key.pem", PASSWORD)
    files = TlsFiles(pinned_cert_file=pem(tmp_path, "pins.pem", ca.authority)) if pinned_by == "file" else TlsFiles()
    pins = None if pinned_by == "file" else [ca.authority.certificate.der]
    assert isinstance(await ask(theirs, files, pins), NeverLeft)
    assert isinstance(await ask(theirs, TlsFiles(ca_file=pem(tmp_path, "ca.pem", ca.authority))), Reply)
