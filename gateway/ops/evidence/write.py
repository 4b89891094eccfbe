"""The evidence of one payment as a folder: what `verify.sh` in it proves needs openssl, sha256sum and a shell only."""

import json
from pathlib import Path

from certs.keys import load_certificates
from gateway.ops.evidence.collect import Bundle
from gateway.ops.evidence.files import Folder
from gateway.ops.evidence.rulings import write_attachments
from gateway.ops.evidence.standing import Standings
from gateway.ops.folders import made_whole
from gateway.store.port import Snapshot


async def write_bundle(snapshot: Snapshot, bundle: Bundle, folder: Path, *, root: Path, issuing: Path) -> None:
    """Write the folder, which must not exist; it appears whole or not at all. snapshot: the bundle's own.

    issuing: the issuing CAs of every period. Raises FileExistsError, OSError, KeyFileError.
    """
    standings = Standings(snapshot, load_certificates(issuing))
    with made_whole(folder) as made:
        about = json.dumps(bundle.about, ensure_ascii=False, indent=2, sort_keys=True) + "\n"
        (made / "payment.json").write_text(about, encoding="utf-8")
        out = Folder(made, standings)
        out.trust(root, issuing)
        for place in bundle.places:
            await out.record(place.record, place.seal, place.path)
            if place.seal is not None:
                await out.day(place.seal)
        await write_attachments(snapshot, bundle.about["rulings"], made)
        out.finish(f"payment {bundle.payment.gateway_serial}")
