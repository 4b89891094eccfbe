"""A whole gateway whose messages failed, and the staff who replay them, by their command lines."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gateway.config import build_env, load_config
from gateway.core.items import Kept
from gateway.core.letters import FoundLetter, KeepLetters
from gateway.ops.desk import open_desk
from tests.integration.certs.desk import say
from tests.stand.gateway import Stand

AMOUNT = 1_000
ACCOUNTS = {
    "paid": "13900010001",
    "paid-unheard": "13900010002",
    "unpaid-unheard": "13900010003",
    "waiting": "13900010004",
    "tombstone": "13900010005",
    "repeat": "13900010001",
}
"""What became of the payments of the story; the last is the account and amount of the first."""


class Staff:
    """Two people of an installation, and their commands."""

    def __init__(self, stand: Stand) -> None:
        self.stand = stand
        self.folder = stand.folder / "pilot"

    def who(self, number: int) -> list[str]:
        key = self.folder / "keys" / f"staff-{number}"
        password = self.folder / "secrets" / f"staff-{number}-key.password"
        return ["--as", f"{key}.cert.pem", "--key", f"{key}.key.pem", "--password-file", str(password)]

    def words(self, by: int, *words: str) -> list[str]:
        return [*words, *self.who(by), "--reason", "试验", "--config", str(self.stand.config_file)]

    def do(self, by: int, *words: str) -> tuple[int, str, str]:
        return say(self.words(by, *words))

    def done(self, by: int, *words: str) -> str:
        code, out, err = self.do(by, *words)
        assert code == 0, (words, out, err)
        return out

    def read(self, *words: str) -> Any:
        code, out, err = say([*words, "--json", "--config", str(self.stand.config_file)])
        assert code == 0, (words, out, err)
        return json.loads(out)

    def told(self, *words: str) -> str:
        code, out, err = say([*words, "--config", str(self.stand.config_file)])
        assert code == 0, (words, out, err)
        return out

    def plan(self, name: str, *filters: str) -> tuple[Path, dict[str, Any]]:
        file = self.stand.folder / f"{name}.plan"
        return file, self.read("ops", "replay", "plan", "--out", str(file), *filters)

    def approved(self, file: Path) -> None:
        """Asked for by the first, approved by the second."""
        deed = self.done(1, "ops", "replay", "request", str(file)).split()[-1]
        assert "is DONE" in self.done(2, "ops", "approve", deed)

    def started(self, by: int, plan: str, **environment: str) -> "subprocess.Popen[str]":
        """The run as a process of its own."""
        command = [str(Path(sys.executable).with_name("bianmin")), *self.words(by, "ops", "replay", "run", plan)]
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment}
        )


def faults(stand: Stand, *found: Mapping[str, Any]) -> None:
    stand.control("faults", {"faults": list(found)})


def pay(stand: Stand, *names: str, wait: int | None = None) -> dict[str, str]:
    """Serials of payments to these accounts, at once."""

    async def one(name: str) -> tuple[str, str]:
        reply = await stand.shop().pay(AMOUNT, biller_account=ACCOUNTS[name], wait=wait)
        assert reply.status in (201, 202), reply
        return name, str(reply.json["gateway_serial"])

    async def together() -> dict[str, str]:
        return dict(await asyncio.gather(*(one(name) for name in names)))

    return asyncio.run(together())


def until(condition: Callable[[], bool], what: str, seconds: float = 40) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, what
        time.sleep(0.1)


def state_of(stand: Stand, serial: str) -> str:
    ((state,),) = stand.sql(f"SELECT state FROM payments WHERE gateway_serial = '{serial}'")
    return str(state)


def fail_in_every_way(stand: Stand) -> dict[str, str]:
    """Payments that are final, in doubt (paid, and not paid) and unsent; then the partner is away."""
    serials = pay(stand, "paid", wait=20)
    until(lambda: state_of(stand, serials["paid"]) == "SUCCESS", "the first is paid")
    silent = {"on": "order/query", "kind": "cut-before", "times": None}
    unheard = {"on": "notice", "kind": "no-notice", "account": ACCOUNTS["paid-unheard"]}
    faults(stand, {"on": "topup/order", "kind": "paid-then-cut"}, unheard, silent)
    serials |= pay(stand, "paid-unheard")
    until(lambda: state_of(stand, serials["paid-unheard"]) == "UNKNOWN", "the second is in doubt")
    faults(stand, {"on": "topup/order", "kind": "cut-before"}, unheard, silent)
    serials |= pay(stand, "unpaid-unheard")
    until(lambda: state_of(stand, serials["unpaid-unheard"]) == "UNKNOWN", "the third is in doubt")
    stand.stop_simulator()
    return serials | pay(stand, "waiting", "tombstone", "repeat")


def messages(stand: Stand) -> dict[str, bytes]:
    """The request message of each payment's first order."""
    found: dict[str, bytes] = {}
    for _, payload in stand.sql("SELECT message_id, payload FROM outbox WHERE topic LIKE '%.request.%' ORDER BY 1"):
        told = json.loads(payload)
        if told["kind"] == "order":
            found.setdefault(told["gateway_serial"], bytes(payload))
    return found


def keep(stand: Stand, letters: Sequence[FoundLetter]) -> None:
    """Put letters into the book, past every bus."""
    config = load_config(stand.config_file, stand.adapters)

    async def run() -> None:
        async with open_desk(config, build_env(config, stand.adapters)) as desk:
            for at in range(0, len(letters), 100):
                reply = await desk.run(KeepLetters(letters=list(letters[at : at + 100]), entropy=at + 7))
                assert isinstance(reply, Kept)

    asyncio.run(run())


def letter(body: bytes, origin: str, reason: str = "replayed") -> FoundLetter:
    return FoundLetter(
        origin=origin, topic="bianmin.request.telecom", key=ACCOUNTS["paid"], body=body, reason=reason, worker="w"
    )
