"""The life of certificates and the stock of keys as tables: what the guide shows is what the code does."""

from pathlib import Path

import pytest

from certs.core import stock
from certs.core.life import BOUND, LIVE, REGISTERED, REQUESTED, TABLE, Event, Life, after, diagram

README = (Path(__file__).parents[3] / "certs" / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("name", "drawn"), [("life", diagram()), ("stock", stock.diagram())])
def test_the_guide_shows_the_table(name: str, drawn: str) -> None:
    block = README.partition(f"<!-- {name}:begin -->\n")[2].partition(f"\n<!-- {name}:end -->")[0]
    assert block == f"```mermaid\n{drawn}\n```"


def test_every_way_to_active_goes_through_a_binding() -> None:
    into = {state for (state, _), to in TABLE.items() if to is Life.ACTIVE}
    assert into == {Life.BOUND, Life.FROZEN}
    # Of what is frozen, the book lets only come back what was active before.
    assert {state for (state, _), to in TABLE.items() if to is Life.FROZEN} == {Life.ISSUED, Life.BOUND, Life.ACTIVE}
    assert {state for (state, _), to in TABLE.items() if to is Life.BOUND} == {Life.ISSUED}


def test_nothing_comes_back_from_an_end() -> None:
    for state in (Life.REVOKED, Life.EXPIRED, Life.REFUSED):
        assert [event for event in Event if after(state, event)] == []
    assert {after(Life.REPLACED, event) for event in Event} == {None, Life.REVOKED}
    assert [one for one in stock.Movement if stock.after(stock.Stock.DESTROYED, one)] == []


def test_a_lost_key_comes_back_to_the_bureau_only() -> None:
    assert {to for (state, _), to in stock.TABLE.items() if state is stock.Stock.LOST} == {stock.Stock.RETURNED}


def test_the_groups_of_states() -> None:
    assert set(Life) == REQUESTED | REGISTERED
    assert BOUND < LIVE < REGISTERED
    assert all(after(state, Event.EXPIRE) is Life.EXPIRED for state in LIVE)
    assert all(after(state, Event.REVOKE) is Life.REVOKED for state in LIVE)


def test_every_state_is_reached_and_unknown_words_are_refused() -> None:
    assert set(TABLE.values()) == set(Life)
    assert set(stock.TABLE.values()) == set(stock.Stock)
    assert after(None, Event.FREEZE) is None
    with pytest.raises(ValueError, match="LOST"):
        after("LOST", Event.FREEZE)
