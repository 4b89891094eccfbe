"""Seals: leaves a stranger can rebuild, a chain, a tree, a day's statement."""

import hashlib
import subprocess
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certs.core.seals import (
    GENESIS,
    Frontier,
    PathFinder,
    Record,
    Side,
    chain,
    day_statement,
    leaf,
    merkle_path,
    merkle_root,
    record_bytes,
    statement_hash,
    verify_path,
)

RECORD = Record(
    record_id="20261124ABCDEFGH12345678",
    kind="request",
    received_at="2026-11-24T00:00:00.123456Z",
    base=b'"@method": POST\n"@path": /v1/payments',
    signature=bytes(range(64)),
    body=b'{"a":1}\nkeyid 3\nabc\n\x00\xff',
    keyid="ab" * 32,
)
FIELDS = ("record_id", "kind", "received_at", "base", "signature", "body", "keyid")
LEAVES = st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=70)


def test_the_encoding_is_as_documented() -> None:
    small = Record(record_id="1", kind="reply", received_at="t", base=b"b\n", signature=b"\x00", body=b"", keyid="é")
    assert record_bytes(small) == (
        b"bianmin-record-v1\nrecord_id 1\n1\nkind 5\nreply\nreceived_at 1\nt\n"
        b"base 2\nb\n\nsignature 1\n\x00\nbody 0\n\nkeyid 2\n\xc3\xa9\n"
    )
    assert leaf(small) == hashlib.sha256(record_bytes(small)).digest()


