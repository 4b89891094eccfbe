"""The demo's own folder: fresh each time, never somebody else's."""

import fcntl
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from gateway.demo.faults import DemoFault

MARK = ".bianmin-demo"
"""The file by which a folder is known to be a demo's; its lock says that one runs."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where things lie in the demo's folder."""

    root: Path

    @property
    def installation(self) -> Path:
        """What `bianmin init` makes."""
        return self.root / "gateway"

    @property
    def config(self) -> Path:
        """The gateway's configuration."""
        return self.installation / "bianmin.toml"

    @property
    def terminal(self) -> Path:
        """The first station's terminal."""
        return self.installation / "terminal.toml"

    @property
    def book(self) -> Path:
        """The simulator's book."""
        return self.root / "simulator.db"

    @property
    def summary(self) -> Path:
        """The result, for scripts (api s3)."""
        return self.root / "summary.json"

    @property
    def own_keys(self) -> Path:
        """What the shop that makes its own keys keeps: a token, or key files."""
        return self.root / "own-keys"

    @property
    def evidence(self) -> Path:
        """Folders for strangers: of one payment, of one day."""
        return self.root / "evidence"

    @property
    def tv_book(self) -> Path:
        """The book of the TV platform's simulator."""
        return self.root / "simulator-tv.db"

    def journal(self, name: str) -> Path:
        """A terminal's journal."""
        return self.root / "journals" / f"{name}.journal"

    def log(self, name: str) -> Path:
        """A child's output."""
        return self.root / "logs" / f"{name}.log"


class Folder:
    """Takes the folder on entering and holds its lock until the end."""

    def __init__(self, root: Path) -> None:
        self.layout = Layout(root.absolute())
        self._lock = -1

    def __enter__(self) -> Layout:
        root = self.layout.root
        if root.is_symlink() or (root.exists() and not root.is_dir()):
            raise DemoFault(f"{root} is not a folder")
        if root.exists() and any(root.iterdir()):
            if not (root / MARK).is_file():
                raise DemoFault(f"{root} holds something that is not a demo: it is left alone; give another --dir")
            self._take()
            for entry in root.iterdir():
                if entry.name != MARK:
                    _remove(entry)
        else:
            root.mkdir(parents=True, exist_ok=True)
            self._take()
        for name in ("logs", "journals", "evidence"):
            (root / name).mkdir()
        return self.layout

    def __exit__(self, *_: object) -> None:
        os.close(self._lock)

    def _take(self) -> None:
        self._lock = os.open(self.layout.root / MARK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise DemoFault(f"another demo runs in {self.layout.root}: end it first (Ctrl-C)") from None


def _remove(entry: Path) -> None:
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink()
