"""One place makes the documents."""

import msgspec
import pytest

from contracts.problems import PROBLEMS
from gateway.core.items import Refusal
from gateway.http.problems import BadRequest, refuse, refuse_error
from gateway.store.port import ItemTooLarge, LostRace, StoreBusy, StoreFull, UnitFailed

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def test_the_worked_example() -> None:
    """worked-example s5.5, byte for byte."""
    refusal = Refusal(
        slug="station-suspended",
        detail="An open receivable of 5600 fen must be covered by a deposit or top-up first.",
        shop_text="本站有欠款56.00元，暂停收费。请先充值，到账后自动恢复。",
    )
    answer = refuse(refusal, TRACE)
    assert (answer.status, answer.content_type, answer.headers) == (403, "application/problem+json", ())
    assert answer.body.decode() == (
        '{"type":"urn:bianmin:problem:station-suspended","title":"Station takes no new payments","status":403,'
        '"detail":"An open receivable of 5600 fen must be covered by a deposit or top-up first.",'
        '"shop_text":"本站有欠款56.00元，暂停收费。请先充值，到账后自动恢复。",'
        '"trace_id":"4bf92f3577b34da6a3ce929d0e0e4736"}'
    )


@pytest.mark.parametrize("slug", PROBLEMS)
def test_every_slug_has_a_text_for_the_shop(slug: str) -> None:
    document = msgspec.json.decode(refuse(Refusal(slug=slug, detail="x"), TRACE).body)
    assert document["shop_text"] == PROBLEMS[slug].shop_text
    assert "field" not in document


@pytest.mark.parametrize(
    ("error", "keyed", "status", "slug"),
    [
        (BadRequest("malformed", "x", "$.a"), False, 400, "malformed"),
        (StoreBusy("queue"), True, 503, "overloaded"),
        (StoreBusy("gone", in_doubt=True), True, 503, "overloaded"),
        (StoreFull("disk"), True, 503, "overloaded"),
        (LostRace("x"), True, 409, "request-running"),
        (LostRace("x"), False, 503, "overloaded"),
        (UnitFailed("KeyError: secret"), True, 500, "internal"),
        (ItemTooLarge("secret"), True, 500, "internal"),
        (RuntimeError("secret"), False, 500, "internal"),
    ],
)
def test_errors(error: Exception, keyed: bool, status: int, slug: str, caplog: pytest.LogCaptureFixture) -> None:
    answer = refuse_error(error, TRACE, keyed=keyed)
    assert (answer.status, msgspec.json.decode(answer.body)["type"]) == (status, f"urn:bianmin:problem:{slug}")
    assert b"secret" not in answer.body
    assert ("Retry-After" in dict(answer.headers)) is (status in (409, 503))
    if status == 500:
        assert [getattr(record, "trace_id", None) for record in caplog.records] == [TRACE]


def test_a_kept_refusal_says_that_it_is_one() -> None:
    answer = refuse(Refusal(slug="key-reused", detail="x", replayed=True, retry_after_s=7), TRACE)
    assert dict(answer.headers) == {"Retry-After": "7", "Idempotent-Replayed": "true"}
