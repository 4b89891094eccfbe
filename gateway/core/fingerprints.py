"""What an idempotency key is bound to (M3): one function for taking a request and for auditing the book."""

import hashlib
from typing import Any

from contracts.strict_json import canonical


def request_hash(method: str, path: str, body: Any) -> bytes:
    """SHA-256 over method, path and decoded body (M3, worked example s3.1).

    path: without query. body: the document as plain JSON values, already found to be of its route's type. A member
    that is null is left out: only optional fields may be null, and for them null and absent are one request (0015).
    """
    members = {name: value for name, value in body.items() if value is not None} if isinstance(body, dict) else body
    return hashlib.sha256(canonical([method, path, members])).digest()
