"""What the commands about certificates read of the book, as rows."""

from collections.abc import Mapping
from typing import Any, TypeVar

from cryptography.hazmat.primitives.asymmetric import rsa

from certs.core.certificate_requests import KnownKeys
from certs.core.certificates import CertificateError, parse_certificate
from gateway.core.rows import RegisteredCertificate, Row
from gateway.ops.desk import Desk
from gateway.store.port import Snapshot
from gateway.store.shapes import shape_of

R = TypeVar("R", bound=Row)


async def rows_of(
    desk: Desk, kind: type[R], where: str = "1 = 1", params: Mapping[str, Any] | None = None, order: str = ""
) -> list[R]:
    """Rows of a table. where, order: our own SQL with :names."""
    shape = shape_of(kind)
    columns, by = ", ".join(shape.names), order or ", ".join(shape.key)
    sql = f"SELECT {columns} FROM {shape.table} WHERE {where} ORDER BY {by}"  # noqa: S608 - names and texts of our own

    async def use(snapshot: Snapshot) -> list[R]:
        return [shape.build(row) async for page in snapshot.rows(sql, params or {}) for row in page]  # type: ignore[misc]

    return await desk.snapshot(use)


async def known_keys(desk: Desk) -> KnownKeys:
    """Every key that was ever registered: none gets a second certificate, and no RSA one may share a factor."""
    rows = await rows_of(desk, RegisteredCertificate)
    moduli = []
    for row in rows:
        try:
            key = parse_certificate(row.der).public_key
        except CertificateError:
            continue
        if isinstance(key, rsa.RSAPublicKey):
            moduli.append(key.public_numbers().n)
    return KnownKeys(public_keys=frozenset(row.public_key_sha256 for row in rows), moduli=moduli)


async def serials_of(desk: Desk, issuer_keyid: str) -> frozenset[int]:
    """The serials that an issuing CA has used."""
    rows = await rows_of(desk, RegisteredCertificate, "issuer_keyid = :issuer", {"issuer": issuer_keyid})
    return frozenset(int(row.serial, 16) for row in rows if row.serial)
