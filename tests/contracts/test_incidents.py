"""What has gone wrong at other venues, one regression each on the real bytecode. `docs/incidents.md` is the index."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from option_world import OptionWorld, straddle_world
from venue_world import ADL_WINDOW, VenueWorld, parameters, refusal

from keeper.chain import accounts, artifacts, reports
from keeper.chain.contract import Contract, Receipt
from keeper.chain.deploy_config import price_limits
from keeper.chain.evm import Evm
from keeper.units import SECONDS_PER_DAY, WAD, to_gwei, to_wad

ENGINES = ("FullLiquidation", "RateLimitedLiquidation", "DutchAuctionLiquidation")
RAY = 10**27


def opened(**settings: Any) -> VenueWorld:
    """A long and a short of 1,000 coins from 2,000, with 100,000 each, and somebody with nothing but cash."""
    world = VenueWorld(**{"locked_ratio": 0, "insurance_cash": 0, **settings})
    for role, size in (("long", 1_000), ("short", -1_000)):
        world.deposit(role, 100_000)
        world.trade(role, size)
    world.deposit("bystander", 50_000)
    return world


# -- 1: GMX v1, July 2025 ----------------------------------------------------------------------------------------------


def mischievous() -> VenueWorld:
    """A venue on a token that calls back, and whose account could do all that it tries: only the lock stops it."""
    world = opened(token_kind="MischiefToken", pool_cash=1_000_000)
    provider = world.account("provider")
    world.pool.send("requestExit", world.pool.call("balanceOf", provider) // 2, sender=provider)
    world.deposit(world.token.address, 10_000)
    world.commit("long", 1)
    world.cool_down()
    return world


def ways_in(world: VenueWorld) -> list[tuple[Contract, str, tuple[Any, ...]]]:
    hint = world.feed.call("roundAt", world.perp.call("benchmarkTime", world.account("long")) - 1) + 1
    return [
        (world.house, "withdraw", (1, world.token.address)),
        (world.perp, "commit", (WAD, 2**127)),
        (world.perp, "settle", (world.account("long"), hint)),
        (world.waterfall, "settleDeficit", ()),
        (world.pool, "totalAssets", ()),
        (world.pool, "convertToAssets", (WAD,)),
        (world.pool, "previewRedeem", (WAD,)),
    ]


@pytest.mark.parametrize("outside", ["deposit", "withdraw", "provide", "redeem"])
def test_incident_01_token_that_calls_back_gets_nowhere_and_sees_no_share_price(outside: str) -> None:
    world = mischievous()
    provider = world.account("provider")
    world.token.send("mint", provider, 1)

    def elsewhere() -> Receipt:
        return world.token.send("transfer", world.admin, 1, sender=provider)

    moves = {
        "deposit": lambda: world.deposit("long", 1),
        "withdraw": lambda: world.withdraw("bystander", 1),
        "provide": lambda: world.provide("provider", 1),
        "redeem": lambda: world.pool.send("redeem", WAD, provider, provider, sender=provider),
    }
    for target, function, arguments in ways_in(world):
        assert calls_back(world, target, function, arguments, elsewhere) is True, function
        assert calls_back(world, target, function, arguments, moves[outside]) is False, function


def calls_back(
    world: VenueWorld, target: Contract, function: str, arguments: tuple[Any, ...], move: Callable[[], Any]
) -> bool:
    """Whether the token's call gets through in the middle of a move; undone afterwards."""
    with world.evm.rolled_back():
        attempts = world.token.call("attempts")
        world.token.send("arm", target.address, target.encode(function, *arguments))
        move()
        assert world.token.call("attempts") == attempts + 1
        return bool(world.token.call("succeeded"))


# -- 2: KiloEx, April 2025 ---------------------------------------------------------------------------------------------

