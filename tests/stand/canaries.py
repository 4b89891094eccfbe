"""Values that no log line may hold, in every disguise that is trivially the same value; and who looks for them."""

import base64
import json
from collections.abc import Iterable, Iterator
from urllib.parse import quote

ACCOUNT = "13805791357"
BROADBAND = "KD0012345A"
CARD = "6217991234567890123"
NAME = "诸葛丹青"
LATIN_NAME = "Zhuge-Danqing"
SECRET = "Canary-Secret-of-no-digits"
TOKEN = "canaryToken_4f9a8b7c6d5eQ"
CANARIES = (ACCOUNT, BROADBAND, CARD, NAME, LATIN_NAME, SECRET, TOKEN)
WINDOW = 6
"""So many characters of an account in a row are more than the four that may be seen."""


def disguises(canary: str) -> Iterator[str]:
    """The value itself, escaped, and encoded: base64 at each of its three alignments, percent, hex, Python, JSON."""
    yield canary
    for charset in ("utf-8", "gbk", "utf-16-le"):
        raw = canary.encode(charset)
        yield raw.hex()
        yield "".join(f"%{byte:02X}" for byte in raw)
        yield quote(raw, safe="")
        yield repr(raw)[2:-1]
        yield raw.decode("latin-1")
        for shift in range(3):
            # What stands before shifts the groups of three; the characters shared with neighbours are left out.
            middle = base64.b64encode(b"\0" * shift + raw).decode().rstrip("=")[shift and shift + 1 : -1]
            yield middle
            yield middle.translate(str.maketrans("+/", "-_"))
    yield json.dumps(canary)[1:-1]


def leaks(output: str, canaries: Iterable[str] = CANARIES) -> list[str]:
    """Which canaries the output holds, in whatever disguise."""
    low = output.casefold()
    return sorted({canary for canary in canaries for form in disguises(canary) if form.casefold() in low})


def parts_told(output: str) -> list[str]:
    """Parts of accounts in the free texts of log lines (serials, trace ids and times are digits by right)."""
    windows = {text[at : at + WINDOW] for text in (ACCOUNT, BROADBAND, CARD) for at in range(len(text) - WINDOW + 1)}
    found = set()
    for line in output.splitlines():
        if line.startswith("{"):
            told = json.loads(line)
            text = f"{told.get('cause', '')} {told.get('outcome', '')} {told.get('terminal_id', '')}"
            found |= {window for window in windows if window in text}
    return sorted(found)
