"""Whether the USB key of a certificate is where it must be: handed out to the very holder of the certificate (CERT-04).

One look for everything that gives a certificate power: bind, activate, unfreeze. It locks the key's row, as whoever
reports the key lost does: the later of the two sees what the other did.
"""

from certs.core.certificates import CertificateError, parse_certificate
from certs.core.life import LIVE
from gateway.core.items import Refusal
from gateway.core.rows import RegisteredCertificate, UsbKey
from gateway.core.scene import Scene, conflict
from gateway.core.steps import Read, Work

PILOT_KEY = "PILOT-"
"""How the serial of a key begins that lies in a file, with no USB key in the stock register."""
Holder = tuple[str, str]
"""Institution code and operator's name of a station's certificate; "" and the staff id of a person's."""
AT_HAND = ("IN_STOCK", "HANDING_OUT", "ISSUED")
"""Of a key for which a certificate may be applied for: it can be personalised before it is handed out."""


def holder_of(certificate: RegisteredCertificate) -> Holder:
    """To whom the key of this certificate must have been handed out."""
    if certificate.staff_id is not None:
        return "", certificate.staff_id
    try:
        read = parse_certificate(certificate.der)
    except CertificateError:
        return "", ""
    return read.institution_code, read.operator


def key_in_hand(scene: Scene, serial: str, holder: Holder, *, may_wait: bool = False) -> Work[Refusal | None]:
    """None where the holder has the key. may_wait: it may still be in stock, or be set aside for him.

    No serial: a key file of a person. `PILOT-…`: a key file of a station, only where the installation is a pilot and no
    USB key of that serial was ever received.
    """
    if not serial:
        return None
    key = yield from find_key(scene, serial)
    if key is None:
        if not serial.startswith(PILOT_KEY):
            return conflict(f"USB key {serial} is not in the stock register.")
        if not scene.env.pilot:
            return conflict(f"{serial} is of a key file: only an installation with its issuing key beside it has such.")
        return None
    if may_wait and key.state == "IN_STOCK":
        return None
    if key.state not in (AT_HAND if may_wait else ("ISSUED",)):
        return conflict(f"USB key {serial} is {key.state}.")
    if (key.institution_code, key.holder) != holder:
        had = f"{key.institution_code} {key.holder}".strip()
        return conflict(f"USB key {serial} was handed out to {had}, not to {' '.join(holder).strip()}.")
    return None


def find_key(scene: Scene, serial: str) -> Work[UsbKey | None]:
    """A USB key as it stands, locked."""
    scene.book.load((yield Read("usb_keys_locked", [(serial,)])))
    return scene.book.get(UsbKey, serial)


def certificates_in(scene: Scene, serial: str) -> Work[list[RegisteredCertificate]]:
    """Every certificate whose private key lies in this USB key."""
    scene.book.load((yield Read("certificates_in_key", [(serial,)])))
    return [one for one in scene.book.all(RegisteredCertificate) if one.key_serial == serial]


def live_in(scene: Scene, serial: str) -> Work[list[RegisteredCertificate]]:
    """Those of them that are active or may become so."""
    return [one for one in (yield from certificates_in(scene, serial)) if one.state in LIVE]
