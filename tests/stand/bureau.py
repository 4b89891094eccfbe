"""A bureau beside a book: a CA, people of the staff with keys of their own, and short ways to do deeds."""

import base64
import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from certs.authority.issuing import make_issuing, make_key, make_root
from certs.authority.profiles import profiles
from certs.authority.requests import build_csr
from certs.certificates import Certificate, Role
from certs.core.certificate_requests import key_digest
from certs.core.pem import read_pem
from certs.core.renewals import renewal_text
from certs.keys import PemSigner
from certs.pilot import issue
from contracts.strict_json import canonical
from gateway.core.env import Env
from gateway.core.items_deeds import Act, Deed
from gateway.ops.certs.by_root import Newcomer, fields_of

DEPARTMENT = "电子商务中心"


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody of the staff, with the key he signs with."""

    staff_id: str
    signer: PemSigner
    key: Any = None

    @property
    def keyid(self) -> str:
        return self.signer.keyid


@dataclass(frozen=True, slots=True)
class Asked:
    """A key somebody wants a certificate for."""

    key: Any
    csr: bytes
    public_key_sha256: str


def asked() -> Asked:
    """A fresh key and its request."""
    key = make_key()
    csr = read_pem(build_csr(key), "CERTIFICATE REQUEST")
    return Asked(key, csr, key_digest(key.public_key()))


class Bureau:
    """now: the book's clock in ms."""

    def __init__(self, now: Callable[[], int]) -> None:
        self.now = now
        made = datetime.fromtimestamp(now() / 1000, UTC) - timedelta(days=1)
        self.root = make_root("示范县邮政局", made)
        self.issuing = make_issuing(self.root, made)
        self.clerk, self.chief = self.person("s-1", "李四"), self.person("s-2", "王五")
        self._nonces = itertools.count(1)

    def certify(self, operator: str, role: Role = Role.OPERATOR, key: Any = None, **subject: str) -> Any:
        """A certificate by the bureau's CA and its key."""
        key = key or make_key()
        at = datetime.fromtimestamp(self.now() / 1000, UTC)
        return issue(self.issuing, role, key.public_key(), operator=operator, now=at, **subject), key

    def known_to(self, env: Env, *issuings: Certificate) -> Env:
        """The same, with this bureau's CA as the installation's own; issuings: of other periods besides."""
        return dataclasses.replace(
            env,
            root=self.root.certificate,
            issuings=(self.issuing.certificate, *issuings),
            profiles=profiles(),
            pilot=True,
        )

    def first_staff(self) -> Act:
        """Clerk and chief, both of the key office, on the root's word."""
        return self.by_root("staff.found", self.newcomer(self.clerk, "李四"), self.newcomer(self.chief, "王五"))

    def by_root(self, action: str, *people: Newcomer, lost: Sequence[str] = (), **changes: Any) -> Act:
        """A deed of the root's key. lost: whose keys are gone, of a restoring one."""
        root = Person("root", PemSigner(self.root.certificate, self.root.key))
        return self.sign(root, self.deed(action, "46000000", fields=fields_of(people, lost), **changes))

    def newcomer(self, person: Person, name: str, department: str = DEPARTMENT) -> Newcomer:
        """A person as the root's key brings him in."""
        return Newcomer(
            staff_id=person.staff_id,
            name=name,
            department=department,
            certificate=person.signer.certificate,
            csr=read_pem(build_csr(person.key), "CERTIFICATE REQUEST"),
        )

    def person(self, staff_id: str, name: str) -> Person:
        """Somebody with a certificate that nobody has registered yet."""
        certificate, key = self.certify(name)
        return Person(staff_id, PemSigner(certificate, key), key)

    def deed(self, action: str, subject: str, *, fields: Mapping[str, str] | None = None, **changes: Any) -> Deed:
        values: dict[str, Any] = {
            "action": action,
            "subject": subject,
            "reason": "测试",
            "at": self.now(),
            "nonce": f"deed-nonce-{next(self._nonces):08d}",
            "fields": dict(fields or {}),
        }
        return Deed(**(values | changes))

    def act(self, who: Person, action: str, subject: str, **fields: str) -> Act:
        """A deed, signed."""
        return self.sign(who, self.deed(action, subject, fields=fields))

    def sign(self, who: Person, deed: Deed) -> Act:
        """This very deed, signed."""
        data = canonical(deed)
        number = next(self._nonces)
        return Act(
            arrival_id=f"deed-{number}", deed=data, signature=who.signer.sign(data), keyid=who.keyid, entropy=number
        )

    def application(self, one: Asked, code: str, *, serial: str = "PILOT-1", **fields: str) -> dict[str, str]:
        """Fields of an application for a station's certificate."""
        return {
            "profile": "station",
            "institution_code": code,
            "terminal_id": "T1",
            "operator_id": "0001",
            "key_serial": serial,
            "csr": base64.b64encode(one.csr).decode(),
        } | fields

    def renewal(self, old: PemSigner, one: Asked) -> dict[str, str]:
        """What an application to renew says besides."""
        signature = old.sign(renewal_text(old.keyid, one.csr))
        return {"renews": old.keyid, "renewal_signature": base64.b64encode(signature).decode()}

    def issued(self, certificate: Certificate) -> dict[str, str]:
        """Fields of the deed that registers a certificate."""
        return {
            "certificate": base64.b64encode(certificate.der).decode(),
            "issuer_keyid": self.issuing.certificate.keyid,
        }
