"""Seals (M11): what was signed stays provable, offline and by strangers.

A record becomes a leaf when it is written; one sealer chains the leaves; a day's leaves make a Merkle tree; the
archive key signs a statement of the day. Every hash is SHA-256. A leaf hashes the record alone, so that sha256sum can
redo it; above it a first byte keeps the kinds of input apart, as RFC 6962 s2.1 does: 0x00 leaf in the tree,
0x01 node of the tree, and ours, 0x02 link of the chain.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

HASH_BYTES = 32
GENESIS = bytes(HASH_BYTES)
"""What the first link of the first day and the first day's statement name as their predecessor."""


class Side(StrEnum):
    """On which side of the running hash a sibling of a Merkle path stands."""

    LEFT = "left"
    RIGHT = "right"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What is kept of one signed message. received_at: RFC 3339 UTC text as stored. signature: raw bytes."""

    record_id: str
    kind: str
    received_at: str
    base: bytes = field(repr=False)
    signature: bytes = field(repr=False)
    body: bytes = field(repr=False)
    keyid: str


def record_bytes(record: Record) -> bytes:
    r"""The canonical encoding of a record: a first line, then each field under its name and length in bytes.

        bianmin-record-v1\n
        record_id LENGTH\nBYTES\n  kind …  received_at …  base …  signature …  body …  keyid …    (in this order)

    LENGTH is decimal without leading zeros; texts are UTF-8. Lengths come before the bytes, so no content can pass for
    structure. With each field in a file of its name, a shell rebuilds the leaf:

        { printf 'bianmin-record-v1\n'
          for f in record_id kind received_at base signature body keyid
          do printf '%s %d\n' $f $(wc -c <$f); cat $f; printf '\n'; done; } | sha256sum
    """
    record_id, kind = record.record_id.encode(), record.kind.encode()
    received_at, keyid = record.received_at.encode(), record.keyid.encode()
    base, signature, body = record.base, record.signature, record.body
    return (
        b"bianmin-record-v1\n"
        b"record_id %d\n%b\nkind %d\n%b\nreceived_at %d\n%b\n"
        b"base %d\n%b\nsignature %d\n%b\nbody %d\n%b\nkeyid %d\n%b\n"
    ) % (
        *(len(record_id), record_id, len(kind), kind, len(received_at), received_at),
        *(len(base), base, len(signature), signature, len(body), body, len(keyid), keyid),
    )


def leaf(record: Record) -> bytes:
    """The leaf of a record, 32 bytes: SHA-256 of record_bytes, stored in the commit the record belongs to."""
    return hashlib.sha256(record_bytes(record)).digest()


def chain(previous: bytes, leaf: bytes) -> bytes:
    """The next end of the chain: SHA-256(0x02 ‖ previous ‖ leaf), each 32 bytes.

    previous: the end so far, across days; GENESIS before the first link ever. Raises ValueError for other lengths.
    """
    _check_hashes(previous, leaf)
    return hashlib.sha256(b"\x02" + previous + leaf).digest()


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """The root over leaves of 32 bytes in the order they were sealed: the Merkle Tree Hash of RFC 6962 s2.1.

    Tree leaf: SHA-256(0x00 ‖ leaf). Node: SHA-256(0x01 ‖ left ‖ right). No leaves: SHA-256 of nothing. O(n).
    Raises ValueError for a leaf of another length.
    """
    if not leaves:
        return hashlib.sha256().digest()
    *_, top = _levels(leaves)
    return top[0]


class Frontier:
    """The Merkle tree of a day while it grows: about log2(n) hashes stand for all its leaves so far (RFC 6962 s2.1).

    Adding every leaf in order and asking for the root gives merkle_root of them, without holding them.
    """

    def __init__(self) -> None:
        self.count = 0
        self._peaks: list[bytes] = []  # of the perfect subtrees, the largest first: one for each bit of count

    @classmethod
    def read(cls, data: bytes) -> "Frontier":
        """What write() gave. Raises ValueError for anything else."""
        found = cls()
        found.count = int.from_bytes(data[:8], "big")
        found._peaks = [data[at : at + HASH_BYTES] for at in range(8, len(data), HASH_BYTES)]
        _check_hashes(*found._peaks)
        if len(data) < 8 or len(found._peaks) != found.count.bit_count():
            raise ValueError("not a frontier")
        return found

    def write(self) -> bytes:
        """Eight bytes of count, then the hashes."""
        return self.count.to_bytes(8, "big") + b"".join(self._peaks)

    def add(self, leaf: bytes) -> None:
        """The next leaf, 32 bytes. Raises ValueError for another length."""
        _check_hashes(leaf)
        node, size = tree_leaf(leaf), self.count
        while size & 1:
            node, size = tree_node(self._peaks.pop(), node), size >> 1
        self._peaks.append(node)
        self.count += 1

    def root(self) -> bytes:
        """The Merkle root of all leaves added; of none, SHA-256 of nothing."""
        if not self._peaks:
            return hashlib.sha256().digest()
        *higher, node = self._peaks
        for peak in reversed(higher):
            node = tree_node(peak, node)
        return node


class PathFinder:
    """The Merkle path of one leaf of a day, found while the day's leaves go by: in memory of log2(n)², not of n.

    Adding every leaf in order and asking for the path gives merkle_path(leaves, index).
    """

    def __init__(self, index: int) -> None:
        if index < 0:
            raise IndexError(f"no leaf {index}")
        self.count = 0
        self._index = index
        # The sibling at height h stands for the leaves that share all bits of their place above h with ours, not h.
        self._siblings: list[Frontier] = []

    def add(self, leaf: bytes) -> None:
        """The next leaf, 32 bytes. Raises ValueError for another length."""
        _check_hashes(leaf)
        height = (self.count ^ self._index).bit_length() - 1
        if height >= 0:
            while len(self._siblings) <= height:
                self._siblings.append(Frontier())
            self._siblings[height].add(leaf)
        self.count += 1

    def path(self) -> list[tuple[Side, bytes]]:
        """The siblings up to the root. Raises IndexError where the leaf has not come by."""
        if self.count <= self._index:
            raise IndexError(f"no leaf {self._index} among {self.count}")
        sides = [Side.LEFT if self._index >> height & 1 else Side.RIGHT for height in range(len(self._siblings))]
        return [(side, one.root()) for side, one in zip(sides, self._siblings, strict=True) if one.count]


def merkle_path(leaves: Sequence[bytes], index: int) -> list[tuple[Side, bytes]]:
    """The siblings from leaf `index` (from 0) up to the root, each with its side; about log2(n) of them.

    Raises IndexError outside the leaves, ValueError for a leaf of another length than 32 bytes.
    """
    if not 0 <= index < len(leaves):
        raise IndexError(f"no leaf {index} among {len(leaves)}")
    path: list[tuple[Side, bytes]] = []
    for level in _levels(leaves):
        if index & 1:
            path.append((Side.LEFT, level[index - 1]))
        elif index + 1 < len(level):
            path.append((Side.RIGHT, level[index + 1]))
        index >>= 1
    return path


def verify_path(leaf: bytes, path: Sequence[tuple[Side, bytes]], root: bytes, *, index: int, count: int) -> bool:
    """Whether `leaf` stands at `index` (from 0) of a day of `count` leaves with this root.

    count and root come from the day's signed statement. The path must have exactly the shape that index and count
    imply, so a node cannot pass for a leaf and a leaf cannot be shown at two places. A malformed path is False.
    """
    if not 0 <= index < count or any(len(one) != HASH_BYTES for one in (leaf, root, *(h for _, h in path))):
        return False
    if [side for side, _ in path] != list(_sides(index, count)):
        return False
    running = tree_leaf(leaf)
    for side, sibling in path:
        running = tree_node(sibling, running) if side is Side.LEFT else tree_node(running, sibling)
    return running == root


def day_statement(day: date, count: int, root: bytes, chain_end: bytes, previous_statement_hash: bytes) -> bytes:
    r"""The text the archive key signs when the next day begins: six lines, each ended by \n, ASCII.

        bianmin-day-v1
        day YYYY-MM-DD
        count N
        root HEX
        chain-end HEX
        previous HEX

    day: of sealing. count: leaves sealed that day. root: merkle_root of them. chain_end: after the last of them.
    previous_statement_hash: statement_hash of the day before; GENESIS for the first. Raises ValueError for a negative
    count or a hash that is not 32 bytes.
    """
    _check_hashes(root, chain_end, previous_statement_hash)
    if count < 0:
        raise ValueError("count must not be negative")
    return (
        f"bianmin-day-v1\nday {day:%Y-%m-%d}\ncount {count}\nroot {root.hex()}\n"
        f"chain-end {chain_end.hex()}\nprevious {previous_statement_hash.hex()}\n"
    ).encode("ascii")


def statement_hash(statement: bytes) -> bytes:
    """SHA-256 of a day's statement, which the next one names (what sha256sum prints for the file)."""
    return hashlib.sha256(statement).digest()