SHARES = {"approve", "permit", "transfer", "transferFrom"}
OPEN_TO_ALL = {
    "Clearinghouse": {"deposit", "withdraw"},
    "PerpMarket": {"commit", "settle", "cancel"},
    "LiquidityPool": {"deposit", "mint", "withdraw", "redeem", "requestExit", *SHARES},
    "Waterfall": {"adl", "review", "settleDeficit"},
    "FullLiquidation": {"liquidate"},
    "DutchAuctionLiquidation": {"bid", "liquidate"},
    "PriceFeed": {"crossCheck", "pull", "renounceRole"},
    "VolatilityFeed": {"submit", "renounceRole"},
    "OptionMarket": {"fix", "renounceRole", "repay", "setQuoting", "settle", "trade"},
}
"""Everything else that changes state is somebody's: an owner's, a role's, a module's."""
ROLE_ERRORS = {
    "AccessControlUnauthorizedAccount",
    "NotEngine",
    "NotLockOwner",
    "NotModule",
    "NotWaterfall",
    "OwnableUnauthorizedAccount",
}


def guarded(name: str) -> list[dict[str, Any]]:
    """Functions of a contract that change state and are not for everybody."""
    changing = [e for e in artifacts.load(name).abi if e.get("stateMutability") == "nonpayable" and "name" in e]
    names = {entry["name"] for entry in changing}
    assert OPEN_TO_ALL.get(name, set()) <= names
    return [entry for entry in changing if entry["name"] not in OPEN_TO_ALL.get(name, set())]


def some(kind: dict[str, Any], data: st.DataObject, world: VenueWorld) -> Any:
    """Any value of an ABI type."""
    name = kind["type"]
    if name.endswith("[]"):
        return [some(kind | {"type": name[:-2]}, data, world)]
    if name == "tuple":
        return tuple(some(part, data, world) for part in kind["components"])
    if name == "address":
        return data.draw(st.sampled_from([world.account("long"), world.pool.address, world.house.address, world.admin]))
    if name == "bool":
        return data.draw(st.booleans())
    if name.startswith("bytes"):
        return b"\1" * int(name[5:] or 4)
    bits = int(name.removeprefix("u").removeprefix("int"))
    return data.draw(st.integers(0, 2 ** (bits - 1) - 1))


@cache
def matrix_world() -> OptionWorld:
    """One venue with everything for all examples: nothing in them changes it."""
    return OptionWorld()


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_incident_02_every_function_that_is_somebodys_refuses_everybody_else(data: st.DataObject) -> None:
    world = matrix_world()
    parts = {
        "Clearinghouse": world.house, "PerpMarket": world.perp, "LiquidityPool": world.pool,
        "InsuranceFund": world.fund, "Waterfall": world.waterfall, "FullLiquidation": world.engine,
        "DutchAuctionLiquidation": world.auction, "PriceFeed": world.feed, "VolatilityFeed": world.surface,
        "OptionMarket": world.market,
    }  # fmt: skip
    caller = data.draw(st.sampled_from(["stranger", "trader", "keeper", "provider"]))
    for name, contract in parts.items():
        for entry in guarded(name):
            arguments = [some(kind, data, world) for kind in entry["inputs"]]
            revert = refusal(contract.send, entry["name"], *arguments, sender=world.account(caller))
            assert revert.name in ROLE_ERRORS, (name, entry["name"], revert)


def test_incident_02_price_that_comes_through_a_forwarder_or_with_a_strangers_signature_is_refused() -> None:
    world = OptionWorld()
    call = world.feed.encode("publish", to_wad(1))
    assert refusal(world.module.send, "run", world.feed.address, call).name == "AccessControlUnauthorizedAccount"
    report = reports.Report.of(world.evm.timestamp + SECONDS_PER_DAY, world.evm.timestamp, 0.01, -0.1, 0.01)
    signed = reports.sign(report, accounts.key_of("hedger"), world.evm.chain_id, world.surface.address)
    assert refusal(world.surface.send, "submit", *reports.submission([signed])).name == "NotReporter"
    assert len(world.surface.call("expiries")) == 0


# -- 3: Synthetix M-06 -------------------------------------------------------------------------------------------------


