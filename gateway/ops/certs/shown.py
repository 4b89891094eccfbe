"""A signed plan as people read it before they approve it: what lies in base64 there is told in words."""

import hashlib
from base64 import b64decode
from collections.abc import Iterator, Mapping
from typing import Any

from certs.core.algorithms import read_dates
from certs.core.certificate_requests import KnownKeys, RequestRefused, read_request
from certs.core.certificates import CertificateError, parse_certificate


def in_words(plan: Mapping[str, Any]) -> Iterator[str]:
    """Lines: what the deed says, then its fields; what is empty is left out."""
    yield "plan:"
    for name, value in plan.items():
        if name != "fields" and value:
            yield f"  {name}: {value}"
    for name, value in plan.get("fields", {}).items():
        told = _TOLD.get(name)
        if not value:
            continue
        if told is None:
            yield f"  {name}: {value}"
            continue
        yield f"  {name}:"
        try:
            said = told(b64decode(value, validate=True))
        except (ValueError, RequestRefused) as wrong:
            said = {"unreadable": str(wrong)}
        yield from (f"    {key}: {text}" for key, text in said.items() if text)


def _certificate(der: bytes) -> dict[str, str]:
    read = read_dates(der)
    try:
        own = parse_certificate(der)
    except CertificateError:
        # Of a kind that is only watched (SM2).
        own = None
    return {
        "subject": read.subject,
        "role": str(own.role or "") if own is not None else "",
        "key serial": own.usb_key_serial if own is not None else "",
        "valid": f"{read.not_before:%Y-%m-%d} to {read.not_after:%Y-%m-%d}",
        "SHA-256": read.keyid,
    }


def _request(der: bytes) -> dict[str, str]:
    return {
        "SHA-256": hashlib.sha256(der).hexdigest(),
        "key's SHA-256": read_request(der, KnownKeys()).public_key_sha256,
    }


_TOLD = {"certificate": _certificate, "csr": _request}
"""Fields that are DER in base64."""
