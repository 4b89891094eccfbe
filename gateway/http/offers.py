"""A station's services with price, limits, and whether they can be sold this minute."""

from collections.abc import Callable

from contracts import api
from contracts.manifest import FlowFacts, Manifest, Param
from gateway.core.env import Env, closed_for_s
from gateway.core.views import Offer, ServicesView
from gateway.http import texts


def services(view: ServicesView, env: Env, breaker_closed_for_s: Callable[[str], int]) -> api.ServiceList:
    """The loaded services that an adapter of this installation sells."""
    items = []
    for offer in view.offers:
        manifest = env.manifest_of(offer.service.service)
        if manifest is not None:
            reason = _closed_reason(offer, manifest, env, view, breaker_closed_for_s)
            items.append(_entry(offer, manifest, reason))
    return api.ServiceList(items=items)


def _entry(offer: Offer, manifest: Manifest, closed_reason: str | None) -> api.ServiceEntry:
    name, tariff = offer.service.service, offer.tariff
    facts = manifest.flows[name]
    low, high = facts.amount_min.value, facts.amount_max.value
    if tariff is not None:
        low, high = max(low, tariff.min_fen), min(high, tariff.max_fen)
    return api.ServiceEntry(
        service=name,
        biller=manifest.name,
        title=facts.title,
        bill_model=facts.bill_model,
        params=[_param(param) for param in facts.params],
        min_fen=low,
        max_fen=high,
        fee_fen=tariff.fee_fen if tariff is not None else 0,
        open=closed_reason is None,
        closed_reason=closed_reason,
    )


def _closed_reason(
    offer: Offer, manifest: Manifest, env: Env, view: ServicesView, breaker_closed_for_s: Callable[[str], int]
) -> str | None:
    facts: FlowFacts = manifest.flows[offer.service.service]
    if offer.service.state != "OPEN":
        return offer.service.reason or texts.SERVICE_CLOSED
    if offer.tariff is None:
        return texts.NO_TARIFF
    if manifest.name in view.closed:
        return view.closed[manifest.name]
    seconds = closed_for_s(view.now, env.zone, facts.closed_local)
    if seconds:
        return texts.WINDOW_CLOSED.format(minutes=-(-seconds // 60))
    return texts.BREAKER_OPEN if breaker_closed_for_s(manifest.name) > 0 else None


def _param(param: Param) -> api.ServiceParam:
    return api.ServiceParam(name=param.name, title=param.title, choices=dict(param.choices), required=param.required)
