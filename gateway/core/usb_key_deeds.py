"""Deeds about the stock of USB keys; receiving and handing out take two people (CERT-01, CERT-04)."""

import re

from msgspec.structs import replace

from certs.core.stock import Movement, Stock, after
from gateway.core.items import Refusal
from gateway.core.keys_in_hand import certificates_in, find_key, holder_of, live_in
from gateway.core.rows import StaffMember, Station, UsbKey, UsbKeyStep
from gateway.core.scene import Scene, conflict, freeze_all, malformed, missing
from gateway.core.steps import Read, Work

_SERIAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:/-]{0,63}")
_HOLDER_MAX = 64
NOBODY = ("", "")


def receive(scene: Scene) -> Work[Refusal | str]:
    """A key from the maker, or one that came back, is in stock."""
    serial = scene.deed.subject
    if not _SERIAL.fullmatch(serial):
        return malformed("a serial is 1 to 64 of A-Z a-z 0-9 . : / -", "subject")
    key = yield from find_key(scene, serial)
    to = after(key.state if key else None, Movement.RECEIVE)
    if to is None:
        return conflict(f"USB key {serial} is {key.state if key else 'unknown'}.")
    for certificate in (yield from live_in(scene, serial)):
        return conflict(f"Certificate {certificate.keyid} in it is {certificate.state}: revoke it first.")
    yield from _step(scene, Movement.RECEIVE, key.state if key else "", to)
    if key is None:
        scene.book.add(
            UsbKey(key_serial=serial, state=to, received_at=scene.now, state_at=scene.now, reason=scene.deed.reason)
        )
    else:
        _put(scene, key, to)
    return to


def hand_out(scene: Scene) -> Work[Refusal | str]:
    """Prepared: the key is set aside for a station or a person of the bureau until another person hands it over."""
    holder, code = scene.field("holder"), scene.field("institution_code")
    if not (0 < len(holder) <= _HOLDER_MAX and holder.isprintable()):
        return malformed("who takes it: 1 to 64 characters", "holder")
    if code:
        scene.book.load((yield Read("stations", [(code,)])))
        station = scene.book.get(Station, code)
        if station is None or station.state == "CLOSED":
            return conflict(f"There is no open station {code}.")
    else:
        scene.book.load((yield Read("staff", [(holder,)])))
        member = scene.book.get(StaffMember, holder)
        if member is None or member.state != "ACTIVE":
            return malformed("the staff id of who takes it; for a station, its institution code besides", "holder")
    for certificate in (yield from live_in(scene, scene.deed.subject)):
        if holder_of(certificate) != (code, holder):
            return conflict(f"Certificate {certificate.keyid} in it is {certificate.state}, of another holder.")
    return (yield from _moved(scene, Movement.HAND_OUT, code, holder))


def hand_over(scene: Scene) -> Work[Refusal | str]:
    """Approved: the holder has it."""
    return (yield from _moved(scene, Movement.HAND_OVER, scene.field("institution_code"), scene.field("holder")))


def keep(scene: Scene) -> Work[Refusal | str]:
    """Rejected: it stays in stock."""
    return (yield from _moved(scene, Movement.KEEP))


def give_back(scene: Scene) -> Work[Refusal | str]:
    """The holder gives it back; what it could sign for is frozen."""
    return (yield from _away(scene, Movement.RETURN))


def lose(scene: Scene) -> Work[Refusal | str]:
    """It is lost; every certificate in it is frozen in the same commit."""
    return (yield from _away(scene, Movement.LOSE))


def destroy(scene: Scene) -> Work[Refusal | str]:
    """It is no more; not while a certificate in it could still come to life."""
    yield from find_key(scene, scene.deed.subject)
    for certificate in (yield from live_in(scene, scene.deed.subject)):
        return conflict(f"Certificate {certificate.keyid} in it is {certificate.state}: revoke it first.")
    return (yield from _moved(scene, Movement.DESTROY))


def _away(scene: Scene, movement: Movement) -> Work[Refusal | str]:
    moved = yield from _moved(scene, movement)
    if isinstance(moved, Refusal):
        return moved
    yield from freeze_all(scene, (yield from certificates_in(scene, scene.deed.subject)))
    return moved


def _moved(scene: Scene, movement: Movement, code: str = "", holder: str = "") -> Work[Refusal | str]:
    key = yield from find_key(scene, scene.deed.subject)
    if key is None:
        return missing(f"USB key {scene.deed.subject}")
    to = after(key.state, movement)
    if to is None:
        return conflict(f"USB key {key.key_serial} is {key.state}.")
    yield from _step(scene, movement, key.state, to, (code, holder))
    # Who had a key that is lost is asked for as long as it is lost.
    gone = movement is Movement.LOSE
    _put(scene, key, to, key.institution_code if gone else code, key.holder if gone else holder)
    return to


def _put(scene: Scene, key: UsbKey, to: Stock, code: str = "", holder: str = "") -> None:
    scene.book.put(
        replace(key, state=to, institution_code=code, holder=holder, state_at=scene.now, reason=scene.deed.reason)
    )


def _step(scene: Scene, movement: Movement, came: str, to: Stock, who: tuple[str, str] = NOBODY) -> Work[None]:
    serial = scene.deed.subject
    scene.book.load((yield Read("usb_key_steps_of", [(serial,)])))
    numbers = [step.number for step in scene.book.all(UsbKeyStep) if step.key_serial == serial]
    scene.book.add(
        UsbKeyStep(
            key_serial=serial,
            number=max(numbers, default=0) + 1,
            event=movement,
            from_state=came,
            to_state=to,
            institution_code=who[0],
            holder=who[1],
            at=scene.now,
            prepared_by=scene.prepared_by,
            staff=scene.by,
            deed=scene.digest,
            record_id=scene.record_id,
            reason=scene.deed.reason,
        )
    )
