"""The pilot CA of `bianmin init`, demos and tests: the authority with its keys in memory and files, nothing known yet.

A bureau's own CA keeps the root offline and the issuing key in a token (certs/README.md).
"""

from datetime import datetime

from certs.authority.files import write_certificate, write_key, write_password
from certs.authority.issuing import Authority, make_issuing, make_key, make_root
from certs.authority.issuing import issue as issue_by_profile
from certs.authority.profiles import profile
from certs.core.certificates import Certificate, PublicKey, Role
from certs.core.subjects import Subject

__all__ = [
    "Authority",
    "issue",
    "make_issuing",
    "make_key",
    "make_root",
    "write_certificate",
    "write_key",
    "write_password",
]


def issue(
    issuing: Authority,
    role: Role,
    public_key: PublicKey,
    *,
    operator: str,
    institution_code: str = "",
    usb_key_serial: str = "",
    now: datetime,
) -> Certificate:
    """One leaf certificate of one role for a key made elsewhere, by the profile of that role's name.

    Raises ValueError (RequestRefused, IssueRefused) for a key outside the profile, or a subject field the role needs
    and does not get. No register is asked whether key or serial are known, and nobody for a proof of possession.
    """
    subject = Subject(
        organization=issuing.organization,
        operator=operator,
        institution_code=institution_code,
        usb_key_serial=usb_key_serial,
    )
    return issue_by_profile(issuing, profile(role), public_key, subject, now=now)
