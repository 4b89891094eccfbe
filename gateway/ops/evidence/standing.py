"""How a certificate stood when it signed: the steps of its life in the book, and its CA's list that was in force."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from certs.core.certificates import Certificate, CertificateError, parse_certificate
from certs.core.chains import issuer_of
from gateway.core.rows import CertificateStep, RegisteredCertificate, RevocationList, Row
from gateway.store.port import Snapshot
from gateway.store.shapes import shape_of

R = TypeVar("R", bound=Row)
KEPT = 4096
"""Certificates held at once; a day may have any number of signers."""


@dataclass(frozen=True, slots=True)
class Signer:
    """One certificate that signed something. issuer: keyid of its issuing CA, "" where it is none of ours."""

    certificate: RegisteredCertificate
    parsed: Certificate
    issuer: str


class Standings:
    """Looks up signers and lists in one snapshot. issuings: the CAs of every period."""

    def __init__(self, snapshot: Snapshot, issuings: Sequence[Certificate]) -> None:
        self._snapshot, self._issuings = snapshot, tuple(issuings)
        self._signers: dict[str, Signer | None] = {}

    async def signer(self, keyid: str) -> Signer | None:
        """The certificate of a signature; None for one the book does not know."""
        if keyid not in self._signers:
            if len(self._signers) >= KEPT:
                self._signers.clear()
            self._signers[keyid] = await self._read(keyid)
        return self._signers[keyid]

    async def _read(self, keyid: str) -> Signer | None:
        rows: list[RegisteredCertificate] = await self._rows(RegisteredCertificate, "t.keyid = :keyid", keyid=keyid)
        if not rows:
            return None
        try:
            parsed = parse_certificate(rows[0].der)
        except CertificateError:
            return None
        issuer = issuer_of(parsed, self._issuings)
        return Signer(rows[0], parsed, "" if issuer is None else issuer.keyid)

    async def steps(self, keyid: str) -> list[CertificateStep]:
        """The certificate's life so far, in order."""
        return await self._rows(CertificateStep, "t.subject = :keyid ORDER BY t.number", keyid=keyid)

    async def list_at(self, issuer: str, at_ms: int) -> RevocationList | None:
        """The list of a CA that was in force at a moment: the newest that was published by then, if it still counted.

        Not by what the list says of itself: it is dated back a little, so a later one would seem to be of then.
        """
        where = "t.issuer_keyid = :issuer AND t.published_at <= :at ORDER BY t.number DESC LIMIT 1"
        rows: list[RevocationList] = await self._rows(RevocationList, where, issuer=issuer, at=at_ms)
        return rows[0] if rows and at_ms < rows[0].next_update else None

    async def _rows(self, row: type[R], where: str, **params: object) -> list[R]:
        shape = shape_of(row)
        columns = ", ".join(f"t.{name}" for name in shape.names)
        sql = f"SELECT {columns} FROM {row.TABLE} t WHERE {where}"  # noqa: S608 - names and texts of this file
        return [shape.build(values) async for part in self._snapshot.rows(sql, params) for values in part]  # type: ignore[misc]  # builds rows of R
