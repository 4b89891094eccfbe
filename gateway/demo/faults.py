"""What stops the demo, or makes it say no."""

from pathlib import Path


class DemoFault(Exception):
    """The demo cannot go on. log: the file that tells more."""

    def __init__(self, text: str, log: Path | None = None) -> None:
        super().__init__(f"{text}; see {log}" if log else text)
        self.log = log


class Mismatch(Exception):
    """A scenario did not do what it must; every difference is named."""