def test_a_stranger_rebuilds_the_leaf_in_a_shell(tmp_path: Path) -> None:
    for name in FIELDS:
        value = getattr(RECORD, name)
        (tmp_path / name).write_bytes(value if isinstance(value, bytes) else value.encode())
    documented = [line for line in (record_bytes.__doc__ or "").splitlines() if line.startswith("        ")]
    script = "\n".join(documented[2:])
    assert script.strip().startswith("{ printf")
    printed = subprocess.run(["sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert printed.split()[0] == leaf(RECORD).hex()


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_counts(name: str) -> None:
    value = getattr(RECORD, name)
    changed = replace(RECORD, **{name: value + (b"x" if isinstance(value, bytes) else "x")})
    assert leaf(changed) != leaf(RECORD)


@given(*[st.binary(max_size=30) | st.sampled_from([b"\nbody 0\n", b" 1\n", b"signature 2\nab\n"]) for _ in range(4)])
def test_no_content_passes_for_structure(base: bytes, body: bytes, base2: bytes, body2: bytes) -> None:
    one, two = replace(RECORD, base=base, body=body), replace(RECORD, base=base2, body=body2)
    assert (record_bytes(one) == record_bytes(two)) == (one == two)


def test_chain() -> None:
    one, two = leaf(RECORD), hashlib.sha256(b"2").digest()
    assert chain(GENESIS, one) == hashlib.sha256(b"\x02" + bytes(32) + one).digest()
    assert chain(chain(GENESIS, one), two) != chain(chain(GENESIS, two), one)
    for wrong in (b"", bytes(31), bytes(33)):
        with pytest.raises(ValueError):
            chain(wrong, one)
        with pytest.raises(ValueError):
            chain(one, wrong)


def rfc6962_root(leaves: list[bytes]) -> bytes:
    """The Merkle Tree Hash, word by word from RFC 6962 s2.1."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    return hashlib.sha256(b"\x01" + rfc6962_root(leaves[:split]) + rfc6962_root(leaves[split:])).digest()


def rfc6962_path(index: int, leaves: list[bytes]) -> list[bytes]:
    """The audit path, word by word from RFC 6962 s2.1.1."""
    if len(leaves) == 1:
        return []
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    if index < split:
        return [*rfc6962_path(index, leaves[:split]), rfc6962_root(leaves[split:])]
    return [*rfc6962_path(index - split, leaves[split:]), rfc6962_root(leaves[:split])]


def test_empty_day() -> None:
    assert merkle_root([]) == rfc6962_root([])
    with pytest.raises(IndexError):
        merkle_path([], 0)


def test_every_size_up_to_forty() -> None:
    leaves = [hashlib.sha256(bytes([number])).digest() for number in range(40)]
    for count in range(1, 41):
        root = merkle_root(leaves[:count])
        assert root == rfc6962_root(leaves[:count])
        for index in range(count):
            path = merkle_path(leaves[:count], index)
            assert [sibling for _, sibling in path] == rfc6962_path(index, leaves[:count])
            assert verify_path(leaves[index], path, root, index=index, count=count)


@given(LEAVES, st.data())
def test_a_path_proves_one_leaf_at_one_place(leaves: list[bytes], data: st.DataObject) -> None:
    count = len(leaves)
    index, other = (data.draw(st.integers(0, count - 1)) for _ in range(2))
    root, path = merkle_root(leaves), merkle_path(leaves, index)
    assert len(path) <= (count - 1).bit_length()
    assert verify_path(leaves[index], path, root, index=index, count=count)
    assert verify_path(leaves[other], path, root, index=index, count=count) == (leaves[other] == leaves[index])
    if other != index and leaves.count(leaves[index]) == 1:
        assert not verify_path(leaves[index], path, root, index=other, count=count)
    assert not verify_path(leaves[index], path, bytes(32), index=index, count=count)
    assert not verify_path(leaves[index], [*path, (Side.LEFT, bytes(32))], root, index=index, count=count)
    for at, (side, sibling) in enumerate(path):
        turned = Side.LEFT if side is Side.RIGHT else Side.RIGHT
        flipped = bytes([sibling[0] ^ 1]) + sibling[1:]
        for wrong in ((turned, sibling), (side, flipped), (side, sibling[:-1])):
            changed = [*path[:at], wrong, *path[at + 1 :]]
            assert not verify_path(leaves[index], changed, root, index=index, count=count)
        assert not verify_path(leaves[index], path[:at] + path[at + 1 :], root, index=index, count=count)


def test_a_node_does_not_pass_for_a_leaf() -> None:
    leaves = [hashlib.sha256(bytes([number])).digest() for number in range(4)]
    root, path = merkle_root(leaves), merkle_path(leaves, 0)
    inner = hashlib.sha256(
        b"\x01" + hashlib.sha256(b"\x00" + leaves[0]).digest() + hashlib.sha256(b"\x00" + leaves[1]).digest()
    ).digest()
    assert not verify_path(inner, path[1:], root, index=0, count=2)
    assert not verify_path(inner, path[1:], root, index=0, count=4)


@pytest.mark.parametrize(("index", "count"), [(-1, 3), (3, 3), (0, 0), (0, 4), (0, 2), (1, 3)])
def test_another_place_or_size(index: int, count: int) -> None:
    leaves = [hashlib.sha256(bytes([number])).digest() for number in range(3)]
    path = merkle_path(leaves, 2)
    assert verify_path(leaves[2], path, merkle_root(leaves), index=2, count=3)
    assert not verify_path(leaves[2], path, merkle_root(leaves), index=index, count=count)
    for lone in ((1, 1), (0, 0), (-1, 1)):
        assert not verify_path(leaves[0], [], merkle_root(leaves[:1]), index=lone[0], count=lone[1])
    for wrong in (-1, 3):
        with pytest.raises(IndexError):
            merkle_path(leaves, wrong)


def test_leaves_have_one_length() -> None:
    with pytest.raises(ValueError):
        merkle_root([bytes(32), bytes(31)])
    with pytest.raises(ValueError):
        merkle_path([bytes(33)], 0)


def test_day_statement() -> None:
    root, end = hashlib.sha256(b"r").digest(), hashlib.sha256(b"e").digest()
    first = day_statement(date(2026, 11, 24), 3, root, end, GENESIS)
    assert first == (
        f"bianmin-day-v1\nday 2026-11-24\ncount 3\nroot {root.hex()}\nchain-end {end.hex()}\nprevious {'0' * 64}\n"
    ).encode("ascii")
    second = day_statement(date(2026, 11, 25), 0, merkle_root([]), end, statement_hash(first))
    assert second.decode().splitlines()[-1] == f"previous {hashlib.sha256(first).hexdigest()}"
    for wrong in ((-1, root, end, GENESIS), (1, root[1:], end, GENESIS), (1, root, end, b"")):
        with pytest.raises(ValueError):
            day_statement(date(2026, 11, 24), *wrong)


@given(st.lists(st.binary(min_size=32, max_size=32), max_size=70))
def test_a_tree_that_grows_has_the_root_of_all_its_leaves(leaves: list[bytes]) -> None:
    """Kept as a handful of hashes between any two leaves, as the sealer does."""
    tree = Frontier()
    for each in leaves:
        tree.add(each)
        tree = Frontier.read(tree.write())
    assert (tree.count, tree.root()) == (len(leaves), merkle_root(leaves))


@pytest.mark.parametrize(
    "data", [b"", b"1234567", bytes(7) + b"\x01", bytes(7) + b"\x03" + bytes(32), bytes(8) + bytes(31)]
)
def test_what_is_no_frontier_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"frontier|32 bytes"):
        Frontier.read(data)


@given(st.integers(0, 70), st.data())
def test_a_path_found_on_the_way_is_the_path(count: int, data: st.DataObject) -> None:
    leaves = [hashlib.sha256(b"%d" % number).digest() for number in range(count + 1)]
    index = data.draw(st.integers(0, count))
    finder = PathFinder(index)
    for one in leaves:
        finder.add(one)
    assert finder.path() == merkle_path(leaves, index)


def test_a_path_of_no_leaf() -> None:
    finder = PathFinder(1)
    finder.add(bytes(32))
    with pytest.raises(IndexError):
        finder.path()
    with pytest.raises(IndexError):
        PathFinder(-1)