def test_incident_03_order_that_the_pool_cannot_carry_ends_at_its_settlement_and_waits_for_no_better_price() -> None:
    world = VenueWorld(pool_cash=50_000)
    for role in ("first", "second"):
        world.deposit(role, 100_000)
        world.commit(role, 100)
    hint = world.move(2_000, seconds=2)
    assert world.settle("first", hint).result is True
    assert world.settle("second", hint).result is False
    world.deposit(world.pool.address, 1_000_000)
    world.move(2_200)
    assert refusal(world.settle, "second", hint).name == "NoOrder"
    assert world.size("second") == 0


@pytest.mark.parametrize("later", [1_500, 2_600])
def test_incident_03_way_out_of_a_position_never_depends_on_the_pools_credit(later: float) -> None:
    world = VenueWorld(pool_cash=50_000)
    world.deposit("trader", 100_000)
    world.trade("trader", 100)
    world.commit("trader", -100)
    hint = world.move(2_000, seconds=2)
    world.hand_over(world.pool.address, "spare", world.cash(world.pool.address))
    world.move(later)
    (settled,) = world.settle("trader", hint).events("OrderSettled")
    assert (settled["index"], world.size("trader")) == (to_wad(2_000), 0)


# -- 4: Perpetual Protocol v1, May 2022 --------------------------------------------------------------------------------


def test_incident_04_one_large_liquidation_drains_no_more_than_the_cap_and_the_order_of_paying_is_fixed() -> None:
    world = opened(insurance_cash=500_000, max_per_event=5_000, pool_cash=60_000)
    world.move(2_300)
    receipt = world.liquidate("short")
    (deficit,) = receipt.events("BadDebtRecorded")
    (insured,) = receipt.events("BadDebtCovered")
    assert (insured["payer"], insured["amount"]) == (world.fund.address, to_wad(5_000))
    with world.evm.rolled_back():
        (paid,) = world.adl("long").events("Deleveraged")
        assert paid["price"] == world.price()
        assert paid["haircut"] == deficit["amount"] - insured["amount"]
    world.move(2_300, ADL_WINDOW)
    own = world.pool.call("equity", world.price())
    from_pool, socialised = world.settle_deficit().result
    assert (from_pool, socialised) == (own, deficit["amount"] - insured["amount"] - own)
    assert world.house.call("badDebt") == 0


# -- 5: Perpetual Protocol v2 ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine_kind", ENGINES)
def test_incident_05_empty_fund_and_an_open_order_stop_no_liquidation(engine_kind: str) -> None:
    world = opened(engine_kind=engine_kind, pool_cash=1_000, liquidation_cap=1_000)
    world.commit("short", -1)
    world.move(2_200, 1)
    assert world.cash(world.fund.address) < to_wad(1_000)
    receipt = world.liquidate("short")
    assert receipt.events("OrderCancelled")
    if engine_kind == "DutchAuctionLiquidation":
        assert receipt.events("AuctionStarted")
        return
    assert world.size("short") == 0 < world.house.call("badDebt")


# -- 6: Hyperliquid JELLY, March 2025 ----------------------------------------------------------------------------------


def test_incident_06_rich_pool_neither_inherits_the_position_nor_holds_deleveraging_back() -> None:
    world = opened(pool_cash=50_000_000)
    world.deposit(world.fund.address, 500)
    world.move(2_200)
    pool = world.cash(world.pool.address)
    receipt = world.liquidate("short")
    left = world.house.call("recordedBadDebt")
    closed, fund = receipt.events("PositionClosed")[0], receipt.events("BadDebtCovered")
    assert world.size("short") == world.size(world.pool.address) == world.size(world.engine.address) == 0
    assert [event["payer"] for event in fund] == [world.fund.address]
    gained = world.cash(world.pool.address) - pool
    assert gained == -closed["pnl"] - closed["funding"] + closed["fee"] - closed["fee"] // 5
    assert world.adl("long").result[0] == left > 0


