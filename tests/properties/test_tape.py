"""Tapes of the property suites: what breaks a law is found again, shrunk, written down and played back."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from tape import Action, Broken, explore, load, play, save, shrink
from venue_laws import Laws, Look
from venue_suite import main, soak


class Till:
    """Breaks its law once it has taken 3 and then, at any time, given 7 or more."""

    def __init__(self) -> None:
        self.taken = False

    def act(self, action: Action) -> None:
        amount = float(action.draws["amount"])
        self.taken = self.taken or (action.name == "take" and amount == 3)
        if self.taken and action.name == "give" and amount >= 7:
            raise Broken("the till is honest", f"gave {amount}")

    def check(self) -> None:
        return


def choose(random: Random) -> Action:
    return Action(random.choice(("take", "give", "wait")), {"amount": random.choice((1, 3, 5, 7.1234))})


def test_shrunk_tape_holds_only_what_breaks_the_law_in_its_simplest_form() -> None:
    actions, broken = explore(Till, choose, seed=7, length=200)
    assert broken is not None
    assert len(actions) > 2
    assert shrink(Till, actions, broken.law) == [Action("take", {"amount": 3}), Action("give", {"amount": 7.1})]


def test_shrinking_keeps_to_the_law_that_was_broken_and_to_its_budget() -> None:
    actions, broken = explore(Till, choose, seed=7, length=200)
    assert broken is not None
    assert shrink(Till, actions, "another law") == actions
    assert shrink(Till, actions, broken.law, replays=0) == actions


def test_tape_on_disk_plays_the_same(tmp_path: Path) -> None:
    actions, broken = explore(Till, choose, seed=7, length=200)
    save(tmp_path / "till.jsonl", {"seed": 7}, actions)
    header, again = load(tmp_path / "till.jsonl")
    assert (header, again) == ({"seed": 7}, actions)
    assert str(play(Till, again)) == str(broken)


def test_broken_law_of_the_venue_leaves_a_short_tape_that_can_be_played_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A law that is false on purpose: that no position is ever larger than ten coins."""

    def small(laws: Laws, look: Look) -> None:
        largest = max(abs(each.size) for each in look.accounts.values())
        laws.hold("positions stay small", largest <= 10 * 10**18, largest)

    monkeypatch.setattr(Laws, "_positions", small)
    with pytest.raises(Broken, match="positions stay small"):
        soak("full", range(1), tmp_path)
    (path,) = tmp_path.glob("*.jsonl")
    assert len(load(path)[1]) <= 3
    assert main(path) == 1
    assert "positions stay small" in capsys.readouterr().out
    monkeypatch.undo()
    assert main(path) == 0
