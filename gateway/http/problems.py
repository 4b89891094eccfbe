"""The one place that turns what went wrong into RFC 9457 documents (design s10)."""

import logging

import msgspec

from contracts.api import Problem
from contracts.problems import PROBLEMS, URN
from contracts.strict_json import Malformed
from gateway.core.items import Refusal
from gateway.http.answers import PROBLEM, Answer
from gateway.store.port import LostRace, StoreBusy, StoreError, StoreFull

RETRY_AFTER_S = 1
RETRY_AFTER_FULL_S = 30
"""A full disk is not emptied within a second."""
_MUST_SAY_WHEN = frozenset({"request-running", "too-many-requests", "biller-closed", "overloaded"})
_FIELD_MAX = 128
_log = logging.getLogger("bianmin.http")
_encode = msgspec.json.Encoder().encode


class BadRequest(Exception):
    """The terminal's fault: a slug of contracts.problems, a detail that is safe to show, the field it is about."""

    def __init__(self, slug: str, detail: str, field: str | None = None) -> None:
        super().__init__(detail)
        self.slug, self.detail, self.field = slug, detail, field

    def refusal(self) -> Refusal:
        """As the book would say it."""
        return Refusal(slug=self.slug, detail=self.detail, field=self.field)


def malformed(error: Malformed) -> BadRequest:
    """A body that is not what its route asks for."""
    field = error.field if error.field is None or error.field.startswith("$") else None
    return BadRequest("malformed", str(error), field and field[:_FIELD_MAX])


def document(refusal: Refusal, trace_id: str) -> bytes:
    """The problem document of a refusal."""
    kind = PROBLEMS[refusal.slug]
    return _encode(
        Problem(
            type=URN + refusal.slug,
            title=kind.title,
            status=kind.status,
            detail=refusal.detail,
            shop_text=refusal.shop_text or kind.shop_text,
            trace_id=trace_id,
            field=refusal.field,
            gateway_serial=refusal.gateway_serial,
            repeat_token=refusal.repeat_token,
        )
    )


def refuse(refusal: Refusal, trace_id: str) -> Answer:
    """The answer of a refusal."""
    headers: tuple[tuple[str, str], ...] = ()
    retry_after = refusal.retry_after_s
    if retry_after is None and refusal.slug in _MUST_SAY_WHEN:
        retry_after = RETRY_AFTER_S
    if retry_after is not None:
        headers += (("Retry-After", str(retry_after)),)
    if refusal.replayed:
        headers += (("Idempotent-Replayed", "true"),)
    return Answer(PROBLEMS[refusal.slug].status, document(refusal, trace_id), PROBLEM, headers, refusal.slug)


def refuse_error(error: Exception, trace_id: str, *, keyed: bool = False) -> Answer:
    """The answer of an exception; what is not foreseen is logged and answered with nothing but its trace_id.

    keyed: the request has an idempotency key, so a lost race leaves it undecided (409 request-running). Everything
    else a store fails with is 503, also where the commit is in doubt: a 5xx says nothing about the payment.
    """
    match error:
        case BadRequest():
            return refuse(error.refusal(), trace_id)
        case LostRace() if keyed:
            return refuse(Refusal(slug="request-running", detail="Not decided yet: ask again."), trace_id)
        case LostRace():
            return refuse(_overloaded(RETRY_AFTER_S), trace_id)
        case StoreBusy():
            _log.warning("store.busy", extra={"trace_id": trace_id, "cause": error.cause})
            return refuse(_overloaded(RETRY_AFTER_S), trace_id)
        case StoreFull():
            _log.error("store.full", extra={"trace_id": trace_id, "cause": error.cause})
            return refuse(_overloaded(RETRY_AFTER_FULL_S), trace_id)
        case StoreError():
            _log.error("store.failed", extra={"trace_id": trace_id, "cause": error.cause})
        case _:
            _log.error("request.failed", exc_info=error, extra={"trace_id": trace_id})
    return refuse(Refusal(slug="internal", detail="Look for the trace_id in the gateway's log."), trace_id)


def _overloaded(seconds: int) -> Refusal:
    return Refusal(slug="overloaded", detail="The gateway cannot decide this now.", retry_after_s=seconds)
