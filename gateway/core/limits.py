"""The deed that holds a biller below its manifest's limits (gateway.core.controls)."""

from gateway.core.allowances import shares_of
from gateway.core.controls import held_control, lowered, put_control
from gateway.core.items import Refusal
from gateway.core.scene import Scene, malformed
from gateway.core.steps import Work


def limits(scene: Scene) -> Work[Refusal | str]:
    """Fewer calls at once or per second than the manifest allows. subject: the biller. fields: concurrency, rate_per_s;
    one that is left out is as the manifest has it. Never more than the manifest, and never so few that questions would
    have no share of their own any more where they have one: pause it instead."""
    held = yield from held_control(scene)
    if isinstance(held, Refusal):
        return held
    manifest = scene.env.manifests[scene.deed.subject]
    found: dict[str, int | None] = {}
    for name, most in (("concurrency", manifest.concurrency), ("rate_per_s", manifest.rate_per_s)):
        text = scene.field(name)
        if text and not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= most):
            return malformed(f"1 to {most}, which is the manifest's", name)
        found[name] = int(text) if text else None
    fewer = lowered(manifest, found["concurrency"], found["rate_per_s"])
    if set(shares_of(fewer)) != set(shares_of(manifest)):
        return malformed("so few that questions have no share: at least 2 at once and 10 a second, or pause it", "")
    by = {"limits_by": scene.by, "limits_at": scene.now, "limits_reason": scene.deed.reason}
    put_control(scene, held, **found, **by, limits_record_id=str(scene.record_id))
    return f"{fewer.concurrency} at once, {fewer.rate_per_s} a second"
