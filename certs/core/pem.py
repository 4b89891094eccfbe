"""PEM, narrowed: one block, with nothing but white space around it (RFC 7468, strict)."""

import base64
import re

SIZE_MAX = 32 * 1024
_BLOCK = re.compile(
    rb"\s*-----BEGIN (?P<label>[A-Z0-9 ]{1,32})-----[ \t]*\r?\n"
    rb"(?P<text>[A-Za-z0-9+/=\s]+)-----END (?P=label)-----\s*"
)


class PemError(ValueError):
    """Not one PEM block of the kind that was asked for."""


def is_pem(data: bytes) -> bool:
    """Whether the bytes begin as PEM does; DER never does."""
    return data[:64].lstrip().startswith(b"-----")


def read_pem(data: bytes, *labels: str) -> bytes:
    """The bytes inside the one block, of at most SIZE_MAX bytes of text. Raises PemError for anything else."""
    if len(data) > SIZE_MAX:
        raise PemError(f"{len(data)} bytes are too many, at most {SIZE_MAX}")
    found = _BLOCK.fullmatch(data)
    if not found or found["label"].decode() not in labels:
        raise PemError(f"expected one PEM block of {' or '.join(labels)}, and nothing around it")
    try:
        return base64.b64decode(b"".join(found["text"].split()), validate=True)
    except ValueError as wrong:
        raise PemError("its base64 is broken") from wrong
