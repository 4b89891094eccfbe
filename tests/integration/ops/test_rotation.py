"""The issuing CA is rotated under an installation: both periods speak, sign and keep proving, strangers do not."""

import asyncio
import secrets
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from certs.authority.folder import read_folder, rotate
from certs.certificates import Certificate, Role, parse_certificate
from certs.core.chains import issuer_of
from certs.keys import PemSigner, load_certificate, load_certificates, load_password
from certs.pilot import (
    Authority,
    issue,
    make_issuing,
    make_key,
    make_root,
    write_certificate,
    write_key,
    write_password,
)
from contracts import api
from gateway.cli import run
from gateway.clock import SystemClock
from gateway.config import load_config
from gateway.ops.enrol import load_issuing
from gateway.ops.files import check_files
from gateway.terminal.config import load_config as load_terminal
from gateway.terminal.terminal import Terminal
from tests.integration.http.shops import Reply, Shop
from tests.stand.clerks import both, say_here
from tests.stand.gateway import STATION, Known, Stand

SECOND = "33078200018"
pytestmark = pytest.mark.slow


class Files:
    """The passwords of an installation's authority: one file each, the new key's made here."""

    def __init__(self, pilot: Path) -> None:
        self._secrets = pilot / "secrets"

    def password(self, name: str, *, fresh: bool) -> bytes:
        """See certs.authority.keyring.Unlock."""
        file = self._secrets / f"{name}-key.password"
        return write_password(file) if fresh else load_password(file)

    def pin(self, ask: object) -> object:
        """Nothing here is in a token."""
        raise AssertionError(ask)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    with Stand(tmp_path_factory.mktemp("rotation")) as stand:
        yield stand


def shop_of(stand: Stand, code: str, folder: Path) -> Shop:
    """A station's terminal, which holds the issuing CAs of its own folder and believes whichever reply key they stand
    behind."""
    keys = stand.folder / "pilot" / "keys"
    signer = PemSigner.load(folder / "station.cert.pem", folder / "station.key.pem", folder / "station-key.password")
    reply = load_certificate(load_config(stand.config_file, stand.adapters).keys.reply_cert_file)
    issuing = issuer_of(reply, load_certificates(keys / "issuing-all.cert.pem"))
    assert issuing is not None
    known = Known(load_certificate(keys / "root.cert.pem"), issuing, reply)
    return Shop(code, signer, known, stand.public, authority=f"127.0.0.1:{stand.public}")


def ask(shop: Shop) -> Reply:
    """Its balance."""
    return asyncio.run(shop.get("/v1/account"))


def rotated(stand: Stand, *, reply: bool) -> None:
    """The next period, in files and configuration; with reply, a new reply key under it."""
    pilot = stand.folder / "pilot"
    rotate(read_folder(pilot / "keys"), Files(pilot), datetime.now(UTC))  # type: ignore[arg-type]  # no token here
    changes = {
        "keys/issuing.cert.pem": "keys/issuing-all.cert.pem",
        "keys/issuing.key.pem": "keys/issuing-2.key.pem",
        "secrets/issuing-key.password": "secrets/issuing-2-key.password",
    }
    text = stand.config_file.read_text()
    for old, new in changes.items():
        text = text.replace(old, new)
    stand.config_file.write_text(text)
    if reply:
        new_reply(stand)


def new_reply(stand: Stand) -> Certificate:
    """A reply key under the new issuing CA, in files and configuration."""
    pilot, key = stand.folder / "pilot", make_key()
    issuing = load_issuing(load_config(stand.config_file, stand.adapters))
    made = issue(issuing, Role.REPLY, key.public_key(), operator="gateway reply 2", now=datetime.now(UTC))
    write_certificate(pilot / "keys/reply-2.cert.pem", made)
    write_key(pilot / "keys/reply-2.key.pem", key, write_password(pilot / "secrets/reply-2-key.password"))
    text = stand.config_file.read_text().replace("keys/reply.", "keys/reply-2.").replace("/reply-key", "/reply-2-key")
    stand.config_file.write_text(text)
    return made


