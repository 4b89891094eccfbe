"""Folders that appear whole or not at all."""

import errno
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.store.port import StoreError


@contextmanager
def made_whole(folder: Path) -> Iterator[Path]:
    """Give an empty folder beside the wanted one; it gets its name when the block ends, and is gone where it fails.

    Readable by its owner only. Raises FileExistsError where `folder` exists: nothing is overwritten.
    """
    refuse_existing(folder)
    parent = folder.absolute().parent
    parent.mkdir(parents=True, exist_ok=True)
    made, named = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=parent)), False
    try:
        yield made
        # rename() would replace an empty folder that somebody made meanwhile; that one is not ours to take.
        refuse_existing(folder)
        made.rename(folder)
        named = True
    finally:
        if not named:
            shutil.rmtree(made)


@contextmanager
def kept_unless_refused(folder: Path) -> Iterator[None]:
    """Files that were made before the book was asked: they go where it refuses.

    Where the commit's answer is lost (StoreError in doubt) they stay: they may be all there is of what is in the book.
    """
    done = False
    try:
        yield
        done = True
    except StoreError as failed:
        done = failed.in_doubt
        raise
    finally:
        if not done:
            shutil.rmtree(folder)


def refuse_existing(folder: Path) -> None:
    """Raises FileExistsError for anything at this path, a dangling link included."""
    if folder.exists() or folder.is_symlink():
        raise FileExistsError(errno.EEXIST, "it exists; nothing is overwritten", str(folder))
