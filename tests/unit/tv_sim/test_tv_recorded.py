"""The recorded requests, sent to the simulator in their order, are answered as recorded."""

import asyncio
import json
import zlib

from adapters.kit.control import Control
from adapters.kit.faults import Fault, Kind
from adapters.tv.simulator import Running
from tests.unit.tv.recorded import VECTORS, body, raw, reply
from tests.unit.tv_sim.speaking import exchange, http, token, under

DAY = 86_400


async def same(running: Running, number: int, access_token: bytes) -> None:
    status, headers, content = await exchange(running.port, under(raw(number, "request"), access_token))
    recorded = reply(number)
    assert (status, content) == (recorded.status, recorded.body), number
    for name in ("content-type", "content-length", "retry-after", "www-authenticate"):
        assert headers.get(name) == recorded.headers.get(name), (number, name)


async def test_every_vector(running: Running, control: Control) -> None:
    key = await token(running.port)
    status, _, content = await exchange(running.port, raw(2, "request"))
    assert (status, content) == (401, body(2, "reply"))
    for number in range(3, 17):
        await same(running, number, key)
    third = {
        "client_order_id": "20261124-01JDEMO0003",
        "account_no": "90000010",
        "product": "broadband",
        "amount_fen": 12_800,
        "shop_no": "JN00170023",
        "not_after": "2026-11-24T10:16:00+08:00",
    }
    assert (await exchange(running.port, http("POST", "/v1/orders", key, json.dumps(third).encode())))[0] == 202
    await asyncio.sleep(1.1)
    for number in range(17, 22):
        await same(running, number, key)
    await control.clock(DAY)
    key = await token(running.port)
    for number in (22, 23):
        await same(running, number, key)
    await control.decide("R-20261125-0002", 2)
    for number in (24, 25):
        await same(running, number, key)
    await day_files(running, control)


async def day_files(running: Running, control: Control) -> None:
    await control.clock(DAY * 2)
    key = await token(running.port)
    for day in ("2026-11-23", "2026-11-24", "2026-11-25"):
        _, _, manifest = await exchange(running.port, http("GET", f"/v1/day-files/{day}/manifest.json", key))
        recorded = json.loads((VECTORS / f"tv-{day}.manifest.json").read_bytes())
        told = json.loads(manifest)
        assert list(told) == list(recorded)
        # Only how hard the text was pressed is the packer's own.
        assert {k: v for k, v in told.items() if "gzip" not in k} == {
            k: v for k, v in recorded.items() if "gzip" not in k
        }
        status, headers, packed = await exchange(running.port, http("GET", f"/v1/day-files/{day}/{told['file']}", key))
        assert (status, headers["content-type"], len(packed)) == (200, "application/octet-stream", told["gzip_size"])
        assert zlib.decompress(packed, 31) == zlib.decompress((VECTORS / told["file"]).read_bytes(), 31)


async def test_not_ready_maintenance_and_revoked(running: Running, control: Control) -> None:
    key = await token(running.port)
    await same(running, 27, key)
    await control.set_faults(Fault("order", Kind.MAINTENANCE))
    await same(running, 29, key)
    running.platform.tokens.revoke()
    await same(running, 30, key)
    await control.set_faults(Fault("order", Kind.UNMAPPED_CODE))
    status, _, content = await exchange(running.port, under(raw(28, "request"), await token(running.port)))
    assert status == 202
    assert json.loads(content)["state"] == "SETTLED"
    (line,) = await control.book()
    assert (line.order_no, line.state) == ("20261124-01JDEMO0008", "pending")
