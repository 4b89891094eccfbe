"""What a kind of certificate looks like, as data: validity, usages, EKU, constraints, name form, keys, hash."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from certs.core.certificates import ROLE_OIDS, Role

KEY_USAGES = (
    "digitalSignature",
    "nonRepudiation",
    "keyEncipherment",
    "dataEncipherment",
    "keyAgreement",
    "keyCertSign",
    "cRLSign",
    "encipherOnly",
    "decipherOnly",
)
"""Bit 0 first (RFC 5280 s4.2.1.3)."""
KEY_KINDS = frozenset({"P-256", "RSA"})
SUBJECT_FIELDS = ("institution_code", "operator", "usb_key_serial")
_CA_USAGES, _LEAF_USAGES = frozenset({"keyCertSign", "cRLSign"}), frozenset({"digitalSignature", "nonRepudiation"})
_KEYS = frozenset("role ca path_length days days_min key_usage keys hash subject".split())


class Need(StrEnum):
    """Whether a name has a field."""

    REQUIRED = "required"
    OPTIONAL = "optional"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateProfile:
    """One kind of certificate. role, eku: None for an authority. days_min: see the TOML file.

    subject: a Need for each of SUBJECT_FIELDS; country and organization are always there.
    """

    name: str
    role: Role | None
    path_length: int | None
    days: int
    days_min: int
    key_usage: frozenset[str]
    keys: frozenset[str]
    hash: str
    subject: Mapping[str, Need]

    @property
    def ca(self) -> bool:
        """Whether it is an authority's."""
        return self.role is None

    @property
    def eku(self) -> str | None:
        """The one extended key usage, dotted."""
        return None if self.role is None else ROLE_OIDS[self.role]


def read_profiles(data: Mapping[str, Any]) -> dict[str, CertificateProfile]:
    """Check and take over the tables of a profile file, by name.

    Raises ValueError naming profile and key: unknown or missing keys, a CA with a role or a leaf without, usages that
    a CA or a leaf must not have, an unknown hash, days_min above days.
    """
    return {name: _read(name, table) for name, table in data.items()}


def _read(name: str, table: Mapping[str, Any]) -> CertificateProfile:
    def check(right: bool, what: str) -> None:
        if not right:
            raise ValueError(f"certificate profile {name}: {what}")

    check(set(table) <= _KEYS, f"unknown keys {sorted(set(table) - _KEYS)}")
    missing = {"days", "days_min", "key_usage", "keys", "hash", "subject"} - set(table)
    check(not missing, f"missing keys {sorted(missing)}")
    is_ca = table.get("ca", False)
    check(isinstance(is_ca, bool) and is_ca is ("role" not in table), "either ca = true or a role")
    check(is_ca is ("path_length" in table), "path_length belongs to authorities")
    check(table.get("role", "station") in tuple(Role), f"unknown role {table.get('role')!r}")
    length = table.get("path_length")
    check(length is None or (type(length) is int and 0 <= length <= 1), "path_length is 0 or 1")
    days, days_min = table["days"], table["days_min"]
    check(type(days) is int and type(days_min) is int and 0 < days_min <= days <= 7300, "0 < days_min <= days <= 7300")
    usages, keys = frozenset(table["key_usage"]), frozenset(table["keys"])
    check(bool(usages) and usages <= (_CA_USAGES if is_ca else _LEAF_USAGES), f"key_usage {sorted(usages)}")
    check(is_ca or "digitalSignature" in usages, "a leaf signs")
    check(bool(keys) and keys <= KEY_KINDS, f"keys are of {sorted(KEY_KINDS)}")
    check(table["hash"] == "sha256", "hash is sha256, the one every verifier of ours knows")
    subject = table["subject"]
    check(set(subject) == set(SUBJECT_FIELDS), f"subject has {', '.join(SUBJECT_FIELDS)}")
    check(all(value in tuple(Need) for value in subject.values()), f"subject fields are {', '.join(Need)}")
    check(subject["operator"] == Need.REQUIRED, "every name has an operator")
    return CertificateProfile(
        name=name,
        role=None if is_ca else Role(table["role"]),
        path_length=length,
        days=days,
        days_min=days_min,
        key_usage=usages,
        keys=keys,
        hash=table["hash"],
        subject={field: Need(subject[field]) for field in SUBJECT_FIELDS},
    )
