"""The configuration validator of PerpMarket: what it refuses, and that whatever it accepts keeps the invariants."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from venue_world import NO_ADDRESS, PARAMETERS, START_PRICE, VenueWorld, parameters, refusal

from keeper.chain.abi import Revert
from keeper.chain.contract import Contract
from keeper.chain.deploy_config import price_limits, price_sources
from keeper.chain.evm import Evm
from keeper.units import WAD, to_gwei, to_wad

HOUR, DAY = 3_600, 86_400


@pytest.fixture(scope="module")
def world() -> VenueWorld:
    world = VenueWorld()
    world.deposit("trader", 200_000)
    return world


# -- refusals ----------------------------------------------------------------------------------------------------------

REFUSED = [
    ("skewScale", 0),  # divides everything
    ("skewScale", to_wad(39_999)),  # a fill could be further than half the index away
    ("skewScale", 10**32 + 1),
    ("makerFee", to_wad(0.0006)),  # above the taker fee
    ("takerFee", to_wad(0.011)),
    ("maxFundingVelocity", to_wad(1_001)),
    ("fundingRateCap", to_wad(1.1)),
    ("fundingDeadBand", to_wad(1)),
    ("initialMarginScalar", to_wad(101)),
    ("minInitialMarginRatio", 0),
    ("maxInitialMarginRatio", to_wad(0.03)),  # below the least
    ("maxInitialMarginRatio", to_wad(1) + 1),
    ("maintenanceScalar", 0),
    ("maintenanceScalar", to_wad(1)),  # maintenance would equal initial margin
    ("minMargin", to_wad(99)),  # below twice 500,000 gas x 50 gwei x 2,000
    ("minMargin", 10**28 + 1),
    ("liquidationFee", to_wad(0.02) + 1),  # above the least maintenance ratio, 4% x 0.5
    ("liquidationFee", to_wad(0.06)),
    ("insuranceShare", to_wad(1.1)),
    ("maxOpenInterest", 0),
    ("maxOpenInterest", 10**28 + 1),
    ("maxOpenInterestValue", 0),
    ("maxOpenInterestValue", 10**36 + 1),
    ("maxOrderSize", 0),
    ("maxOrderSize", to_wad(40_000) + 1),
    ("settlementDelay", 0),
    ("settlementDelay", HOUR + 1),
    ("settlementWindow", 0),
    ("settlementWindow", HOUR + 1),
    ("settlementGas", 20_999),  # less than any transaction takes
    ("settlementGas", 10_000_001),
    ("liquidationGas", 20_999),
    ("liquidationGas", 10_000_001),
    ("maxBaseFee", 0),  # nobody would ever liquidate
    ("maxBaseFee", 10**15 + 1),
]


@pytest.mark.parametrize(("name", "value"), REFUSED)
def test_bad_parameter_is_refused_by_name_and_value(world: VenueWorld, name: str, value: int) -> None:
    revert = refusal(world.perp.send, "proposeParameters", parameters(**{name: value}), sender=world.admin)
    assert revert.name == "BadParameter"
    assert (revert.args[0].rstrip(b"\0").decode(), revert.args[1]) == (name, value)


def test_every_parameter_has_a_bound_that_is_tested() -> None:
    assert {name for name, _ in REFUSED} == set(PARAMETERS)


def test_constructor_refuses_what_a_proposal_would(world: VenueWorld) -> None:
    arguments = (world.house.address, world.admin, parameters(skewScale=0))
    assert refusal(world.evm.deploy, "PerpMarket", *arguments).name == "BadParameter"


def test_market_cannot_be_deployed_before_there_is_a_price() -> None:
    evm = Evm()
    feed = evm.deploy("PriceFeed", evm.account("admin"), price_sources(), price_limits(HOUR))
    house = evm.deploy("Clearinghouse", NO_ADDRESS, feed.address, evm.account("admin"))
    revert = refusal(evm.deploy, "PerpMarket", house.address, evm.account("admin"), parameters())
    assert (revert.name, revert.args[0].rstrip(b"\0")) == ("BadParameter", b"price")


def test_skew_scale_below_twice_the_open_interest_that_is_there_is_refused() -> None:
    world = VenueWorld()
    world.deposit("trader", 200_000)
    world.trade("trader", 500)
    small = {"maxOpenInterest": to_wad(100), "maxOrderSize": to_wad(100)}
    revert = refusal(
        world.perp.send, "proposeParameters", parameters(**small, skewScale=to_wad(999)), sender=world.admin
    )
    assert revert.args[0].rstrip(b"\0") == b"skewScale"
    world.perp.send("proposeParameters", parameters(**small, skewScale=to_wad(1_000)), sender=world.admin)


def test_parameters_that_have_become_bad_by_the_price_are_refused_when_they_apply(world: VenueWorld) -> None:
    with world.evm.rolled_back():
        world.perp.send("proposeParameters", parameters(minMargin=to_wad(100)), sender=world.admin)
        world.move(2_001, DAY)
        revert = refusal(world.perp.send, "applyParameters", parameters(minMargin=to_wad(100)), sender=world.admin)
        assert revert.args[0].rstrip(b"\0") == b"minMargin"


# -- the timelock and the grace ----------------------------------------------------------------------------------------


def stricter(**changes: int) -> tuple[int, ...]:
    margins = {"maintenanceScalar": to_wad(0.95), "minInitialMarginRatio": to_wad(0.1), "minMargin": to_wad(2_000)}
    return parameters(**(margins | changes))


def test_stricter_margins_reach_nobody_within_an_hour_and_everybody_after() -> None:
    world = VenueWorld()
    world.deposit("trader", 10_000)
    world.trade("trader", 90)  # healthy: 4% of 180,000
    world.perp.send("proposeParameters", stricter(), sender=world.admin)
    world.move(START_PRICE, DAY)
    before = world.margin("trader")
    world.perp.send("applyParameters", stricter(), sender=world.admin)
    assert world.margin("trader")[2] == before[2]
    assert world.margin("trader")[1] > before[1]
    assert refusal(world.liquidate, "trader").name == "NotLiquidatable"
    world.move(START_PRICE, HOUR - 1)
    assert refusal(world.liquidate, "trader").name == "NotLiquidatable"
    world.move(START_PRICE, 1)
    assert world.liquidate("trader").events("Liquidated")


def test_looser_margins_hold_at_once() -> None:
    world = VenueWorld()
    world.deposit("trader", 100_000)
    world.trade("trader", 100)
    looser = parameters(maintenanceScalar=to_wad(0.25), liquidationFee=to_wad(0.0001))
    world.perp.send("proposeParameters", looser, sender=world.admin)
    world.move(START_PRICE, DAY)
    before = world.perp.call("requirements", to_wad(100), world.price())
    world.perp.send("applyParameters", looser, sender=world.admin)
    after = world.perp.call("requirements", to_wad(100), world.price())
    assert after[1] < before[1]
    world.move(START_PRICE, HOUR)
    assert world.perp.call("requirements", to_wad(100), world.price()) == after


# -- whatever is accepted ----------------------------------------------------------------------------------------------


def ratio(low: float, high: float) -> st.SearchStrategy[int]:
    return st.integers(to_wad(low), to_wad(high))


@st.composite
def plausible(draw: st.DrawFn) -> dict[str, int]:
    """A set that respects the bounds; edges come up often, because integer strategies like them."""
    side = draw(st.integers(10**15, 10**28))
    taker = draw(ratio(0, 0.01))
    least = draw(ratio(0.0001, 1))
    scalar = draw(ratio(0.001, 0.999))
    gas, base_fee = draw(st.integers(21_000, 10_000_000)), draw(st.integers(1, 10**15))
    least_margin = 2 * gas * base_fee * int(START_PRICE)
    return {
        "skewScale": draw(st.integers(2 * side, 10**32)),
        "makerFee": draw(st.integers(0, taker)),
        "takerFee": taker,
        "maxFundingVelocity": draw(ratio(0, 1_000)),
        "fundingRateCap": draw(ratio(0, 1)),
        "fundingDeadBand": draw(st.integers(0, WAD - 1)),
        "initialMarginScalar": draw(ratio(0, 100)),
        "minInitialMarginRatio": least,
        "maxInitialMarginRatio": draw(st.integers(least, WAD)),
        "maintenanceScalar": scalar,
        "minMargin": draw(st.integers(least_margin, 2 * least_margin + to_wad(1_000))),
        "liquidationFee": draw(st.integers(0, min(least * scalar // WAD, to_wad(0.05)))),
        "insuranceShare": draw(ratio(0, 1)),
        "maxOpenInterest": side,
        "maxOpenInterestValue": draw(st.integers(1, 10**36)),
        "maxOrderSize": draw(st.integers(1, 2 * side)),
        "settlementDelay": draw(st.integers(1, HOUR)),
        "settlementWindow": draw(st.integers(1, HOUR)),
        "settlementGas": draw(st.integers(21_000, 10_000_000)),
        "liquidationGas": gas,
        "maxBaseFee": base_fee,
    }


@st.composite
def wild(draw: st.DrawFn) -> dict[str, int]:
    """A plausible set of which some fields are anything at all that their type can hold."""
    chosen = draw(plausible())
    for name in draw(st.lists(st.sampled_from(sorted(chosen)), max_size=3, unique=True)):
        width = 64 if name.startswith("settlement") or name == "liquidationGas" else 256
        bits = draw(st.integers(0, width))
        chosen[name] = draw(st.integers(0, 2**bits - 1))
    return chosen


@pytest.fixture(scope="module")
def ground() -> tuple[Evm, Contract, str]:
    """A chain with a price and a clearinghouse, on which markets are tried out."""
    evm = Evm()
    admin = evm.account("admin")
    token = evm.deploy("TestToken", "USD Coin", "USDC", 6)
    feed = evm.deploy("PriceFeed", admin, price_sources(), price_limits(HOUR))
    feed.send("grantRole", feed.call("REPORTER"), admin, sender=admin)
    feed.send("publish", to_wad(START_PRICE), sender=admin)
    return evm, evm.deploy("Clearinghouse", token.address, feed.address, admin), admin


@given(chosen=wild(), where=st.integers(-WAD, WAD).filter(bool), price=st.integers(10**15, 10**24))
def test_whatever_is_accepted_is_kept_exactly_and_keeps_the_invariants(
    ground: tuple[Evm, Contract, str], chosen: dict[str, int], where: int, price: int
) -> None:
    evm, house, admin = ground
    with evm.rolled_back():
        perp = deployed(evm, house, admin, chosen)
        event("refused" if perp is None else "accepted")
        if perp is None:
            return
        assert dict(zip(chosen, perp.call("parameters"), strict=True)) == chosen
        size = chosen["maxOpenInterest"] * where // WAD or 1
        initial, maintenance = perp.call("requirements", size, price)
        assert 0 < maintenance <= initial
        assert perp.call("liquidationCost", size, price) <= maintenance
        check_reward(evm, perp, chosen, size)
        check_fill(perp, chosen, size, price)


def deployed(evm: Evm, house: Contract, admin: str, chosen: dict[str, int]) -> Contract | None:
    """A market with these parameters; None where it refuses one of them by name."""
    try:
        return evm.deploy("PerpMarket", house.address, admin, tuple(chosen.values()))
    except Revert as revert:
        if revert.name != "BadParameter" or revert.args[0].rstrip(b"\0").decode() not in chosen:
            raise
        return None


def check_reward(evm: Evm, perp: Contract, chosen: dict[str, int], size: int) -> None:
    """At the index of now and the highest base fee that is paid back, a reward is at most half the least margin."""
    evm.base_fee = chosen["maxBaseFee"]
    now = to_wad(START_PRICE)
    reward = perp.call("liquidationReward", size, now)
    assert 2 * reward <= perp.call("requirements", size, now)[1] + 1
    evm.base_fee = to_gwei(1)


def check_fill(perp: Contract, chosen: dict[str, int], size: int, price: int) -> None:
    """From a flat market to the cap, and from one cap to the other, a fill is at least half the index."""
    assert perp.call("fillPrice", size, price) >= price // 2
    fill = perp.call("fillPrice", -2 * chosen["maxOpenInterest"], price)
    assert fill + price * chosen["maxOpenInterest"] // chosen["skewScale"] >= price // 2
    assert perp.call("orderFee", size, price) <= (abs(size) * price) // 10**18 // 100 + 1


@given(old=plausible(), new=plausible(), size=st.integers(1, 10**28), price=st.integers(10**15, 10**24))
def test_no_accepted_change_raises_maintenance_margin_within_the_hour(
    ground: tuple[Evm, Contract, str], old: dict[str, int], new: dict[str, int], size: int, price: int
) -> None:
    evm, house, admin = ground
    with evm.rolled_back():
        perp = evm.deploy("PerpMarket", house.address, admin, tuple(old.values()))
        before = perp.call("requirements", size, price)[1]
        perp.send("proposeParameters", tuple(new.values()), sender=admin)
        evm.advance(DAY)
        perp.send("applyParameters", tuple(new.values()), sender=admin)
        fresh = evm.deploy("PerpMarket", house.address, admin, tuple(new.values())).call("requirements", size, price)
        for seconds in (0, HOUR - 1):
            evm.advance(seconds)
            assert perp.call("requirements", size, price) == (fresh[0], min(before, fresh[1]))
        evm.advance(1)
        assert perp.call("requirements", size, price) == fresh


@st.composite
def tradable(draw: st.DrawFn) -> dict[str, int]:
    """Accepted sets in which somebody with 10,000,000 USD can trade."""
    chosen = draw(plausible())
    chosen["skewScale"] = draw(st.integers(to_wad(200), to_wad(10**6)))
    chosen["maxOpenInterest"] = draw(st.integers(to_wad(10), chosen["skewScale"] // 2))
    chosen["maxOrderSize"] = draw(st.integers(to_wad(5), 2 * chosen["maxOpenInterest"]))
    chosen["maxOpenInterestValue"] = draw(st.integers(to_wad(1_000), 10**30))
    chosen["maxBaseFee"] = draw(st.integers(1, to_gwei(500)))
    chosen["settlementGas"], chosen["liquidationGas"] = 350_000, 500_000
    least = 2 * chosen["liquidationGas"] * chosen["maxBaseFee"] * int(START_PRICE)
    chosen["minMargin"] = draw(st.integers(least, least + to_wad(1_000)))
    return chosen


orders = st.lists(
    st.tuples(st.sampled_from(("trader", "rival")), st.integers(-1_000, 1_000).filter(bool), st.floats(-0.05, 0.05)),
    min_size=1,
    max_size=6,
)


@settings(max_examples=max(settings.default.max_examples // 5, 5))
@given(chosen=tradable(), trades=orders)
def test_trades_under_whatever_is_accepted_leave_nobody_liquidatable(
    chosen: dict[str, int], trades: list[tuple[str, int, float]]
) -> None:
    world = VenueWorld(settings=chosen, locked_ratio=0.0)
    for role in ("trader", "rival"):
        world.deposit(role, 10_000_000)
    for role, thousandths, change in trades:
        size = chosen["maxOrderSize"] * thousandths // 1_001 / WAD
        filled = attempt(world, role, size, change)
        for each in ("trader", "rival"):
            _, initial, maintenance = world.margin(each)
            assert maintenance <= initial
        if filled:
            equity, _, maintenance = world.margin(role)
            assert equity >= maintenance
    assert world.total_cash("trader", "rival", "keeper") == world.custody()


def attempt(world: VenueWorld, role: str, size: float, change: float) -> bool:
    """Trade where the rules allow it; whether the order filled."""
    try:
        world.commit(role, size)
    except Revert as revert:
        refusals = {"InsufficientMargin", "AccountLiquidatable", "OpenInterestExceeded", "OpenInterestValueExceeded"}
        if revert.name not in refusals | {"PoolTooSmall", "ZeroSize"}:
            raise
        return False
    delay: Any = world.perp.call("parameters")[16]
    receipt = world.settle(role, world.move(world.price() / WAD * (1 + change), int(delay)))
    for settled in receipt.events("OrderSettled"):
        assert settled["fill"] > 0
    return bool(receipt.result)
