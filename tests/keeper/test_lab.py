"""The liquidation laboratory: what a crash does to a venue adds up, ends, and is the same whoever plays it."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest
from venue_world import ADL_WINDOW, VenueWorld

from keeper import cli
from keeper.simulation import inprocess
from keeper.simulation.cascade import built_in_crash, run_cascade, worst_day
from keeper.simulation.cascade_result import CascadeResult
from keeper.simulation.cascade_sweep import run_cells
from keeper.simulation.cascade_world import CascadeConfig
from keeper.simulation.inprocess import GAS
from keeper.state.decision import Call
from keeper.units import WAD
from keeper.views.cascade import MEASURES, markdown

BLOCK = CascadeConfig("isolated", "full").block_time
CELLS = (("isolated", "full"), ("cross", "rate-limited"), ("fragmented", "auction"))
BARS = worst_day(built_in_crash(1), 6.0)
SHORT = worst_day(built_in_crash(1), 2.0)


@cache
def played(margin: str, engine: str) -> CascadeResult:
    """Twenty traders through the six worst hours."""
    return run_cascade(CascadeConfig(margin, engine), BARS, count=20)  # type: ignore[arg-type]


@pytest.mark.parametrize(("margin", "engine"), CELLS)
def test_bad_debt_is_paid_by_somebody_or_open(margin: str, engine: str):
    result = played(margin, engine)
    payers = (result.insurance, result.adl_haircut, result.pool, result.socialised, result.open_debt)
    assert min(payers) >= 0.0
    assert result.bad_debt == pytest.approx(sum(payers), abs=1e-6)
    assert result.adl_notional >= result.adl_haircut


@pytest.mark.parametrize(("margin", "engine"), CELLS)
def test_every_breach_ends_while_prices_are_fresh(margin: str, engine: str):
    result = played(margin, engine)
    assert result.breached >= 5
    assert result.perps.times + result.options.times >= result.breached
    assert result.unresolved == 0
    assert result.open_debt == 0.0


@pytest.mark.parametrize(("margin", "engine"), CELLS)
def test_keeper_profit_is_the_sum_of_where_it_comes_from(margin: str, engine: str):
    result = played(margin, engine)
    parts = result.keeper_rewards + result.keeper_trading - result.keeper_gas
    assert result.keeper_profit == pytest.approx(parts, abs=1e-6)
    assert result.keeper_gas > 0.0
    assert sum(result.refused.values()) < sum(result.transactions.values())


def test_full_engine_closes_every_account_without_options_in_the_next_block():
    assert played("isolated", "full").perps.most <= BLOCK


def test_cross_margin_lets_hedged_writers_hold_more_and_the_others_less():
    isolated, cross = played("isolated", "full"), played("cross", "rate-limited")
    assert cross.writer_leverage > isolated.writer_leverage
    assert cross.leverage < isolated.leverage


def test_shortage_of_insurance_reaches_the_winners():
    config = CascadeConfig("isolated", "auction", leverage=(15.0, 20.0), insurance=0.0, insurance_per_event=0.0)
    result = run_cascade(config, BARS, count=20)
    assert result.bad_debt > 0.0
    assert result.adl_haircut + result.pool + result.socialised + result.insurance == pytest.approx(result.bad_debt)


# the same whoever plays it, and however it is read


def test_number_of_workers_changes_nothing():
    configs = [CascadeConfig("isolated", "full"), CascadeConfig("cross", "auction")]
    told: list[float] = []
    alone = run_cells(configs, SHORT, 3, 8, 1)
    both = run_cells(configs, SHORT, 3, 8, 2, told.append)
    assert json.dumps([each.as_dict() for each in alone]) == json.dumps([each.as_dict() for each in both])
    assert told[-1] == 1.0
    assert told == sorted(told)


def test_another_seed_is_another_crowd():
    config = CascadeConfig("isolated", "full")
    assert run_cascade(config, SHORT, 3, 8) != run_cascade(config, SHORT, 4, 8)


@pytest.mark.parametrize("margin", ["isolated", "cross"])
def test_remembering_far_accounts_changes_nothing(margin: str, monkeypatch: pytest.MonkeyPatch):
    config = CascadeConfig(margin, "full", leverage=(10.0, 20.0), writers=0.8)  # type: ignore[arg-type]
    bars = worst_day(built_in_crash(1), 3.0)
    remembered = run_cascade(config, bars, 3, 8)
    monkeypatch.setattr(inprocess, "MEMORY", 0)
    assert run_cascade(config, bars, 3, 8) == remembered
    assert remembered.options.times > 0


def test_gas_that_calls_are_charged_is_what_they_use_on_anvil():
    snapshot = json.loads((Path(__file__).parents[1] / "contracts" / "gas_snapshot.json").read_text())
    for call, row in ((Call.TRADE, "commit"), (Call.SETTLE, "settle"), (Call.LIQUIDATE, "liquidate")):
        assert GAS[call] - 10_000 < snapshot[row]["gas"] <= GAS[call]


# the command


def test_json_is_one_object_with_a_result_for_each_cell(capsys: pytest.CaptureFixture[str]):
    arguments = ["--accounts", "6", "--hours", "1", "--margins", "isolated", "--engines", "full,auction"]
    assert cli.run(["lab", "cascade", *arguments, "--workers", "1", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["seed"], shown["accounts"]) == (1, 6)
    assert [(each["margin"], each["liquidation"]) for each in shown["results"]] == [
        ("isolated", "full"),
        ("isolated", "auction"),
    ]


def test_markdown_has_a_row_for_each_measure_and_a_column_for_each_venue():
    lines = markdown([played(*cell) for cell in CELLS]).splitlines()
    assert len(lines) == 2 + len(MEASURES)
    assert {line.count("|") for line in lines} == {len(CELLS) + 2}
    assert lines[0] == "| USD, seconds | isolated, full | cross, rate-limited | fragmented, auction |"


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        (["--engines", "full,slow"], "--engines has 'slow': choose from full, rate-limited, auction"),
        (["--margins", ""], "--margins has ''"),
        (["--prices", "no-such-file.csv"], "no-such-file.csv"),
        (["--accounts", "0"], "accounts is 0"),
        (["--workers", "0"], "workers is 0"),
        (["--hours", "0"], "hours is 0"),
        (["--hours", "nan"], "hours is nan"),
        (["--hours", "inf"], "hours is inf"),
        (["--hours", "0.01"], "hours is 0.01"),
        (["--json", "--markdown"], "exclude each other"),
    ],
)
def test_bad_input_is_refused_in_one_line(wrong: list[str], complaint: str, capsys: pytest.CaptureFixture[str]):
    assert cli.run(["lab", "cascade", *wrong]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert complaint in shown.err
    assert shown.err.count("\n") == 1


# the worked example of docs/liquidation.md


def usd(wad: int) -> float:
    return round(wad / WAD, 2)


def test_worked_example_every_payer_of_the_waterfall_in_turn():
    world = VenueWorld(pool_cash=30_000, insurance_cash=50_000, max_per_event=5_000, locked_ratio=0)
    opened = (("short", -1_000, 100_000), ("long", 300, 30_000), ("leaver", 700, 70_000))
    for role, size, cash in opened:
        world.deposit(role, cash)
        world.commit(role, size)
    benchmark = world.move(2_000, seconds=2)
    for role, _, _ in opened:
        world.settle(role, benchmark)
    world.deposit("saver", 50_000)
    world.move(2_200)

    closed = world.liquidate("short")
    (fill,) = closed.events("PositionClosed")
    assert (usd(fill["fill"]), usd(fill["pnl"]), usd(fill["fee"])) == (2_203.14, -206_000.0, 1_101.57)
    (liquidated,) = closed.events("Liquidated")
    assert (usd(liquidated["reward"]), usd(liquidated["badDebt"])) == (661.1, 108_761.94)
    assert usd(closed.events("BadDebtCovered")[0]["amount"]) == 5_000.0
    assert usd(world.house.call("badDebt")) == 103_761.94

    world.trade("leaver", -700)
    (deleveraged,) = world.adl("long").events("Deleveraged")
    assert usd(deleveraged["haircut"]) == usd(deleveraged["pnl"]) == 61_457.14
    assert usd(world.house.call("badDebt")) == 42_304.8

    world.move(2_200, ADL_WINDOW)
    saved = world.cash("saver")
    from_pool, socialised = world.settle_deficit().result
    assert (usd(from_pool), usd(socialised)) == (32_529.37, 9_775.43)
    assert round(world.cash("saver") / saved, 4) == 0.9668
    assert world.house.call("badDebt") == 0
