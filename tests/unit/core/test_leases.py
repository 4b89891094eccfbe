"""Leases: one owner at a time, by the database's clock, and an epoch that never comes back."""

from gateway.core import items, leases, rows
from gateway.core.held import RELAY, RESOLVER, SEALER, Held
from gateway.core.leases import LEASE_MS
from tests.stand.house import House


def hold(house: House, owner: str, *names: str, sole: bool = False) -> list[Held]:
    wanted = leases.HoldLeases(owner=owner, names=list(names or (RELAY,)), sole=sole)
    return house.ask(wanted, leases.LeasesHeld).held


def drop(house: House, *held: Held) -> None:
    house.ask(leases.DropLeases(held=list(held)), items.Kept)


def test_one_holds_it_until_it_stops_renewing(house: House) -> None:
    (first,) = hold(house, "one")
    assert hold(house, "two") == []
    for _ in range(5):
        house.advance(LEASE_MS / 1000 - 0.001)
        assert hold(house, "one") == [first]
    house.advance(LEASE_MS / 1000 - 0.001)
    assert hold(house, "two") == []
    house.advance(0.001)
    (second,) = hold(house, "two")
    assert (first.epoch, second.epoch) == (1, 2)
    assert hold(house, "one") == []


def test_two_who_come_at_once_do_not_both_get_it(house: House) -> None:
    asked = [leases.HoldLeases(owner=owner, names=[RELAY, SEALER]) for owner in ("one", "two")]
    assert [len(reply.held) for reply in house.batch(asked)] == [2, 0]


def test_who_is_late_goes_on_where_nobody_came(house: House) -> None:
    (held,) = hold(house, "one")
    house.advance(3600)
    asked = items.TakeOutbox(under=held)
    house.ask(asked, items.Outbox)
    assert hold(house, "one") == [held], "the same epoch: nobody acted in between"


def test_what_is_dropped_is_free_at_once(house: House) -> None:
    held = hold(house, "one", RELAY, RESOLVER)
    drop(house, *held)
    (mine,) = hold(house, "two")
    drop(house, *held)
    assert hold(house, "three") == [], "a lease that moved on is not the dropper's to give"
    assert mine.epoch == 2


def test_nobody_acts_under_a_lease_that_has_moved_on(house: House) -> None:
    house.pay()
    old = hold(house, "one", RELAY, RESOLVER, SEALER)
    house.advance(LEASE_MS / 1000)
    new = hold(house, "two", RELAY, RESOLVER, SEALER)
    for (relay, resolver, sealer), reply in ((old, items.NotNow), (new, None)):
        house.ask(items.TakeOutbox(under=relay), reply or items.Outbox)
        house.ask(items.TakeQuestions(entropy=1, under=resolver), reply or items.Questions)
        house.ask(items.Seal(under=sealer), reply or items.Sealed)
    forged = Held(name=SEALER, owner="one", epoch=new[2].epoch)
    house.ask(items.Seal(under=forged), items.NotNow)
    forged = Held(name=SEALER, owner="two", epoch=old[2].epoch)
    house.ask(items.Seal(under=forged), items.NotNow)


def test_the_only_process_waits_for_no_dead_one(house: House) -> None:
    hold(house, "dead")
    (held,) = hold(house, "alive", sole=True)
    assert held.epoch == 2


def test_a_lease_of_a_clock_ahead_blocks_no_longer_than_any_other(house: House) -> None:
    """After a fail-over the database's clock may be another's, ten minutes behind."""
    hold(house, "dead")
    house.advance(-600)
    assert hold(house, "two") == []
    house.advance(LEASE_MS / 1000)
    assert [held.epoch for held in hold(house, "two")] == [2]
    assert [row.owner for row in house.rows_of(rows.Lease)] == ["two"]
