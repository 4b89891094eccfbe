"""One payment's life: every moment the book holds, in order, and the same trace from terminal to biller."""

import json
from pathlib import Path

import pytest

from contracts.serials import mint_serial
from contracts.traces import span_id
from gateway.core.items import MarkPublished
from gateway.ops.evidence.collect import collect
from gateway.ops.life import Moment, life_of, messages_of
from gateway.store.port import Snapshot
from gateway.store.sqlite.readers import take_snapshot
from tests.integration.ops.story import Story


@pytest.fixture
def story(tmp_path: Path) -> Story:
    return Story(tmp_path)


async def life(story: Story, name: str) -> list[Moment]:
    async def read(snapshot: Snapshot) -> list[Moment]:
        bundle = await collect(snapshot, story.payments[name].gateway_serial)
        assert bundle is not None
        return life_of(bundle, await messages_of(snapshot, bundle, story.house.env.zone))

    return await take_snapshot(story.house.engine.path, read)


async def test_a_reversed_payment_from_request_to_end(story: Story) -> None:
    moments = await life(story, "reversed")
    assert [moment.at for moment in moments] == sorted(moment.at for moment in moments)
    told = [(m.what, m.told.get("kind") or m.told.get("recipe") or m.told.get("outcome") or "") for m in moments]
    for expected in (
        ("record", "request"),
        ("accepted", "PAY"),
        ("order", "PAY"),
        ("answered", "Unknown"),
        ("order", "REVERSE"),
        ("answered", "Undone"),
        ("posted", "R01"),
        ("order-ended", "REVERSE"),
    ):
        assert expected in told, told
    assert told.index(("accepted", "PAY")) < told.index(("order", "REVERSE")) < told.index(("answered", "Undone"))
    assert [m.told["state"] for m in moments if m.what == "final"] == ["REVERSED"]
    schemas = [m.told["schema"].split(".")[1] for m in moments if m.what == "message"]
    assert schemas.count("request") == 2, "one for the payment, one for its reversal"
    assert "result" in schemas


async def test_messages_of_other_payments_in_the_same_millisecond_stay_away(story: Story) -> None:
    """Each life names its own messages only, and when they were published."""
    serial = story.payments["reserved"].gateway_serial
    house = story.house
    rows = house.sql("SELECT message_id FROM outbox WHERE created_at = ?", story.payments["reserved"].accepted_at)
    assert len(rows) > 1, "otherwise this shows nothing"
    house.batch([MarkPublished(message_ids=[row[0] for row in rows])])
    moments = await life(story, "reserved")
    messages = [m for m in moments if m.what == "message"]
    published = [m for m in moments if m.what == "published"]
    assert len(messages) == len(published) == 1
    assert messages[0].span == span_id(messages[0].told["message_id"])
    (payload,) = house.sql("SELECT payload FROM outbox WHERE message_id = ?", messages[0].told["message_id"])[0]
    assert json.loads(payload)["gateway_serial"] == serial
    assert json.loads(payload)["traceparent"].split("-")[2] == messages[0].span


def test_the_bounds_hold_every_serial_of_a_millisecond(story: Story) -> None:
    zone, at = story.house.env.zone, story.house.now
    first, last = mint_serial(at, zone, 0), mint_serial(at, zone, 2**32 - 1)
    assert mint_serial(at - 1, zone, 2**32 - 1) < first <= mint_serial(at, zone, 12345) <= last
    assert last < mint_serial(at + 1, zone, 0)
