"""What a department may do: read from data (ROLE-01 … ROLE-12), asked for by every deed."""

from collections.abc import Mapping
from dataclasses import dataclass

from contracts.strict_json import Malformed


@dataclass(frozen=True, slots=True)
class Rights:
    """may: actions its people do, or prepare where a second person is asked for. approves: actions they approve."""

    may: frozenset[str] = frozenset()
    approves: frozenset[str] = frozenset()


def build_rights(
    departments: Mapping[str, list[str]], roles: Mapping[str, Mapping[str, list[str]]], known: frozenset[str]
) -> Mapping[str, Rights]:
    """Rights by department. roles: name → {may, approves}; `*` stands for every action of `known`.

    Raises Malformed for a role that is not there and for an action nobody knows: a slip must not take a right away
    unseen, nor give one.
    """
    found: dict[str, Rights] = {}
    for department, names in departments.items():
        may: set[str] = set()
        approves: set[str] = set()
        for name in names:
            if name not in roles:
                raise Malformed(f"department {department} has a role that is not defined: {name}")
            may |= _actions(roles[name].get("may", []), known)
            approves |= _actions(roles[name].get("approves", []), known)
        found[department] = Rights(frozenset(may), frozenset(approves))
    return found


def _actions(names: list[str], known: frozenset[str]) -> set[str]:
    wanted = {action for name in names for action in (known if name == "*" else [name])}
    if unknown := wanted - known:
        raise Malformed(f"there is no such action: {', '.join(sorted(unknown))}")
    return wanted
