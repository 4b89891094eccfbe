"""Deeds about an existing station: suspend, resume; its operators and terminals come and go (JOIN-16, CHG-01, M12)."""

import re
from collections.abc import Sequence

from msgspec.structs import replace

from gateway.core.items import Refusal
from gateway.core.rows import Binding, Operator, Station, Terminal, Training
from gateway.core.scene import Scene, conflict, malformed, missing
from gateway.core.steps import Read, Work

_IDENTIFIER = re.compile(r"[A-Za-z0-9_-]{1,16}")
_DAYS = re.compile(r"[1-9][0-9]{0,3}")
_NAME_MAX = 64
_TRAINED_DAYS_MAX = 3650
DAY_MS = 86_400_000
"""Of a day of training."""


def suspend(scene: Scene) -> Work[Refusal | str]:
    """No new payments; what is open goes on. subject: the institution code. One person: a doubt cannot wait."""
    return (yield from _set_state(scene, "SUSPENDED"))


def resume(scene: Scene) -> Work[Refusal | str]:
    """A suspended station takes payments again."""
    return (yield from _set_state(scene, "ACTIVE"))


def _set_state(scene: Scene, state: str) -> Work[Refusal | str]:
    station = yield from _station(scene)
    if isinstance(station, Refusal):
        return station
    if station.state == state:
        return conflict(f"Station {station.institution_code} is {state} already.")
    # Told to the shop, with whom to ask.
    scene.book.put(replace(station, state=state, reason=f"{scene.deed.reason}（经办：{scene.by}）"))
    return state


def _station(scene: Scene) -> Work[Station | Refusal]:
    """The station, locked: binding and closing take turns with this."""
    code = scene.deed.subject
    scene.book.load((yield Read("stations_locked", [(code,)])))
    station = scene.book.get(Station, code)
    if station is None:
        return missing(f"station {code}")
    return conflict(f"Station {code} is closed for good.") if station.state == "CLOSED" else station


def add_operator(scene: Scene) -> Work[Refusal | str]:
    """One more person of a station. fields: operator_id, name, trained_days (1 to 3650; for every service, TRN-01)."""
    station = yield from _station(scene)
    if isinstance(station, Refusal):
        return station
    code, operator_id = station.institution_code, scene.field("operator_id")
    wrong = identifier_wrong(scene, "operator_id") or name_wrong(scene, "name") or trained_wrong(scene)
    if wrong is not None:
        return wrong
    scene.book.load((yield Read("operators", [(code, operator_id)])))
    if scene.book.get(Operator, code, operator_id) is not None:
        return conflict(f"{operator_id} is somebody's number already; numbers are never given twice.")
    scene.book.add(
        Operator(institution_code=code, operator_id=operator_id, name=scene.field("name"), created_at=scene.now)
    )
    scene.book.add(
        Training(
            institution_code=code,
            operator_id=operator_id,
            service="*",
            valid_from=scene.now,
            valid_until=scene.now + int(scene.field("trained_days")) * DAY_MS,
        )
    )
    return "ACTIVE"


def identifier_wrong(scene: Scene, field: str) -> Refusal | None:
    """A terminal's or an operator's number that is out of form."""
    return None if _IDENTIFIER.fullmatch(scene.field(field)) else malformed("1 to 16 of A-Z a-z 0-9 _ -", field)


def name_wrong(scene: Scene, field: str) -> Refusal | None:
    """A name that is out of form."""
    name = scene.field(field)
    right = 0 < len(name) <= _NAME_MAX and name.isprintable() and name == name.strip()
    return None if right else malformed("a name is 1 to 64 printable characters", field)


def trained_wrong(scene: Scene) -> Refusal | None:
    """trained_days that is out of form."""
    days = scene.field("trained_days")
    right = _DAYS.fullmatch(days) is not None and int(days) <= _TRAINED_DAYS_MAX
    return None if right else malformed(f"1 to {_TRAINED_DAYS_MAX} days", "trained_days")


def close_operator(scene: Scene) -> Work[Refusal | str]:
    """He works there no more; not while a certificate is bound to him. fields: operator_id."""
    station = yield from _station(scene)
    if isinstance(station, Refusal):
        return station
    code, operator_id = station.institution_code, scene.field("operator_id")
    scene.book.load((yield Read("operators", [(code, operator_id)])))
    operator = scene.book.get(Operator, code, operator_id)
    if operator is None:
        return missing(f"operator {operator_id} of station {code}")
    bound = [one for one in (yield from _bound(scene, code)) if one.operator_id == operator_id]
    return _close(scene, operator, bound)


def add_terminal(scene: Scene) -> Work[Refusal | str]:
    """One more device of a station. fields: terminal_id."""
    station = yield from _station(scene)
    if isinstance(station, Refusal):
        return station
    code, terminal_id = station.institution_code, scene.field("terminal_id")
    wrong = identifier_wrong(scene, "terminal_id")
    if wrong is not None:
        return wrong
    scene.book.load((yield Read("terminals", [(code, terminal_id)])))
    if scene.book.get(Terminal, code, terminal_id) is not None:
        return conflict(f"{terminal_id} is a terminal's name already; names are never given twice.")
    scene.book.add(Terminal(institution_code=code, terminal_id=terminal_id, created_at=scene.now))
    return "ACTIVE"


def close_terminal(scene: Scene) -> Work[Refusal | str]:
    """It is used no more; not while a certificate is bound to it. fields: terminal_id."""
    station = yield from _station(scene)
    if isinstance(station, Refusal):
        return station
    code, terminal_id = station.institution_code, scene.field("terminal_id")
    scene.book.load((yield Read("terminals", [(code, terminal_id)])))
    terminal = scene.book.get(Terminal, code, terminal_id)
    if terminal is None:
        return missing(f"terminal {terminal_id} of station {code}")
    bound = [one for one in (yield from _bound(scene, code)) if one.terminal_id == terminal_id]
    return _close(scene, terminal, bound)


def _close(scene: Scene, part: Operator | Terminal, bound: Sequence[Binding]) -> Refusal | str:
    if part.state == "CLOSED":
        return conflict("It is closed already.")
    for binding in bound:
        return conflict(f"Certificate {binding.keyid} is bound to it: revoke it first.")
    scene.book.put(replace(part, state="CLOSED"))
    return "CLOSED"


def _bound(scene: Scene, code: str) -> Work[list[Binding]]:
    scene.book.load((yield Read("bindings_of_station", [(code,)])))
    return [one for one in scene.book.all(Binding) if one.institution_code == code and one.unbound_at is None]
