"""The telecom top-up and bill platform (通信缴费充值平台): entry point `telecom`.

Importing it is cheap: the HTTP client and the code table are loaded by the first build() or text.
"""

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from adapters.telecom.config import Config
from adapters.telecom.manifest import MANIFEST
from contracts.biller import Adapter
from contracts.clock import Clock

if TYPE_CHECKING:
    from adapters.telecom.adapter import Telecom
    from adapters.transport.codes import CodeTable


@cache
def load_table() -> "CodeTable":
    """The packaged codes.toml, read once. Raises ValueError where it breaks the rules of adapters.transport.codes."""
    from adapters.transport.codes import load_codes

    return load_codes(files("adapters.telecom").joinpath("codes.toml").read_text(encoding="utf-8"))


def build(config: Config, clock: Clock) -> "Telecom":
    """A Telecom that has opened nothing yet."""
    from adapters.telecom.adapter import Telecom

    return Telecom(config, clock, manifest=MANIFEST, codes=load_table())


def shop_text(service: str, resp_code: str) -> str | None:
    """What to tell the shop about a code of this service: the payment's own table, then the bill query's."""
    payment = "topup" if service == "mobile.topup" else "pay"
    for flow in (payment, "bill") if payment == "pay" else (payment,):
        row = load_table().find(flow, resp_code)
        if row is not None and row.shop_text:
            return row.shop_text
    return None


def undo_text(service: str, resp_code: str) -> str | None:
    """What to tell the shop about the code of a refused reversal; one table for all services."""
    row = load_table().find("reverse", resp_code)
    return row.shop_text or None if row is not None else None


ADAPTER = Adapter(
    manifest=MANIFEST,
    config_type=Config,
    build=build,
    simulator="adapters.telecom.simulator",
    shop_text=shop_text,
    undo_text=undo_text,
)
"""The entry point `bianmin.adapters:telecom`."""
