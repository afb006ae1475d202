"""The lockstep clock: its parts, and whole runs on a real node."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from small_world import SMALL, play, small_run

from keeper.errors import InputError
from keeper.execution.journal import Journal
from keeper.simulation import scenario, tape
from keeper.simulation.engine import RunResult, check_engine
from keeper.simulation.lockstep import Agenda, Outbox
from keeper.state.decision import Call, Order, OrderStatus


def records(run: RunResult, kind: str) -> list[dict[str, Any]]:
    return [record for record in tape.read(run.folder.path / "tape.jsonl") if record["kind"] == kind]


def test_agenda_gives_each_instant_once_and_in_order() -> None:
    agenda = Agenda()
    for time in (30, 10, 20, 10):
        agenda.add(time)
    assert [agenda.next() for _ in range(4)] == [10, 20, 30, None]
    agenda.add(10)
    assert agenda.next() == 10


def test_outbox_releases_what_is_due_in_the_order_in_which_it_came() -> None:
    from keeper.execution.transactions import Transaction

    def named(key: str) -> Transaction:
        order = Order(key, "hedger", Call.HEDGE, "0x", "hedge", ())
        return Transaction(order, "0x", 0, "0x", b"", 0, 0, "0x", "0x")

    outbox = Outbox()
    for key, release in (("late", 20), ("first", 10), ("second", 10)):
        outbox.put(named(key), release)
    assert [one.order.key for one in outbox.due(9)] == []
    assert [one.order.key for one in outbox.due(10)] == ["first", "second"]
    assert [one.order.key for one in outbox.due(99)] == ["late"]


@pytest.mark.parametrize("engine", ["evm", "twin", "nonsense"])
def test_an_engine_that_cannot_play_is_named_with_those_that_can(engine: str) -> None:
    with pytest.raises(InputError, match=f"engine '{engine}' cannot play this scenario: available: anvil"):
        check_engine(engine)


@pytest.mark.anvil
def test_the_same_scenario_and_seed_give_the_same_tape_byte_for_byte() -> None:
    one, two = ((small_run(copy).folder.path / "tape.jsonl").read_bytes() for copy in (0, 1))
    assert one == two
    assert len(one.splitlines()) > 100


@pytest.mark.anvil
def test_another_seed_gives_another_tape(tmp_path: Path) -> None:
    other = play(scenario.loads(SMALL.replace("seed: 7", "seed: 8").replace("3h", "1h"), "small.yaml"), tmp_path)
    prices = [record["price"] for record in records(other, "price")]
    assert prices[1:] != [record["price"] for record in records(small_run(), "price")][1 : len(prices)]


@pytest.mark.anvil
def test_everything_that_should_happen_happens() -> None:
    """Series listed, straddle bought, hedges sent and settled, expiry fixed and settled, next straddle bought."""
    run = small_run()
    calls = Counter(record["call"] for record in records(run, "order"))
    assert calls[Call.LIST_SERIES] == 4
    assert calls[Call.ROLL] == 2
    assert calls[Call.FIX_EXPIRY] == 1
    assert calls[Call.SETTLE_SERIES] == 4
    assert calls[Call.HEDGE] == calls[Call.SETTLE] > 4
    statuses = {record["status"] for record in records(run, "result")}
    assert statuses == {OrderStatus.CONFIRMED}
    assert run.finished
    assert run.passed


@pytest.mark.anvil
def test_a_transaction_lands_exactly_one_latency_after_its_decision() -> None:
    run = small_run()
    decided = {record["key"]: record["t"] for record in records(run, "order")}
    for record in records(run, "result"):
        oracle = record["order"].startswith(("price:", "vol:"))
        assert record["t"] - decided[record["order"]] == (0 if oracle else 1)


@pytest.mark.anvil
def test_a_hedge_fills_at_the_price_of_exactly_its_benchmark_time() -> None:
    """Commit one second after the decision, benchmark two seconds later, settled one second after that."""
    run = small_run()
    prices = {record["t"]: record["price"] for record in records(run, "price")}
    fills = [record for record in records(run, "event") if record["event"] == "Fill"]
    assert fills
    for fill in fills:
        assert fill["index_price"] == pytest.approx(prices[fill["t"] - 1], rel=1e-15)


@pytest.mark.anvil
def test_the_parts_of_each_vault_sum_to_its_change_in_nav() -> None:
    for name, deposit in (("scalper", 1_000_000.0), ("underwriter", 5_000_000.0)):
        vault = small_run().summary["vaults"][name]
        gross = sum(abs(part) for part in vault["attribution"].values())
        assert abs(sum(vault["attribution"].values()) - vault["pnl"]) <= 1e-9 * gross
        assert abs(vault["nav"] - deposit - vault["pnl"]) <= 1e-9 * deposit
        assert vault["unexplained_ratio"] < 0.01


@pytest.mark.anvil
def test_what_the_scalper_pays_in_premium_the_underwriter_receives() -> None:
    vaults = small_run().summary["vaults"]
    for part in ("theta", "spread", "gamma", "vega"):
        paid, received = (vaults[name]["attribution"][part] for name in ("scalper", "underwriter"))
        assert paid == pytest.approx(-received, rel=1e-9)
    assert vaults["scalper"]["attribution"]["gamma"] > 0.0 > vaults["scalper"]["attribution"]["theta"]


@pytest.mark.anvil
def test_the_journal_holds_every_order_with_its_end() -> None:
    run = small_run()
    journal = Journal(run.folder.path / "journal.sqlite")
    ended = {record["order"]: record["status"] for record in records(run, "result")}
    for journaled in journal.orders():
        assert ended[journaled.transaction.order.key] == journaled.result.status
    journal.close()


@pytest.mark.anvil
def test_an_outage_silences_the_keeper_and_nobody_else(tmp_path: Path) -> None:
    text = SMALL.replace("assert:", "shocks:\n  - {at: 30m, outage: keeper, for: 20m}\nassert:")
    run = play(scenario.loads(text.replace("3h", "80m"), "small.yaml"), tmp_path)
    start, end = run.summary["start"] + 1_800, run.summary["start"] + 3_000
    quiet = [record for record in records(run, "order") if start <= record["t"] < end]
    assert {record["call"] for record in quiet} == {Call.PUBLISH_PRICE, Call.SUBMIT_VOLATILITY}
    assert [record for record in records(run, "decision") if record["t"] == end]
    assert not [record for record in records(run, "decision") if start <= record["t"] < end]
