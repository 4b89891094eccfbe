"""A house with real keys: payments carry real signatures, days are sealed and signed, evidence is written of them."""

import asyncio
import hashlib
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from certs.authority.issuing import Authority, make_issuing
from certs.authority.lists import make_crl
from certs.certificates import Certificate, Role
from certs.core.messages import RequestHead, SignedRequest
from certs.core.replies import sign_reply
from certs.core.requests import read_request, sign_request
from certs.core.revocation_lists import Revoked, read_crl
from certs.keys import PemSigner
from certs.pilot import write_certificate
from contracts.serials import Serials
from gateway.core import chores, items, rows
from gateway.core.items_deeds import Acted
from gateway.core.kept_replies import KeepReplies, Told
from gateway.core.revocations import KeepList
from gateway.ops.evidence.collect import collect
from gateway.ops.evidence.day import write_day
from gateway.ops.evidence.files import FIELDS
from gateway.ops.evidence.write import write_bundle
from gateway.ops.whole import WholeBook
from gateway.store.port import Snapshot
from gateway.store.sqlite.readers import take_snapshot
from tests.stand.bureau import Bureau, Person
from tests.stand.house import NOON, House
from tests.stand.partner_pki import at_ms

AUTHORITY = "127.0.0.1:8443"


class SignedHouse:
    """A house with a real station certificate and staff; the day is sealed and signed. noon: its first moment, in ms.

    issuings: CAs of every period, newest first.
    """

    def __init__(self, folder: Path, noon: int = NOON) -> None:
        self.folder = folder
        prices = {"effective_from": "2000-01-01"}
        self.house = House(folder, stations=2, durable=False, prices=prices, now=noon)
        self.bureau = Bureau(lambda: self.house.now)
        self.house.trust(self.bureau)
        self.issuings: list[Authority] = [self.bureau.issuing]
        self.lists: dict[str, int] = {}
        certificate, key = self.bureau.certify(
            "张三", Role.STATION, institution_code="46000009", usb_key_serial="PILOT-9"
        )
        self.signer = PemSigner(certificate, key)
        self.house.add_station(9, **registered(certificate))
        self.house.ask(self.bureau.first_staff(), Acted)
        self.house.deposit(9, 100_000)

    def rotate(self) -> None:
        """The next issuing CA; keys of before stay as they are."""
        self.bureau.issuing = make_issuing(self.bureau.root, at_ms(self.house.now), number=len(self.issuings) + 1)
        self.house.env = self.bureau.known_to(self.house.env, *(one.certificate for one in self.issuings))
        self.house.reopen()
        self.issuings.insert(0, self.bureau.issuing)

    def do(self, who: Person, action: str, subject: str, **fields: Any) -> Acted:
        """A signed deed of the staff."""
        return self.house.ask(self.bureau.act(who, action, subject, **fields), Acted)

    def publish(self, number: int, *revoked: Certificate) -> bytes:
        """A revocation list of the newest issuing CA."""
        entries = [Revoked(serial=one.serial, at=at_ms(self.house.now)) for one in revoked]
        made = read_crl(
            make_crl(self.issuings[0], number=number, after=number - 1, now=at_ms(self.house.now), revoked=entries)
        )
        item = KeepList(
            issuer_keyid=self.issuings[0].certificate.keyid, number=number, der=made.der,
            this_update=int(made.this_update.timestamp()) * 1000, next_update=int(made.next_update.timestamp()) * 1000,
            serials=None,
        )  # fmt: skip
        self.house.ask(item, items.Kept)
        self.lists[item.issuer_keyid] = number
        return made.der

    def pay(self, number: int) -> rows.Payment:
        """A payment whose request was really signed, and its notice."""
        now = self.house.now // 1000
        body = f'{{"service":"acme.bill","biller_account":"{number}","amount_fen":1000,"terminal_trace":"1"}}'.encode()
        headers = sign_request(
            self.signer,
            method="POST",
            authority=AUTHORITY,
            target="/v1/payments",
            body=body,
            content_type="application/json",
            idempotency_key=f"key-of-payment-{number}",
            created=now,
            expires=now + 300,
            nonce=f"nonce-of-payment-{number}",
            scheme="http",
        )
        head = RequestHead("POST", "/v1/payments", [("Host", AUTHORITY), *headers.items()], body)
        read = read_request(head, frozenset({AUTHORITY}), scheme="http")
        assert isinstance(read, SignedRequest)
        self.asked = read
        arrival = self.house.arrival(
            9, keyid=self.signer.keyid, base=read.base, signature=read.signature, body=body, nonce=read.nonce
        )
        payment = self.house.pay(9, arrival=arrival, biller_account=str(number), amount_fen=1000)
        self.house.settle(payment, raw=b"<paid/>")
        return payment

    def reply(
        self, payment: rows.Payment | None, body: bytes = b'{"state":"SUCCESS"}', signer: PemSigner | None = None
    ) -> Told:
        """What the gateway told the station about the request that was signed last, as it is kept."""
        if signer is None:
            certificate, key = self.bureau.certify("gateway", Role.REPLY)
            values = registered(certificate)
            values["der"] = values.pop("certificate_der")
            self.house.ask(items.RegisterCertificate(role="reply", **values), items.Kept)  # type: ignore[arg-type]
            signer = PemSigner(certificate, key)
        made = sign_reply(
            signer,
            status=201,
            body=body,
            content_type="application/json",
            created=self.house.now // 1000,
            request_signature_field=self.asked.signature_field,
        )
        told = Told(
            record_id=Serials(self.house.now, self.house.env.zone, self.house.entropy()).mint(),
            institution_code="46000009",
            gateway_serial=payment.gateway_serial if payment else None,
            keyid=made.keyid,
            base=made.base,
            signature=made.signature,
            body=body,
        )
        self.house.ask(KeepReplies(replies=(told,)), items.Kept)
        return told

    def close_day(self) -> None:
        """Seal what is there, begin the next day, publish its list, sign the first."""
        self.house.seal()
        self.house.advance(86_400)
        self.publish(self.lists.get(self.issuings[0].certificate.keyid, 0) + 1)
        sealed = self.house.seal()
        archive, key = self.bureau.certify("archive", Role.ARCHIVE)
        values = registered(archive)
        values["der"] = values.pop("certificate_der")
        self.house.ask(items.RegisterCertificate(role="archive", **values), items.Kept)  # type: ignore[arg-type]
        ((day, statement),) = sealed.unsigned
        signature = PemSigner(archive, key).sign(statement)
        self.house.ask(chores.SignDay(day=day, keyid=archive.keyid, signature=signature), items.Kept)

    def snapshot(self, use: Callable[[Snapshot], Awaitable[Any]]) -> Any:
        return asyncio.run(take_snapshot(self.folder / "book.db", lambda snapshot: use(WholeBook(snapshot))))

    def write(self, payment: rows.Payment, folder: Path) -> None:
        """The evidence of one payment."""

        async def use(snapshot: Snapshot) -> None:
            found = await collect(snapshot, payment.gateway_serial)
            assert found is not None
            await write_bundle(snapshot, found, folder, **self.trust())

        self.snapshot(use)

    def write_day(self, day: str, folder: Path) -> None:
        """The evidence of one day."""
        self.snapshot(lambda snapshot: write_day(snapshot, day, folder, **self.trust()))

    def trust(self) -> dict[str, Path]:
        files = {"root": self.folder / "root.pem", "issuing": self.folder / "issuing.pem"}
        for name, authorities in (("root", [self.bureau.root]), ("issuing", self.issuings)):
            files[name].unlink(missing_ok=True)
            write_certificate(files[name], *(one.certificate for one in authorities))
        return files


