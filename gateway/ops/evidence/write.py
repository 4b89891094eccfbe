"""A bundle as files: what `verify.sh` beside them proves needs openssl, sha256sum and a POSIX shell only."""

import hashlib
import json
from importlib.resources import files
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from certs.certificates import parse_certificate
from certs.core.seals import Side
from gateway.core.env import rfc3339
from gateway.core.rows import Seal
from gateway.ops.evidence.collect import Bundle, Place
from gateway.ops.folders import made_whole

# The order of a record's own encoding (certs.core.seals.record_bytes).
FIELDS = ("record_id", "kind", "received_at", "base", "signature", "body", "keyid")


def write_bundle(bundle: Bundle, folder: Path, *, root: Path, issuing: Path) -> None:
    """Write the folder, which must not exist; it appears whole or not at all. Raises FileExistsError, OSError."""
    with made_whole(folder) as made:
        _fill(bundle, made, root=root, issuing=issuing)


def _fill(bundle: Bundle, folder: Path, *, root: Path, issuing: Path) -> None:
    about = json.dumps(bundle.about, ensure_ascii=False, indent=2, sort_keys=True) + "\n"
    (folder / "payment.json").write_text(about, encoding="utf-8")
    (folder / "root.cert.pem").write_bytes(root.read_bytes())
    (folder / "issuing.cert.pem").write_bytes(issuing.read_bytes())
    (folder / "certificates").mkdir()
    for keyid, der in bundle.certificates.items():
        pem = parse_certificate(der).parsed.public_bytes(Encoding.PEM)
        (folder / "certificates" / f"{keyid}.pem").write_bytes(pem)
    for place in bundle.places:
        _write_record(place, folder / "records" / place.record.record_id)
        if place.seal is not None:
            _write_day(place.seal, folder / "days" / place.seal.day)
    script = folder / "verify.sh"
    script.write_bytes(files("gateway.ops.evidence").joinpath("verify.sh").read_bytes())
    script.chmod(0o755)
    _write_sums(folder)


def _write_record(place: Place, folder: Path) -> None:
    record = place.record
    folder.mkdir(parents=True)
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
    if place.seal is None or record.day is None or record.position is None:
        return
    (folder / "day").write_text(record.day + "\n", encoding="ascii")
    (folder / "index").write_text(f"{record.position - 1}\n", encoding="ascii")
    lines = [f"{'L' if side is Side.LEFT else 'R'} {sibling.hex()}\n" for side, sibling in place.path]
    (folder / "path").write_text("".join(lines), encoding="ascii")


def _write_day(seal: Seal, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "statement").write_bytes(seal.statement)
    if seal.signature is not None and seal.keyid is not None and seal.signed_at is not None:
        (folder / "signature").write_bytes(seal.signature)
        (folder / "keyid").write_text(seal.keyid + "\n", encoding="ascii")
        (folder / "signed_at").write_text(rfc3339(seal.signed_at) + "\n", encoding="ascii")


def _write_sums(folder: Path) -> None:
    """SHA256SUMS of every other file: what no signature covers is at least as it was written."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder).as_posix()}\n" for path in paths
    ]
    (folder / "SHA256SUMS").write_text("".join(lines), encoding="utf-8")