def test_incident_06_open_interest_is_capped_by_value_so_a_pumped_coin_cannot_be_piled_on() -> None:
    world = VenueWorld(settings={"maxOpenInterestValue": to_wad(2_500_000)})
    world.deposit("trader", 10_000_000)
    world.trade("trader", 1_000)
    world.move(4_000)
    assert refusal(world.commit, "trader", 1).name == "OpenInterestValueExceeded"
    assert world.trade("trader", -10).result is True


# -- 7: 10 October 2025 ------------------------------------------------------------------------------------------------


def deleveraged_vault() -> tuple[OptionWorld, float, int, Receipt]:
    """A vault whose short hedge wins in a crash what a long cannot pay; its delta and NAV before, and the ADL."""
    world = straddle_world(400.0)
    world.later(600, 2_150.0)
    world.hedge(world.scalper, -min(round(world.net_delta(world.scalper), 6), 200.0))
    world.settle_hedge(world.scalper)
    world.hand_over(world.fund.address, "spare", world.cash(world.fund.address))
    world.deposit("long", 300_000)
    world.trade("long", 2_000)
    world.later(60, 1_950.0)
    world.liquidate("long")
    assert world.house.call("recordedBadDebt") > 0
    delta, nav = world.net_delta(world.scalper), int(world.scalper.call("totalAssets"))
    return world, delta, nav, world.adl(world.scalper.address)


def test_incident_07_hedger_that_is_deleveraged_learns_it_from_the_event_and_hedges_again_in_the_same_block() -> None:
    world, delta, nav, receipt = deleveraged_vault()
    (event,) = receipt.events("Deleveraged")
    assert event["account"] == world.scalper.address
    closed = event["sizeDelta"] / WAD
    assert closed > 0
    assert world.net_delta(world.scalper) == pytest.approx(delta + closed, abs=1e-6)
    lost = nav - int(world.scalper.call("totalAssets"))
    assert abs(lost * 10**12 - event["haircut"]) <= 2 * 10**12
    time = world.evm.timestamp
    world.hedge(world.scalper, -round(world.net_delta(world.scalper), 6))
    assert world.evm.timestamp == time
    assert abs(world.net_delta(world.scalper)) < 1e-5


# -- 8: Moonwell, November 2025 ----------------------------------------------------------------------------------------


class BoundedEvm(Evm):
    """Deploys price feeds that accept no move above half the price."""

    def deploy(self, name: str, *args: Any, sender: str | None = None) -> Contract:
        if name == "PriceFeed":
            args = (*args[:-1], price_limits(3_600, 0.5))
        return super().deploy(name, *args, sender=sender)


@pytest.mark.parametrize("factor", [1e6, 1e-6, 1.6, 0.4])
def test_incident_08_price_that_is_a_million_times_off_mints_and_liquidates_nothing(factor: float) -> None:
    world = opened(evm=BoundedEvm(), pool_cash=1_000_000)
    world.evm.advance(1)
    before = [world.margin(role) for role in ("long", "short")], world.pool.call("totalAssets")
    assert refusal(world.publish, 2_000 * factor).name == "PriceOutOfBounds"
    assert world.price() == to_wad(2_000)
    assert ([world.margin(role) for role in ("long", "short")], world.pool.call("totalAssets")) == before
    for role in ("long", "short"):
        assert refusal(world.liquidate, role).name == "NotLiquidatable"


@pytest.mark.parametrize("field_name", ["theta", "psi"])
def test_incident_08_surface_that_is_a_million_times_off_is_not_stored(field_name: str) -> None:
    world = OptionWorld()
    world.list_series(2_000.0, True)
    expiry = world.expiries[0]
    before = world.slice_of(expiry)
    values = {"theta": before[0] / WAD, "psi": before[2] / WAD}
    values[field_name] *= 1e6
    report = reports.Report.of(expiry, world.evm.timestamp, values["theta"], -0.1, values["psi"])
    signed = reports.sign(report, accounts.key_of("reporter"), world.evm.chain_id, world.surface.address)
    revert = refusal(world.surface.send, "submit", *reports.submission([signed]))
    assert revert.name == "NotAdmissible"
    assert world.slice_of(expiry) == before


