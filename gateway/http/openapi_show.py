"""`GET /openapi.json`: the description of this API; unsigned."""

from functools import cache
from importlib.resources import files

from gateway.http.answers import Answer
from gateway.http.calls import Call, route


async def show(call: Call) -> Answer:
    """The file that was generated from the contract."""
    return Answer(200, _description())


@cache
def _description() -> bytes:
    return files("contracts").joinpath("openapi.json").read_bytes()


ROUTE = route("GET", "/openapi.json", show)
