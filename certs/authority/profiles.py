"""The packaged certificate profiles, read once when first asked for."""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from certs.core.certificate_profiles import CertificateProfile, read_profiles


@cache
def profiles() -> Mapping[str, CertificateProfile]:
    """Every profile by name: root, issuing, station, operator, staff, partner, reply, archive."""
    text = files("certs.authority").joinpath("profiles.toml").read_text(encoding="utf-8")
    return MappingProxyType(read_profiles(tomllib.loads(text)))


def profile(name: str) -> CertificateProfile:
    """One profile. Raises KeyError for a name the file does not hold."""
    return profiles()[name]
