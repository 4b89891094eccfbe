"""What only the root's key signs: bringing people in, at the making of an installation and when too few are left."""

from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from certs.certificates import Certificate
from gateway.core.items_deeds import DEED_MAX
from gateway.core.root_deeds import FIELDS, LOST
from gateway.ops.shared import NotSo

if TYPE_CHECKING:
    from certs.authority.folder import Folder
    from certs.cli_ca import Secrets


@dataclass(frozen=True, slots=True, kw_only=True)
class Newcomer:
    """A person whom the root's key brings in. csr: DER of the request for the certificate's key."""

    staff_id: str
    name: str
    department: str
    certificate: Certificate
    csr: bytes


def fields_of(people: Sequence[Newcomer], lost: Sequence[str] = ()) -> dict[str, str]:
    """Fields of the deed, as `gateway.core.root_deeds` reads them. lost: staff ids and keyids."""
    fields = {LOST: " ".join(dict.fromkeys(lost))} if lost else {}
    for number, one in enumerate(people, 1):
        coded = (b64encode(one.certificate.der).decode(), b64encode(one.csr).decode())
        texts = (one.staff_id, one.name, one.department, *coded)
        fields |= {f"{name}_{number}": text for name, text in zip(FIELDS, texts, strict=True)}
    if sum(map(len, fields.values())) > DEED_MAX - 1024:
        raise NotSo("their certificates and requests do not fit in one deed: use smaller keys")
    return fields


@contextmanager
def root_signer(folder: "Folder", secrets: "Secrets") -> Iterator[Any]:
    """The root's key of an authority's folder as a signer, until the block ends. Raises KeyFileError, TokenFault."""
    from certs.authority.folder import opened_authority
    from certs.keys import PemSigner

    with opened_authority(folder, "root", folder.root, secrets) as root:
        yield PemSigner(root.certificate, root.key)


def request_of(file: Path, whose: str = "") -> bytes:
    """The DER of a certificate request in PEM or DER. Raises NotSo, naming file and person, for what is neither."""
    from certs.core.pem import PemError, is_pem, read_pem

    data = file.read_bytes()
    try:
        return read_pem(data, "CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST") if is_pem(data) else data
    except PemError as wrong:
        raise NotSo(f"{f'{whose}: ' if whose else ''}{file} is no certificate request: {wrong}") from wrong
