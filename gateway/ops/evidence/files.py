"""The files of an evidence folder, one kind at a time; verify.sh reads them back.

contents         what the folder is, `payment SERIAL` or `whole day DAY`, and how many records it has
records/ID/      the seven fields of a record, its leaf, its place in its day, `crl`: the list in force when it came
days/DAY/        the day's statement, signature, keyid, signed_at, crl
certificates/    who signed. crls/: the lists named above. status/: each signer's life in the bureau's own book
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from certs.certificates import Certificate
from certs.core.revocation_lists import read_crl
from certs.core.seals import Side
from gateway.core.env import rfc3339
from gateway.core.kept_replies import SIGNED_REPLY
from gateway.core.rows import Record, Seal
from gateway.ops.evidence.standing import Standings

# The order of a record's own encoding (certs.core.seals.record_bytes).
FIELDS = ("record_id", "kind", "received_at", "base", "signature", "body", "keyid")
SIGNED_KINDS = frozenset({"request", "deed", SIGNED_REPLY})
"""Records that carry a signature of a certificate of ours: a station's, one of the staff, the gateway's reply key."""
_PIECE = 1 << 20
Path_ = Sequence[tuple[Side, bytes]]


class Folder:
    """Writes one evidence folder. issuings: CAs of every period, for the certificates that are met."""

    def __init__(self, folder: Path, standings: Standings) -> None:
        self.folder, self._standings = folder, standings
        self._met: set[str] = set()
        self._records = 0

    def trust(self, root: Path, issuing: Path) -> None:
        """The CA as of now; a stranger compares the root's fingerprint."""
        for name in ("certificates", "crls", "days", "records", "status"):
            (self.folder / name).mkdir()
        (self.folder / "root.cert.pem").write_bytes(root.read_bytes())
        (self.folder / "issuing.cert.pem").write_bytes(issuing.read_bytes())

    async def record(self, record: Record, seal: Seal | None, path: Path_ | None = None) -> None:
        """One record; seal: of its day, once that is closed. path: from its leaf to the day's root; None in the folder
        of a whole day, whose leaves give the root."""
        folder = self.folder / "records" / record.record_id
        folder.mkdir()
        self._records += 1
        values = {
            "record_id": record.record_id.encode(),
            "kind": record.kind.encode(),
            "received_at": rfc3339(record.received_at).encode(),
            "base": record.base,
            "signature": record.signature,
            "body": record.body,
            "keyid": (record.keyid or "").encode(),
        }
        for name in FIELDS:
            (folder / name).write_bytes(values[name])
        (folder / "leaf").write_text(record.leaf.hex() + "\n", encoding="ascii")
        if record.kind in SIGNED_KINDS and record.keyid:
            await self._signed(folder, record.keyid, record.received_at)
        if seal is None or record.day is None or record.position is None:
            return
        (folder / "day").write_text(record.day + "\n", encoding="ascii")
        (folder / "index").write_text(f"{record.position - 1}\n", encoding="ascii")
        if path is None:
            return
        lines = [f"{'L' if side is Side.LEFT else 'R'} {sibling.hex()}\n" for side, sibling in path]
        (folder / "path").write_text("".join(lines), encoding="ascii")

    async def day(self, seal: Seal) -> None:
        """A closed day, with its signature where it has one."""
        folder = self.folder / "days" / seal.day
        if folder.exists():
            return
        folder.mkdir()
        (folder / "statement").write_bytes(seal.statement)
        if seal.signature is not None and seal.keyid is not None and seal.signed_at is not None:
            (folder / "signature").write_bytes(seal.signature)
            (folder / "keyid").write_text(seal.keyid + "\n", encoding="ascii")
            (folder / "signed_at").write_text(rfc3339(seal.signed_at) + "\n", encoding="ascii")
            await self._signed(folder, seal.keyid, seal.signed_at)

    async def _signed(self, folder: Path, keyid: str, at_ms: int) -> None:
        """The signer's certificate and status, and the list that was in force when it signed."""
        signer = await self._standings.signer(keyid)
        if signer is None:
            return
        if keyid not in self._met:
            self._met.add(keyid)
            self._certificate(keyid, signer.parsed)
            lines = [
                f"{rfc3339(step.at)} {step.event} {step.from_state or '-'} {step.to_state} {step.staff}\n"
                for step in await self._standings.steps(keyid)
            ]
            (self.folder / "status" / keyid).write_text("".join(lines), encoding="utf-8")
        crl = await self._standings.list_at(signer.issuer, at_ms) if signer.issuer else None
        if crl is None:
            return
        name = f"{crl.issuer_keyid}-{crl.number}.pem"
        if name not in self._met:
            self._met.add(name)
            (self.folder / "crls" / name).write_bytes(read_crl(crl.der).parsed.public_bytes(Encoding.PEM))
        (folder / "crl").write_text(name + "\n", encoding="ascii")

    def _certificate(self, keyid: str, certificate: Certificate) -> None:
        pem = certificate.parsed.public_bytes(Encoding.PEM)
        (self.folder / "certificates" / f"{keyid}.pem").write_bytes(pem)

    def finish(self, what: str) -> None:
        """What it is, what verifies it, what explains it, and the sums of everything."""
        (self.folder / "contents").write_text(f"{what}\nrecords {self._records}\n", encoding="ascii")
        for name, mode in (("verify.sh", 0o755), ("VERIFY.md", 0o644)):
            file = self.folder / name
            file.write_bytes(files("gateway.ops.evidence").joinpath(name).read_bytes())
            file.chmod(mode)
        sums = self.folder / "SHA256SUMS"
        with sums.open("w", encoding="ascii") as out:
            for file, name in _walk(self.folder, ""):
                if file != sums:
                    out.write(f"{_sha256(file)}  {name}\n")


def script_sha256() -> str:
    """SHA-256 of the verify.sh that goes into every folder, hex: what a stranger compares his with."""
    return hashlib.sha256(files("gateway.ops.evidence").joinpath("verify.sh").read_bytes()).hexdigest()


def _walk(folder: Path, prefix: str) -> Iterator[tuple[Path, str]]:
    """Every file with its path from the top, in the order of those paths as bytes; no more than one level is held."""
    with os.scandir(folder) as entries:
        names = sorted(f"{one.name}/" if one.is_dir(follow_symlinks=False) else one.name for one in entries)
    for name in names:
        if name.endswith("/"):
            yield from _walk(folder / name[:-1], prefix + name)
        else:
            yield folder / name, prefix + name


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as data:
        while piece := data.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()