def evidence(stand: Stand, serial: str, out: Path) -> tuple[int, str]:
    """Write the evidence of a payment and verify it."""
    assert run(["evidence", serial, "--out", str(out), "--config", str(stand.config_file)]) == 0
    done = subprocess.run(["sh", str(out / "verify.sh")], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_both_periods_side_by_side(site: Stand, tmp_path: Path) -> None:
    pilot = site.folder / "pilot"
    own = pilot / "stations" / STATION
    site.deposit("1000", "V1")
    site.start()
    before = asyncio.run(site.shop().pay(wait=10))
    assert before.status == 201
    assert before.signed
    site.stop()

    rotated(site, reply=False)
    check_files(load_config(site.config_file, site.adapters))
    site.start()
    second_folder = ("--out", str(tmp_path / "second"))
    both(pilot, say_here, "station", "add", SECOND, "--name", "新站", "--operator-name", "李四", *second_folder)
    old, new = shop_of(site, STATION, own), shop_of(site, SECOND, tmp_path / "second")
    first, second = load_certificates(pilot / "keys/issuing-all.cert.pem")[::-1]
    assert issuer_of(old.signer.certificate, (first, second)) == first
    assert issuer_of(new.signer.certificate, (first, second)) == second
    assert len(load_certificates(tmp_path / "second" / "issuing.cert.pem")) == 2
    for shop in (old, new):
        answer = ask(shop)
        assert (answer.status, answer.signed) == (200, True)
    site.stop()

    made = new_reply(site)
    site.start()
    for shop in (shop_of(site, STATION, own), shop_of(site, SECOND, tmp_path / "second")):
        answer = ask(shop)
        assert (answer.status, answer.signed) == (200, True)
        assert f'keyid="{made.keyid}"' in (answer.header("Signature-Input") or "")
    # A terminal that still holds the first period alone believes no reply of the second.
    stale = replace(shop_of(site, STATION, own).pki, issuing=first)  # type: ignore[type-var]  # a Known
    believes = Shop(STATION, old.signer, stale, site.public, authority=old.authority)
    assert not ask(believes).signed
    asyncio.run(real_terminal(tmp_path / "second" / "terminal.toml"))

    code, said = evidence(site, before.json["gateway_serial"], tmp_path / "evidence")
    assert code in (0, 3), said
    assert "FAIL" not in said
    served = asyncio.run(new_chain(site, made.keyid))
    assert served == [made, second]


async def real_terminal(file: Path) -> None:
    """The SDK, with the files it was given: it holds both periods."""
    async with Terminal(load_terminal(file), SystemClock()) as terminal:
        assert isinstance(await terminal.balance(), api.AccountBalance)


async def new_chain(stand: Stand, keyid: str) -> list[Certificate]:
    """What the gateway serves under a keyid."""
    reader, writer = await asyncio.open_connection("127.0.0.1", stand.public)
    writer.write(f"GET /v1/certificates/{keyid} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    pem = (await reader.read()).partition(b"\r\n\r\n")[2]
    writer.close()
    end = b"-----END CERTIFICATE-----"
    return [parse_certificate(part + end) for part in pem.split(end) if part.strip()]


def foreign(organization: str) -> Authority:
    """Somebody else's issuing CA, under the same names."""
    now = datetime.now(UTC)
    return make_issuing(make_root(organization, now), now)


def test_a_foreign_authority_is_refused(site: Stand) -> None:
    """Registered or not, a certificate of another CA of the same names speaks for nobody."""
    key = make_key()
    made = issue(
        foreign("试验局"), Role.STATION, key.public_key(), operator="0001", institution_code=STATION,
        usb_key_serial="K1", now=datetime.now(UTC),
    )  # fmt: skip
    shop = shop_of(site, STATION, site.folder / "pilot" / "stations" / STATION)
    shop.signer = PemSigner(made, key)
    assert ask(shop).slug == "certificate-unknown"


def test_a_bundle_with_a_stranger_stops_the_start(site: Stand) -> None:
    from gateway.config import ConfigError

    pilot = site.folder / "pilot"
    bundle = pilot / "keys" / f"mixed-{secrets.token_hex(2)}.pem"
    write_certificate(bundle, *load_certificates(pilot / "keys/issuing-all.cert.pem"), foreign("试验局").certificate)
    text = site.config_file.read_text()
    other = pilot / "mixed.toml"
    other.write_text(text.replace("keys/issuing-all.cert.pem", f"keys/{bundle.name}"))
    with pytest.raises(ConfigError, match="issuing_cert_file"):
        check_files(load_config(other, site.adapters))