# -- 9: what GMX lists about itself ------------------------------------------------------------------------------------


def test_incident_09_keeper_chooses_when_to_settle_and_nothing_else() -> None:
    world = VenueWorld()
    world.deposit("trader", 100_000)
    world.commit("trader", 100)
    hint = world.move(2_000, seconds=2)
    fills = []
    for later in (2_000, 2_200, 1_900):
        with world.evm.rolled_back():
            world.move(later)
            fills.append(world.settle("trader", hint).events("OrderSettled")[0]["fill"])
            assert refusal(world.settle, "trader", hint + 1).name == "NoOrder"
    assert len(set(fills)) == 1
    world.move(2_100)
    assert refusal(world.settle, "trader", hint + 1).name == "NotFirstRoundAfter"


def test_incident_09_silent_price_stops_what_needs_one_and_lets_idle_cash_go() -> None:
    world = opened()
    world.evm.advance(3_601)
    for door, *arguments in (
        (world.commit, "long", 1),
        (world.liquidate, "long"),
        (world.withdraw, "long", 1),
        (world.settle_deficit,),
        (world.adl, "long"),
    ):
        assert refusal(door, *arguments).name == "PriceTooOld"
    world.withdraw("bystander", 50_000)


def test_incident_09_going_in_and_out_at_one_price_earns_no_impact() -> None:
    world = VenueWorld()
    world.deposit("gamer", 1_000_000)
    world.deposit("skewer", 1_000_000)
    world.trade("skewer", -3_000)
    before = world.cash("gamer")
    for size in (3_000, -1_000, -1_500, -500):
        world.trade("gamer", size)
    assert world.size("gamer") == 0
    assert world.cash("gamer") < before


def test_incident_09_order_in_flight_does_not_keep_a_position_from_being_deleveraged() -> None:
    world = opened()
    world.move(2_200)
    world.liquidate("short")
    world.commit("long", -1_000)
    (event,) = world.adl("long").events("Deleveraged")
    assert event["account"] == world.account("long")


# -- 10: Synthetix L-21 ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine_kind", ["FullLiquidation", "RateLimitedLiquidation"])
@pytest.mark.parametrize("gwei", [1, 50])
@pytest.mark.parametrize("size", [0.000001, 0.01, 10.0])
def test_incident_10_liquidating_dust_pays_for_its_gas_up_to_the_highest_base_fee(
    engine_kind: str, gwei: int, size: float
) -> None:
    world = VenueWorld(engine_kind=engine_kind)
    world.deposit("trader", 300 + size * 200)
    world.trade("trader", size)
    equity, _, maintenance = world.margin("trader")
    world.hand_over("trader", "spare", equity - maintenance + 1)
    world.evm.base_fee = to_gwei(gwei)
    receipt = world.liquidate("trader")
    reward = receipt.events("Liquidated")[0]["reward"]
    assert reward * WAD >= receipt.gas_used * world.evm.base_fee * world.price()
    assert world.cash("liquidator") == reward
    assert world.cash("trader") >= 0
    assert world.house.call("badDebt") == 0


# -- 11: two prices in one call ----------------------------------------------------------------------------------------


def test_incident_11_liquidation_judges_closes_and_pays_at_one_price() -> None:
    world = opened()
    world.move(2_200)
    receipt = world.liquidate("short")
    assert {event["index"] for event in receipt.events("PositionClosed")} == {world.price()}
    assert {event["price"] for event in receipt.events("Liquidated")} == {world.price()}


def test_incident_11_late_settlement_asks_for_margin_at_the_price_that_it_fills_at() -> None:
    world = VenueWorld()
    world.deposit("trader", 10_000)
    world.commit("trader", 80)
    hint = world.move(2_000, seconds=2)
    for later in (1_000, 3_000):
        with world.evm.rolled_back():
            world.move(later)
            assert world.settle("trader", hint).result is True


