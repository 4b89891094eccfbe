"""The bureau's two people at their desk: each step by the command that a clerk types, signed with his own key."""

import itertools
import re
from collections.abc import Sequence
from pathlib import Path

from certs.keys import load_certificate
from gateway.demo.faults import Mismatch
from gateway.demo.system import System

FIRST, SECOND = 1, 2


class Office:
    """Runs commands as one of the two people whom `bianmin init` registered. name: of its logs."""

    def __init__(self, system: System, name: str = "office") -> None:
        self._system, self._name, self._numbers = system, name, itertools.count(1)

    async def alone(self, person: int, reason: str, *words: str, codes: tuple[int, ...] = (0,)) -> str:
        """One person's deed; what the command said. Raises DemoFault where it ends with another code."""
        layout = self._system.layout
        keys, secrets = layout.installation / "keys", layout.installation / "secrets"
        who = ["--as", str(keys / f"staff-{person}.cert.pem"), "--key", str(keys / f"staff-{person}.key.pem")]
        who += ["--password-file", str(secrets / f"staff-{person}-key.password"), "--reason", reason]
        name = f"{self._name}-{next(self._numbers):02}-{'-'.join(words[:3] if words[1] == 'key' else words[:2])}"
        return await self._system.command(name, *words, *who, "--config", str(layout.config), codes=codes)

    async def both(self, reason: str, *words: str) -> None:
        """Prepared by one, approved by the other (M12)."""
        said = await self.alone(FIRST, reason, *words)
        plan = _found(r"bianmin ops approve ([0-9a-f]{64})", said)
        done = await self.alone(SECOND, reason, "ops", "approve", plan)
        if "is DONE" not in done:
            raise Mismatch(f"the plan {plan} was approved and not done: {done}")

    async def issued(self, apply: Sequence[str], out: Path) -> str:
        """From the request to the certificate in `out`: applied for, approved by another person, issued. Its keyid."""
        said = await self.alone(FIRST, "换发U盾证书", *apply)
        request_id = _found(r"^application ([^ ;]+);", said)
        await self.alone(SECOND, "已与服务站核对密钥指纹", "certs", "approve", request_id)
        await self.alone(FIRST, "已批准", "certs", "issue", request_id, "--out", str(out))
        return load_certificate(out).keyid

    async def activated(self, keyid: str, place: Sequence[str]) -> None:
        """From the certificate to one that may speak: bound by two people, activated."""
        await self.both("证书、U盾、终端、操作员绑定", "certs", "bind", keyid, *place)
        await self.alone(FIRST, "服务站已收到证书", "certs", "activate", keyid)


def _found(pattern: str, said: str) -> str:
    found = re.search(pattern, said, re.MULTILINE)
    if found is None:
        raise Mismatch(f"a command did not say {pattern!r} but: {said[:300]}")
    return found[1]
