"""Cable TV and broadband (有线电视、宽带缴费): entry point `tv`.

Importing it is cheap: the HTTP client and the code table are loaded by the first build() or text.
"""

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from adapters.tv.config import Config
from adapters.tv.manifest import MANIFEST
from contracts.biller import Adapter
from contracts.clock import Clock

if TYPE_CHECKING:
    from adapters.transport.codes import CodeTable
    from adapters.tv.adapter import Tv


@cache
def load_table() -> "CodeTable":
    """The packaged codes.toml, read once. Raises ValueError where it breaks the rules of adapters.transport.codes."""
    from adapters.transport.codes import load_codes

    return load_codes(files("adapters.tv").joinpath("codes.toml").read_text(encoding="utf-8"))


def build(config: Config, clock: Clock) -> "Tv":
    """A Tv that has opened nothing yet."""
    from adapters.tv.adapter import Tv

    return Tv(config, clock, manifest=MANIFEST, codes=load_table())


def shop_text(service: str, resp_code: str) -> str | None:
    """What to tell the shop about a refusal, a failure_code, or a bill query's code."""
    rows = (load_table().find(flow, resp_code) for flow in ("pay", "failure", "bill"))
    return next((row.shop_text for row in rows if row is not None and row.shop_text), None)


ADAPTER = Adapter(
    manifest=MANIFEST, config_type=Config, build=build, simulator="adapters.tv.simulator", shop_text=shop_text
)
"""The entry point `bianmin.adapters:tv`."""
