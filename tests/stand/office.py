"""A book with a bureau of two people, and the deeds of a certificate's life in short."""

import base64
from pathlib import Path

from certs.certificates import Role
from certs.keys import PemSigner
from gateway.core import items, rows
from gateway.core.items_deeds import Acted
from tests.stand.bureau import DEPARTMENT, Asked, Bureau, Person, asked
from tests.stand.house import House, code
from tests.stand.house import keyid as keyid_of


class Office:
    """A house whose bureau has two people."""

    def __init__(self, folder: Path) -> None:
        self.house = House(folder, durable=False)
        self.bureau = Bureau(lambda: self.house.now)
        self.house.trust(self.bureau)
        self.clerk, self.chief = self.bureau.clerk, self.bureau.chief
        self.house.ask(self.bureau.first_staff(), Acted)

    def do(self, who: Person, action: str, subject: str, **fields: str) -> Acted:
        return self.house.ask(self.bureau.act(who, action, subject, **fields), Acted)

    def no(self, who: Person, action: str, subject: str, **fields: str) -> str:
        return self.house.ask(self.bureau.act(who, action, subject, **fields), items.Refusal).slug

    def both(self, action: str, subject: str, **fields: str) -> Acted:
        """Prepared by the clerk, approved by the chief."""
        waits = self.do(self.clerk, action, subject, **fields).waits
        assert waits
        return self.do(self.chief, "ops.approve", waits)

    def apply(self, one: Asked, station: int = 1, /, **fields: str) -> str:
        return self.do(
            self.clerk, "certs.apply", one.public_key_sha256, **self.bureau.application(one, code(station), **fields)
        ).state

    def issued(self, one: Asked, station: int = 1, /, *, serial: str = "PILOT-1", **fields: str) -> PemSigner:
        """Applied for, approved and issued."""
        request_id = self.apply(one, station, serial=serial, **fields)
        self.do(self.chief, "certs.approve", request_id)
        certificate, _ = self.bureau.certify(
            "张三", Role.STATION, one.key, institution_code=code(station), usb_key_serial=serial
        )
        self.do(self.clerk, "certs.issue", request_id, **self.bureau.issued(certificate))
        return PemSigner(certificate, one.key)

    def place(self, station: int = 1, serial: str = "PILOT-1") -> dict[str, str]:
        return {
            "institution_code": code(station),
            "terminal_id": "T1",
            "operator_id": "0001",
            "key_serial": serial,
        }

    def bound(self, one: Asked, station: int = 1, /, *, serial: str = "PILOT-1", **fields: str) -> PemSigner:
        signer = self.issued(one, station, serial=serial, **fields)
        self.both("certs.bind", signer.keyid, **self.place(station, serial))
        return signer

    def active(self, one: Asked, station: int = 1, /, *, serial: str = "PILOT-1", **fields: str) -> PemSigner:
        """A second certificate can only come to life at a place where the first has been frozen."""
        signer = self.bound(one, station, serial=serial, **fields)
        self.do(self.clerk, "certs.activate", signer.keyid)
        return signer

    def state(self, keyid: str) -> str:
        (row,) = self.house.rows_of(rows.RegisteredCertificate, "keyid = ?", keyid)
        return row.state

    def steps(self, subject: str) -> list[tuple[str, str, str, str]]:
        found = self.house.rows_of(rows.CertificateStep, "subject = ?", subject)
        assert [one.number for one in found] == list(range(1, len(found) + 1))
        return [(one.event, one.from_state, one.to_state, one.staff) for one in found]

    def speaks(self, keyid: str) -> str:
        """`ok`, or why this certificate may not sign a payment (whether the payment is taken is another question)."""
        (reply,) = self.house.batch([self.house.accept(arrival=self.house.arrival(keyid=keyid))])
        refused = isinstance(reply, items.Refusal) and reply.slug.startswith("certificate-")
        return reply.slug if refused else "ok"

    def free_place(self, station: int = 1) -> None:
        """The station's first certificate is frozen: another may be active there."""
        self.do(self.clerk, "certs.freeze", keyid_of(station))

    def second_certificate(self, of: Person) -> Person:
        """Another certificate of the same person, come to life in all order."""
        found = self.staff_bound(of.staff_id, of.signer.certificate.operator)
        self.do(self.clerk, "certs.activate", found.keyid)
        return found

    def third(self) -> Person:
        """One more person of the key office: one of the others may now go."""
        self.both("staff.add", "s-3", name="赵六", department=DEPARTMENT)
        found = self.staff_bound("s-3", "赵六")
        self.do(self.clerk, "certs.activate", found.keyid)
        return found

    def staff_issued(self, staff_id: str, name: str, serial: str = "") -> Person:
        """A person's certificate, applied for, approved and issued."""
        one = asked()
        fields = {"profile": "operator", "staff_id": staff_id, "csr": base64.b64encode(one.csr).decode()}
        fields |= {"key_serial": serial} if serial else {}
        request_id = self.do(self.clerk, "certs.apply", one.public_key_sha256, **fields).state
        self.do(self.chief, "certs.approve", request_id)
        certificate, _ = self.bureau.certify(name, key=one.key, usb_key_serial=serial)
        self.do(self.clerk, "certs.issue", request_id, **self.bureau.issued(certificate))
        return Person(staff_id, PemSigner(certificate, one.key))

    def staff_bound(self, staff_id: str, name: str, serial: str = "") -> Person:
        """The same, bound."""
        found = self.staff_issued(staff_id, name, serial)
        self.both("certs.bind", found.keyid, key_serial=serial, staff_id=staff_id)
        return found
