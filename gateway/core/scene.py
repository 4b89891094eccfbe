"""What a deed is judged and done with, and the steps in the life of a certificate that every deed shares."""

from collections.abc import Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from certs.core.life import Event, Life, after
from contracts.serials import Serials
from gateway.core.book import Book
from gateway.core.env import Env
from gateway.core.items import Refusal
from gateway.core.items_deeds import Deed
from gateway.core.rows import Binding, CertificateRequest, CertificateStep, RegisteredCertificate
from gateway.core.steps import Read, Work

CLOCK = "clock"
"""Who does what only time does."""
ROOT = "root"
"""Who does what the root's key signed: the first staff, and the way back when fewer than two people can approve."""
LAPSES_DAYS = 30
"""So long what one person has asked for waits for another's word; after that nobody remembers what it was about."""
_DAY_MS = 86_400_000


def lapsed(since: int, now: int) -> bool:
    """Whether what was asked for at `since` (ms) waits no longer."""
    return now > since + LAPSES_DAYS * _DAY_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One deed as it is done. by: staff id of who signs now; prepared_by: of who had prepared it, where two are asked.

    digest: SHA-256 of the deed, hex; record_id: the record that keeps it and its signature; keyid: who signed it.
    """

    book: Book
    env: Env
    now: int
    deed: Deed
    digest: str | None
    record_id: str | None
    by: str
    keyid: str = ""
    prepared_by: str | None = None
    serials: Serials

    def field(self, name: str) -> str:
        """A field of the deed, "" where it is not there."""
        return self.deed.fields.get(name, "")


def key_known(scene: Scene, digest: str) -> Work[bool]:
    """Whether a public key (SHA-256) was registered or applied for; of a refused application it may come again."""
    scene.book.load((yield Read("certificates_by_key", [(digest,)])))
    scene.book.load((yield Read("certificate_requests_by_key", [(digest,)])))
    registered = any(one.public_key_sha256 == digest for one in scene.book.all(RegisteredCertificate))
    asked = (one for one in scene.book.all(CertificateRequest) if one.public_key_sha256 == digest)
    return registered or any(one.state != Life.REFUSED for one in asked)


def conflict(detail: str) -> Refusal:
    """What stands now does not allow it."""
    return Refusal(slug="state-conflict", detail=detail)


def missing(what: str) -> Refusal:
    """There is no such thing in the book."""
    return Refusal(slug="not-found", detail=f"There is no {what}.")


def malformed(detail: str, field: str) -> Refusal:
    """The deed does not say what its action needs."""
    return Refusal(slug="malformed", detail=detail, field=field)


def find_certificate(scene: Scene, keyid: str) -> Work[RegisteredCertificate | None]:
    """A registered certificate as it stands."""
    scene.book.load((yield Read("certificates", [(keyid,)])))
    return scene.book.get(RegisteredCertificate, keyid)


def add_step(scene: Scene, subject: str, event: Event, came: str, to: str, *, reason: str | None = None) -> Work[None]:
    """One more step of a certificate or request."""
    scene.book.load((yield Read("certificate_steps_of", [(subject,)])))
    numbers = [step.number for step in scene.book.all(CertificateStep) if step.subject == subject]
    scene.book.add(
        CertificateStep(
            subject=subject,
            number=max(numbers, default=0) + 1,
            event=event,
            from_state=came,
            to_state=to,
            at=scene.now,
            staff=scene.by,
            deed=scene.digest,
            record_id=scene.record_id,
            reason=reason if reason is not None else scene.deed.reason,
        )
    )


def may_move(certificate: RegisteredCertificate, event: Event, now: int) -> Life | Refusal:
    """Where an event leads from here; a Refusal where the table or the calendar says no."""
    to = after(certificate.state, event)
    if to is None:
        return conflict(f"A certificate that is {certificate.state} cannot {event}.")
    if to in (Life.BOUND, Life.ACTIVE) and now >= certificate.not_after:
        return Refusal(slug="certificate-expired", detail="Its time has run out: it can only be renewed.")
    return to


def find_move(scene: Scene, event: Event) -> Work[tuple[RegisteredCertificate, Life] | Refusal]:
    """The certificate that the deed is about, and where the event leads it; or why there is no such step."""
    certificate = yield from find_certificate(scene, scene.deed.subject)
    if certificate is None:
        return missing(f"certificate {scene.deed.subject}")
    to = may_move(certificate, event, scene.now)
    return to if isinstance(to, Refusal) else (certificate, to)


def freeze_all(scene: Scene, certificates: Sequence[RegisteredCertificate]) -> Work[None]:
    """Those of them that can be frozen are."""
    for certificate in certificates:
        to = may_move(certificate, Event.FREEZE, scene.now)
        if not isinstance(to, Refusal):
            yield from move(scene, certificate, Event.FREEZE, to)


def move(
    scene: Scene,
    certificate: RegisteredCertificate,
    event: Event,
    to: Life,
    *,
    reason: str | None = None,
    revoked_for: str | None = None,
) -> Work[None]:
    """The certificate takes a step that `may_move` allowed; its binding ends with it where it can speak no more."""
    told = reason if reason is not None else scene.deed.reason
    yield from add_step(scene, certificate.keyid, event, certificate.state, to, reason=told)
    scene.book.put(replace(certificate, state=to, state_at=scene.now, reason=told, revoked_for=revoked_for))
    if to in (Life.REVOKED, Life.EXPIRED, Life.REPLACED):
        binding = yield from open_binding(scene, certificate.keyid)
        if binding is not None:
            scene.book.put(replace(binding, unbound_at=max(scene.now, binding.bound_at)))


def open_binding(scene: Scene, keyid: str) -> Work[Binding | None]:
    """The binding in force of a certificate."""
    scene.book.load((yield Read("bindings", [(keyid,)])))
    return next((row for row in scene.book.all(Binding) if row.keyid == keyid and row.unbound_at is None), None)
