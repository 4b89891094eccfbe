"""Somebody of the staff signs his deeds with a USB key (SoftHSM)."""

import os
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from certs.keys import load_password, load_private_key
from tests.integration.certs.desk import Desk, say
from tests.stand.softhsm import PIN, SoftHsm


def pin_fd(pin: str) -> int:
    """A descriptor with this line."""
    out, into = os.pipe()
    os.write(into, f"{pin}\n".encode())
    os.close(into)
    return out


def test_deed_signed_in_the_token(hsm: SoftHsm, tmp_path: Path) -> None:
    desk = Desk(tmp_path / "site")
    keys = desk.folder / "keys"
    password = load_password(desk.folder / "secrets" / "staff-2-key.password")
    key = load_private_key(keys / "staff-2.key.pem", password)
    token = hsm.make_token("STAFF-2")
    hsm.import_key(token, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), key_id="02")
    plan = desk.done(1, "certs", "key", "receive", "UK-9").split()[-1]

    def approve(pin: str, *more: str) -> tuple[int, str, str]:
        words = ["ops", "approve", plan, "--module", str(hsm.module), "--token", "STAFF-2", "--reason", "核对无误"]
        return say([*words, *more, "--pin-fd", str(pin_fd(pin)), "--config", desk.config])

    cert = ("--as", str(keys / "staff-2.cert.pem"))
    code, _, err = approve("000000", *cert)
    assert (code, "口令" in err) == (1, True)
    # Another's certificate does not fit the key.
    assert approve(PIN, "--as", str(keys / "staff-1.cert.pem"))[0] == 1
    code, out, err = approve(PIN, *cert)
    assert (code, "is DONE" in out) == (0, True), err
    assert [(one["decided_by"], one["state"]) for one in desk.read("ops", "list", "--all")] == [("staff-2", "DONE")]
