"""A station ends or goes to another holder: its bindings close and its certificates are revoked, all in one commit."""

from msgspec.structs import replace

from certs.core.life import LIVE, Event, RevokedFor
from gateway.core.items import Refusal
from gateway.core.rows import Binding, RegisteredCertificate, Station
from gateway.core.scene import Scene, conflict, may_move, missing, move
from gateway.core.steps import Read, Scan, Work


def close(scene: Scene) -> Work[Refusal | str]:
    """Closed for good. Not while a payment of it is open: suspend it first. Its balance stays where it is."""
    return (yield from _end(scene, "CLOSED", RevokedFor.CESSATION_OF_OPERATION))


def transfer(scene: Scene) -> Work[Refusal | str]:
    """To another holder: suspended until he has certificates of his own; code and balance stay (CHG-01)."""
    return (yield from _end(scene, "SUSPENDED", RevokedFor.AFFILIATION_CHANGED))


def _end(scene: Scene, state: str, revoked_for: RevokedFor) -> Work[Refusal | str]:
    code = scene.deed.subject
    scene.book.load((yield Read("stations_locked", [(code,)])))
    station = scene.book.get(Station, code)
    if station is None:
        return missing(f"station {code}")
    if station.state == "CLOSED":
        return conflict(f"Station {code} is closed already.")
    # Whoever accepts holds this lock until his commit: the look below sees what was accepted before.
    yield Read("balances_locked", [(code,)])
    unfinished = yield Scan("payments_of_station_open", {"institution_code": code})
    if unfinished:
        return conflict(f"Payment {unfinished[0].gateway_serial} is {unfinished[0].state}: suspend the station first.")
    scene.book.put(replace(station, state=state, reason=scene.deed.reason))
    scene.book.load((yield Read("bindings_of_station", [(code,)])))
    bound = [one.keyid for one in scene.book.all(Binding) if one.institution_code == code and one.unbound_at is None]
    scene.book.load((yield Read("certificates", [(keyid,) for keyid in bound])) if bound else [])
    for keyid in bound:
        certificate = scene.book.need(RegisteredCertificate, keyid)
        to = may_move(certificate, Event.REVOKE, scene.now)
        if certificate.state in LIVE and not isinstance(to, Refusal):
            yield from move(scene, certificate, Event.REVOKE, to, revoked_for=revoked_for)
    return state
