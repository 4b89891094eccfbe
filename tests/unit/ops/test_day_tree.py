"""A day's tree on disk gives the roots and paths of the one in memory."""

import hashlib

import pytest

from certs.core import seals
from gateway.ops.evidence.day import day_tree


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 13, 64, 65, 100])
def test_it_is_the_tree_in_memory(count: int) -> None:
    leaves = [hashlib.sha256(b"%d" % number).digest() for number in range(count)]
    with day_tree() as tree:
        for leaf in leaves:
            tree.add(leaf)
        assert tree.build() == seals.merkle_root(leaves)
        for index in range(count):
            assert list(tree.path(index)) == seals.merkle_path(leaves, index)


def test_no_leaves() -> None:
    with day_tree() as tree, pytest.raises(ValueError, match="without records"):
        tree.build()