# -- 12: a cap that is zero means no cap -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("skewScale", 0),
        ("maxOpenInterest", 0),
        ("maxOpenInterestValue", 0),
        ("maxOrderSize", 0),
        ("minInitialMarginRatio", 0),
        ("maintenanceScalar", WAD),
        ("maxInitialMarginRatio", to_wad(0.01)),
        ("minMargin", 0),
    ],
)
def test_incident_12_setting_that_would_switch_a_protection_off_is_refused_by_name(name: str, value: int) -> None:
    world = VenueWorld()
    revert = refusal(world.perp.send, "proposeParameters", parameters(**{name: value}), sender=world.admin)
    assert revert.name == "BadParameter"


def test_incident_12_market_without_fees_still_liquidates_no_more_than_its_cap() -> None:
    free = {"makerFee": 0, "takerFee": 0}
    world = opened(engine_kind="RateLimitedLiquidation", settings=free, liquidation_cap=50)
    world.move(2_200)
    world.liquidate("short")
    assert world.size("short") == -to_wad(950)
    markets = [world.perp.address]
    revert = refusal(world.evm.deploy, "RateLimitedLiquidation", world.house.address, markets, 30, 0, to_wad(0.1))
    assert revert.name == "BadSetting"


# -- 13: flatmoney 129 and 261 -----------------------------------------------------------------------------------------


def test_incident_13_cap_that_the_price_has_overrun_is_asked_again_when_the_order_fills() -> None:
    world = VenueWorld(settings={"maxOpenInterestValue": to_wad(2_100_000)})
    world.deposit("trader", 1_000_000)
    world.commit("trader", 1_000)
    hint = world.move(2_200, seconds=2)
    (cancelled,) = world.settle("trader", hint).events("OrderCancelled")
    assert cancelled["reason"].rstrip(b"\0") == b"open interest"
    assert world.size("trader") == 0


def test_incident_13_open_profit_counts_against_what_the_pool_may_carry() -> None:
    world = VenueWorld(pool_cash=100_000)
    world.deposit("trader", 1_000_000)
    world.trade("trader", 200)
    world.commit("trader", 1)
    world.settle("trader", world.move(2_000, seconds=2))
    world.move(2_300)
    assert refusal(world.commit, "trader", 1).name == "PoolTooSmall"


# -- 14: Sentiment v2 --------------------------------------------------------------------------------------------------


def test_incident_14_partial_liquidation_leaves_no_debt_behind_and_nobody_outruns_the_haircut() -> None:
    world = opened(engine_kind="RateLimitedLiquidation", pool_cash=20_000, liquidation_cap=250)
    world.move(2_250)
    calls = 0
    while world.size("short"):
        world.liquidate("short")
        world.move(2_250, 30)
        calls += 1
    left = world.house.call("badDebt")
    assert calls > 1
    assert (world.cash("short"), left > to_wad(100_000)) == (0, True)
    for role in ("bystander", "long", "liquidator"):
        assert refusal(world.withdraw, role, 1).name == "WithdrawalsBlocked"
    before = world.cash("bystander")
    world.move(2_250, ADL_WINDOW)
    _, socialised = world.settle_deficit().result
    index = world.house.call("haircutIndex")
    assert socialised > 0
    assert index < RAY
    assert world.cash("bystander") == before * index // RAY
    world.withdraw("bystander", world.cash("bystander") // 10**12 / 10**6)


# -- the index ---------------------------------------------------------------------------------------------------------


def test_index_of_incidents_is_complete_and_every_test_that_it_names_exists(root: Path) -> None:
    page = (root / "docs" / "incidents.md").read_text()
    rows = re.findall(r"^\| (\d+) \|", page, re.MULTILINE)
    assert [int(row) for row in rows] == [*range(1, 15), *range(26, 34)]
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", page)
    for path, test in named:
        assert re.search(rf"^def {test}\(", (root / path).read_text(), re.MULTILINE), f"{path} has no {test}"
    own = {test for path, test in named if path == "tests/contracts/test_incidents.py"}
    written = set(re.findall(r"^def (test_incident_\w+)\(", Path(__file__).read_text(), re.MULTILINE))
    assert own == written
