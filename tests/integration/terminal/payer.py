"""A process that pays once: `python -m tests.integration.terminal.payer CONFIG.toml`; says `ready` before it does."""

import asyncio
import sys
from pathlib import Path

from contracts.money import Fen
from gateway.terminal import Terminal, load_config
from tests.integration.terminal.clocks import FastClock


async def main() -> None:
    """Pay 100.00."""
    async with Terminal(load_config(Path(sys.argv[1])), FastClock()) as terminal:
        print("ready", flush=True)
        print(await terminal.pay("mobile.topup", "13805790001", Fen(10000)), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
