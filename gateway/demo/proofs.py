"""The day's evidence: folders for a stranger, verified with what the stranger has, a shell and openssl."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from gateway.demo.children import Child
from gateway.demo.system import System

VERIFY_S = 120.0
PROVEN = 0
_TOOLS = ("openssl", "sha256sum")


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """One folder of evidence. name: payment or day; subject: its serial, or the day. code, word: how verify.sh ended,
    and its last line; code None where it could not run here."""

    name: str
    subject: str
    folder: Path
    records: int
    code: int | None
    word: str

    @property
    def ok(self) -> bool:
        """Proven; or not judged, for want of tools."""
        return self.code in (PROVEN, None)


async def prove(system: System, name: str, subject: str) -> Proof:
    """Write the evidence of a payment or a day by `bianmin evidence`, and run its verify.sh. Raises DemoFault."""
    folder = system.layout.evidence / name
    about = ["--day", subject] if name == "day" else [subject]
    options = ["--out", str(folder), "--json", "--config", str(system.layout.config)]
    told = json.loads(await system.command(f"evidence-{name}", "evidence", *about, *options))
    code, word = await _verify(system, name, folder)
    return Proof(name=name, subject=subject, folder=folder, records=told["records"], code=code, word=word)


async def _verify(system: System, name: str, folder: Path) -> tuple[int | None, str]:
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    shell = shutil.which("sh")
    if missing or shell is None:
        return None, f"没有 {' '.join(missing)}，没有核验 not verified: {' '.join(missing)} is not installed"
    log = system.layout.log(f"verify-{name}")
    child = Child("verify.sh", [shell, str(folder / "verify.sh")], log, system.clock)
    try:
        said = await child.done(VERIFY_S, codes=(0, 1, 3))
        return child.ended(), (said.splitlines() or [""])[-1]
    finally:
        child.stop()
