"""Whom a certificate names: taken from the register, never from a request."""

import re
import unicodedata
from dataclasses import dataclass

from certs.core.certificate_profiles import SUBJECT_FIELDS, CertificateProfile, Need

COUNTRY = "CN"
TEXT_MAX_BYTES = 64
"""UTF-8 bytes of each field: 21 Chinese characters. RFC 5280 appendix A.1 counts 64 characters, but there are readers,
cryptography among them, that count bytes and complain."""
_INSTITUTION_CODE = re.compile(r"[0-9]{6,14}")
_USB_KEY_SERIAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:/-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """organization, operator: free text. institution_code: 6-14 digits. usb_key_serial: A-Z a-z 0-9 . : / -

    "" for a field the name does not have.
    """

    organization: str
    operator: str
    institution_code: str = ""
    usb_key_serial: str = ""

    def wrong(self, profile: CertificateProfile) -> str | None:
        """The first field that is out of form, missing, or not of this profile, with the reason; None if all is right.

        Free text is 1-64 bytes of UTF-8 in NFC, without control, format or private characters and without space at its
        ends: two names that look alike must not differ.
        """
        for field in SUBJECT_FIELDS:
            need, given = profile.subject[field], bool(getattr(self, field))
            if need is Need.REQUIRED and not given:
                return f"{field}: a {profile.name} certificate needs it"
            if need is Need.NONE and given:
                return f"{field}: a {profile.name} certificate has none"
        for field in ("organization", "operator"):
            if not _is_text(getattr(self, field)):
                return (
                    f"{field}: 1-{TEXT_MAX_BYTES} bytes of UTF-8 (21 Chinese characters), plain, no space at the ends"
                )
        if self.institution_code and not _INSTITUTION_CODE.fullmatch(self.institution_code):
            return "institution_code: 6 to 14 digits"
        if self.usb_key_serial and not _USB_KEY_SERIAL.fullmatch(self.usb_key_serial):
            return "usb_key_serial: 1-64 of A-Z a-z 0-9 . : / -"
        return None


def _is_text(text: str) -> bool:
    if (
        not 1 <= len(text.encode("utf-8", "surrogatepass")) <= TEXT_MAX_BYTES
        or text != text.strip()
        or not unicodedata.is_normalized("NFC", text)
    ):
        return False
    return not any(unicodedata.category(one)[0] == "C" or one in "\u2028\u2029" for one in text)