def registered(certificate: Certificate) -> dict[str, object]:
    return {
        "certificate_der": certificate.der,
        "keyid": certificate.keyid,
        "public_key_sha256": certificate.public_key_sha256,
        "not_before": int(certificate.not_before.timestamp() * 1000),
        "not_after": int(certificate.not_after.timestamp() * 1000),
    }


def verify(folder: Path, script: Path | None = None, **environment: str) -> tuple[int, str]:
    """Exit code and what was said. script: another than the folder's own."""
    done = subprocess.run(
        ["sh", str(script or folder / "verify.sh"), str(folder)],
        capture_output=True,
        text=True,
        errors="replace",
        env={"PATH": "/usr/bin:/bin", **environment},
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def resum(folder: Path) -> None:
    """SHA256SUMS as somebody would write it who changed a file on purpose."""
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    lines = [
        f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n"
        for name in sorted(names, key=str.encode)
        if name != "SHA256SUMS"
    ]
    (folder / "SHA256SUMS").write_text("".join(lines))


def leaf_text(record: Path) -> str:
    """The leaf of a record's files, as they are now."""
    parts = [b"bianmin-record-v1\n"]
    for name in FIELDS:
        value = (record / name).read_bytes()
        parts.append(b"%s %d\n%s\n" % (name.encode(), len(value), value))
    return hashlib.sha256(b"".join(parts)).hexdigest() + "\n"
