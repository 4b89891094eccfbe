"""Every deed there is, what a person needs to do it, and which take a second one (M12)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gateway.core import (
    alarm_deeds,
    approvers,
    authorisations,
    certificate_deeds,
    certificate_requests,
    controls,
    letter_deeds,
    limits,
    partner_deeds,
    replay_deeds,
    root_deeds,
    rulings,
    staff_deeds,
    station_add,
    station_deeds,
    station_exit,
    usb_key_deeds,
)
from gateway.core.items import Refusal
from gateway.core.scene import Scene
from gateway.core.steps import Work

Doing = Callable[[Scene], Work[Refusal | str]]
"""Does a deed in the scene's book and returns what its subject is now; a Refusal has changed nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """do: what it does; None: done elsewhere once it is approved. right: whose right it needs, its own name by default.

    approves: it is itself the second person's word. two: it is prepared, and done when another person approves.
    two_if: in which cases it takes two, where it mostly takes one; asked before it is done.
    prepared, rejected: what being prepared or rejected does to its subject.
    """

    do: Doing | None
    right: str = ""
    approves: bool = False
    two: bool = False
    two_if: Callable[[Scene], Work[bool]] | None = None
    prepared: Doing | None = None
    rejected: Doing | None = None


ACTIONS: Mapping[str, Action] = {
    "certs.apply": Action(do=certificate_requests.apply),
    "certs.approve": Action(do=certificate_requests.approve, right="certs.apply", approves=True),
    "certs.refuse": Action(do=certificate_requests.refuse, right="certs.apply"),
    "certs.issue": Action(do=certificate_requests.issue),
    "certs.bind": Action(do=certificate_deeds.bind, two=True),
    "certs.activate": Action(do=certificate_deeds.activate),
    "certs.freeze": Action(do=certificate_deeds.freeze),
    "certs.unfreeze": Action(do=certificate_deeds.unfreeze, two=True),
    "certs.replace": Action(do=certificate_deeds.replace_certificate),
    "certs.revoke": Action(do=certificate_deeds.revoke, two_if=approvers.ending_takes_two),
    "key.receive": Action(do=usb_key_deeds.receive, two=True),
    "key.hand-out": Action(
        do=usb_key_deeds.hand_over, two=True, prepared=usb_key_deeds.hand_out, rejected=usb_key_deeds.keep
    ),
    "key.return": Action(do=usb_key_deeds.give_back, two_if=approvers.returning_takes_two),
    "key.lost": Action(do=usb_key_deeds.lose),
    "key.destroy": Action(do=usb_key_deeds.destroy),
    root_deeds.FOUND: Action(do=root_deeds.found),
    root_deeds.RESTORE: Action(do=root_deeds.restore),
    "staff.add": Action(do=staff_deeds.add, two=True),
    "staff.leave": Action(do=staff_deeds.leave, two_if=approvers.leaving_takes_two),
    "partner.add": Action(do=partner_deeds.add, two=True),
    "partner.close": Action(do=partner_deeds.close),
    "station.add": Action(do=station_add.add, two=True),
    "station.suspend": Action(do=station_deeds.suspend),
    "station.resume": Action(do=station_deeds.resume),
    "operator.add": Action(do=station_deeds.add_operator, two=True),
    "operator.close": Action(do=station_deeds.close_operator, two=True),
    "terminal.add": Action(do=station_deeds.add_terminal, two=True),
    "terminal.close": Action(do=station_deeds.close_terminal, two=True),
    "alarm.seen": Action(do=alarm_deeds.see),
    "authorization.issue": Action(do=authorisations.issue),
    "authorization.revoke": Action(do=authorisations.revoke),
    "biller.pause": Action(do=controls.pause),
    "biller.resume": Action(do=controls.resume),
    "biller.limits": Action(do=limits.limits),
    "drain.begin": Action(do=controls.begin_drain),
    "drain.end": Action(do=controls.end_drain),
    "payment.rule": Action(do=rulings.rule, two=True),
    letter_deeds.CORRECT: Action(do=letter_deeds.correct),
    letter_deeds.CLOSE: Action(do=letter_deeds.close),
    letter_deeds.RELEASE: Action(do=letter_deeds.release, two_if=letter_deeds.release_takes_two),
    replay_deeds.RUN: Action(do=replay_deeds.approve, two=True),
    replay_deeds.START: Action(do=replay_deeds.start),
    "station.close": Action(do=station_exit.close, two=True),
    "station.transfer": Action(do=station_exit.transfer, two=True),
}
APPROVE, REJECT = "ops.approve", "ops.reject"
"""The second person's deeds about a plan; its right is that of the plan's action, under `approves`."""
RIGHTS = frozenset(action.right or name for name, action in ACTIONS.items()) - root_deeds.BY_ROOT
"""What roles.toml may name; no department has what is the root's."""