def tree_leaf(leaf: bytes) -> bytes:
    """What a record's leaf is in its day's tree (level 0): SHA-256(0x00 ‖ leaf)."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def tree_node(left: bytes, right: bytes) -> bytes:
    """What stands above two of them: SHA-256(0x01 ‖ left ‖ right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def _levels(leaves: Sequence[bytes]) -> Iterator[list[bytes]]:
    """Every level from the tree's leaves to its root. An odd last one moves up unchanged: RFC 6962's split by powers
    of two gives the same tree."""
    _check_hashes(*leaves)
    level = [tree_leaf(one) for one in leaves]
    yield level
    while len(level) > 1:
        above = [tree_node(level[at], level[at + 1]) for at in range(0, len(level) - 1, 2)]
        if len(level) & 1:
            above.append(level[-1])
        level = above
        yield level


def _sides(index: int, count: int) -> Iterator[Side]:
    while count > 1:
        if index & 1:
            yield Side.LEFT
        elif index + 1 < count:
            yield Side.RIGHT
        index, count = index >> 1, (count + 1) >> 1


def _check_hashes(*hashes: bytes) -> None:
    for one in hashes:  # a million records a minute come by here
        if len(one) != HASH_BYTES:
            raise ValueError(f"a hash must be {HASH_BYTES} bytes")
