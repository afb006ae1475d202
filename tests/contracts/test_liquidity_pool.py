"""The liquidity pool: what its shares are worth, who comes and goes at which price, and when."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from venue_world import POOL_CASH, PRICE_BAND, START_PRICE, VenueWorld, refusal

from keeper.units import WAD, to_usdc, to_wad

COOLDOWN, WINDOW = 3 * 3_600, 3_600
BAND = to_wad(PRICE_BAND)
VIRTUAL = 10**12


@pytest.fixture
def world() -> VenueWorld:
    world = VenueWorld()
    world.deposit("trader", 1_000_000)
    return world


def shares(world: VenueWorld, role: str) -> int:
    return int(world.pool.call("balanceOf", world.account(role)))


def redeem(world: VenueWorld, role: str, amount: int | None = None) -> int:
    """Redeems shares (all that may leave, if not said); returns USDC units."""
    account = world.account(role)
    leaving = int(world.pool.call("maxRedeem", account)) if amount is None else amount
    return int(world.pool.send("redeem", leaving, account, account, sender=account).result)


# -- what shares are worth ---------------------------------------------------------------------------------------------


def test_first_share_is_worth_what_was_paid_for_it(world: VenueWorld) -> None:
    assert world.pool.call("decimals") == 18
    assert world.pool.call("totalAssets") == to_usdc(POOL_CASH)
    assert world.pool.call("convertToAssets", WAD) == world.pool.call("previewRedeem", WAD) == to_usdc(1)


def test_equity_is_cash_less_what_the_pool_owes_traders(world: VenueWorld) -> None:
    world.trade("trader", 1_000)
    price = world.move(2_100) and world.price()
    debt = world.perp.call("marketDebt", price)
    assert to_wad(96_000) < debt < to_wad(100_000)
    assert world.pool.call("equity", price) == world.cash(world.pool.address) - debt
    assert world.pool.call("totalAssets") == (world.cash(world.pool.address) - debt) // 10**12


@pytest.mark.parametrize("size", [1_000, -1_000])
def test_equity_range_is_equity_at_both_ends_of_the_price_band(size: float) -> None:
    world = VenueWorld(settings={"maxFundingVelocity": 0})
    world.deposit("trader", 1_000_000)
    world.trade("trader", size)
    price = world.move(2_050) and world.price()
    ends = [world.pool.call("equity", price * (WAD + side * BAND) // WAD) for side in (-1, 1)]
    low, high = world.pool.call("equityRange", price)
    assert abs(low - min(ends)) <= 2
    assert abs(high - max(ends)) <= 2


def test_deposits_pay_the_best_and_redemptions_get_the_worst_price_in_the_band(world: VenueWorld) -> None:
    world.trade("trader", 400)
    world.move(2_050)
    low, high = world.pool.call("equityRange", world.price())
    supply = world.pool.call("totalSupply")
    low_units, high_units = low // 10**12, -(-high // 10**12)
    amount = to_usdc(12_345.678901)
    assert world.pool.call("previewDeposit", amount) == amount * (supply + VIRTUAL) // (high_units + 1)
    assert world.pool.call("previewMint", WAD) == -(-WAD * (high_units + 1) // (supply + VIRTUAL))
    assert world.pool.call("previewRedeem", WAD) == WAD * (low_units + 1) // (supply + VIRTUAL)
    assert world.pool.call("previewWithdraw", amount) == -(-amount * (supply + VIRTUAL) // (low_units + 1))
    assert world.pool.call("previewDeposit", amount) < world.pool.call("convertToShares", amount)
    assert world.pool.call("previewRedeem", WAD) < world.pool.call("convertToAssets", WAD)


@pytest.mark.parametrize(("name", "changes"), [("lockedRatio", (WAD + 1, 0)), ("priceBand", (0, WAD // 10 + 1))])
def test_settings_without_sense_are_refused(world: VenueWorld, name: str, changes: tuple[int, int]) -> None:
    revert = refusal(world.evm.deploy, "LiquidityPool", world.house.address, [], *changes)
    assert (revert.name, revert.args[0].rstrip(b"\0").decode(), revert.args[1]) == ("BadSetting", name, max(changes))


@pytest.mark.parametrize("gift", [0.01, 100, 1_000_000])
def test_first_depositor_cannot_profit_from_a_donation(gift: float) -> None:
    world = VenueWorld(pool_cash=0)
    world.provide("attacker", 0.000001)
    world.deposit(world.pool.address, gift)
    world.provide("provider", 10_000)
    received = world.pool.call("previewRedeem", shares(world, "attacker"))
    assert received <= to_usdc(gift) + 1
    assert world.pool.call("previewRedeem", shares(world, "provider")) >= to_usdc(10_000) * 0.999


def test_tokens_sent_to_pool_or_clearinghouse_move_no_share_price(world: VenueWorld) -> None:
    before = world.pool.call("totalAssets")
    for target in (world.pool, world.house):
        world.token.send("mint", target.address, to_usdc(5_000_000))
    assert world.pool.call("totalAssets") == before


# -- leaving -----------------------------------------------------------------------------------------------------------


def test_exit_is_possible_from_the_end_of_the_cooldown_until_the_end_of_the_window_to_the_second(
    world: VenueWorld,
) -> None:
    provider = world.account("provider")
    held = shares(world, "provider")
    assert refusal(redeem, world, "provider", 1).name == "RedeemMoreThanMax"
    world.leave()
    from_ = world.evm.timestamp + COOLDOWN
    assert world.pool.call("exitOf", provider) == (held, from_, from_ + WINDOW)
    world.move(2_000, COOLDOWN - 1)
    assert world.pool.call("maxRedeem", provider) == world.pool.call("maxWithdraw", provider) == 0
    assert refusal(redeem, world, "provider", 1).name == "RedeemMoreThanMax"
    world.move(2_000, 1)
    assert redeem(world, "provider", WAD) == to_usdc(1)
    world.move(2_000, WINDOW)
    assert world.pool.call("maxRedeem", provider) == held - WAD
    world.move(2_000, 1)
    assert world.pool.call("exitOf", provider) == (0, 0, 0)
    assert refusal(redeem, world, "provider", 1).name == "RedeemMoreThanMax"


def test_cooldown_outlasts_the_longest_delay_and_window_that_a_market_accepts(world: VenueWorld) -> None:
    assert world.pool.call("COOLDOWN") == COOLDOWN > 2 * 3_600


def test_no_more_leaves_than_was_announced_and_a_later_announcement_replaces_the_former(world: VenueWorld) -> None:
    world.leave(shares=5 * WAD)
    world.move(2_000, COOLDOWN)
    assert refusal(redeem, world, "provider", 5 * WAD + 1).name == "RedeemMoreThanMax"
    redeem(world, "provider", 2 * WAD)
    assert world.pool.call("maxRedeem", world.account("provider")) == 3 * WAD
    world.leave(shares=4 * WAD)
    assert world.pool.call("maxRedeem", world.account("provider")) == 0
    world.leave(shares=0)
    world.move(2_000, COOLDOWN)
    assert world.pool.call("maxRedeem", world.account("provider")) == 0
    held = shares(world, "provider")
    revert = refusal(world.leave, "provider", held + 1)
    assert (revert.name, revert.args) == ("ExitTooLarge", (held + 1, held))


def test_announced_shares_do_not_move_until_their_window_is_over_and_all_others_do(world: VenueWorld) -> None:
    provider, other = world.account("provider"), world.account("other")
    held = shares(world, "provider")
    world.leave(shares=held - WAD)
    revert = refusal(world.pool.send, "transfer", other, WAD + 1, sender=provider)
    assert (revert.name, revert.args[:2]) == ("SharesLeaving", (provider, held - WAD))
    world.pool.send("transfer", other, WAD, sender=provider)
    world.move(2_000, COOLDOWN + WINDOW + 1)
    world.pool.send("transfer", other, held - WAD, sender=provider)
    assert shares(world, "other") == held


def test_nobody_touches_anothers_announcement(world: VenueWorld) -> None:
    world.leave()
    before = world.pool.call("exitOf", world.account("provider"))
    stranger, provider = world.account("stranger"), world.account("provider")
    world.provide("stranger", 10)
    world.pool.send("deposit", world._mint(stranger, world.pool, 1), provider, sender=stranger)
    world.pool.send("transfer", provider, WAD, sender=stranger)
    world.leave("stranger")
    assert world.pool.call("exitOf", provider) == before


def test_redeem_of_another_owners_shares_needs_an_allowance(world: VenueWorld) -> None:
    provider, stranger = world.account("provider"), world.account("stranger")
    world.cool_down()
    assert refusal(world.pool.send, "redeem", WAD, stranger, provider, sender=stranger).name == "InsufficientAllowance"
    world.pool.send("approve", stranger, WAD, sender=provider)
    world.pool.send("redeem", WAD, stranger, provider, sender=stranger)
    assert world.token.call("balanceOf", stranger) == to_usdc(1)


def test_provider_leaves_with_profits_but_not_with_the_reserve(world: VenueWorld) -> None:
    world.cool_down()
    world.deposit("trader", 10_000_000)
    world.trade("trader", 10_000)
    provider = world.account("provider")
    reserve = world.pool.call("reserve", world.price())
    assert reserve == to_wad(10_000 * START_PRICE * 0.2)
    most = world.pool.call("maxWithdraw", provider)
    low = world.pool.call("equityRange", world.price())[0]
    assert most == (low - reserve) // 10**12
    assert world.pool.call("previewRedeem", world.pool.call("maxRedeem", provider)) in (most, most - 1)
    withdraw = ("withdraw", most + 1, provider, provider)
    assert refusal(world.pool.send, *withdraw, sender=provider).name == "WithdrawMoreThanMax"
    world.pool.send("withdraw", most, provider, provider, sender=provider)
    assert world.token.call("balanceOf", provider) == most
    world.trade("trader", -10_000)
    redeem(world, "provider")
    assert shares(world, "provider") == 0
    assert world.pool.call("totalAssets") < to_usdc(0.01)


def test_provider_takes_no_cash_that_traders_have_yet_to_pay(world: VenueWorld) -> None:
    """Longs took their profit in cash, the shorts' losses are open: equity there is, cash there is not."""
    for role, dollars in (("long", 12_000_000), ("short", 30_000_000)):
        world.deposit(role, dollars)
    world.trade("long", 5_000)
    world.trade("short", -5_000)
    world.move(3_000.0, 60)
    world.trade("long", -5_000)
    world.cool_down()
    cash = world.cash(world.pool.address) // 10**12
    reserve = world.pool.call("reserve", world.price())
    low = world.pool.call("equityRange", world.price())[0]
    assert (low - reserve) // 10**12 > cash > 0
    provider = world.account("provider")
    assert world.pool.call("maxWithdraw", provider) == cash
    world.pool.send("withdraw", cash, provider, provider, sender=provider)


# -- nobody escapes ----------------------------------------------------------------------------------------------------


def test_provider_who_sees_a_losing_order_leaves_with_its_loss() -> None:
    """The order is committed when the provider says that it leaves; whoever stays and whoever goes lose the same."""
    world = VenueWorld(pool_cash=0)
    world.deposit("trader", 2_000_000)
    for role in ("leaver", "stayer"):
        world.provide(role, 2_000_000)
    world.commit("trader", 900)
    world.leave("leaver")
    world.settle("trader", world.move(2_000, seconds=2))
    world.move(2_300, COOLDOWN - 2)
    received = redeem(world, "leaver")
    assert received < to_usdc(2_000_000 - 900 * 300 / 2 * 0.9)
    assert world.pool.call("previewRedeem", shares(world, "stayer")) >= received


def test_nobody_leaves_or_comes_while_bad_debt_is_open_and_the_leaver_bears_its_share() -> None:
    world = VenueWorld(insurance_cash=0)
    world.deposit("short", 200_000)
    world.deposit("long", 3_000_000)
    world.trade("short", -1_000)
    world.trade("long", 1_000)
    world.leave()
    world.move(2_400, COOLDOWN)
    provider = world.account("provider")
    before = world.pool.call("previewRedeem", WAD)
    world.liquidate("short")
    debt = world.house.call("recordedBadDebt")
    assert debt > to_wad(100_000)
    for limit in ("maxWithdraw", "maxRedeem", "maxDeposit", "maxMint"):
        assert world.pool.call(limit, provider) == 0
    assert refusal(redeem, world, "provider", 1).name == "RedeemMoreThanMax"
    assert refusal(world.provide, "late", 1).name == "DepositMoreThanMax"
    world.move(2_400, int(world.waterfall.call("adlWindow")))
    world.settle_deficit()
    assert world.house.call("badDebt") == 0
    assert world.pool.call("previewRedeem", WAD) < before * (1 - 0.9 * debt / to_wad(POOL_CASH))
    redeem(world, "provider", WAD)


def test_worthless_shares_are_not_sold() -> None:
    world = VenueWorld(pool_cash=50_000, insurance_cash=0, locked_ratio=0)
    world.deposit("trader", 2_000_000)
    world.trade("trader", 1_000)
    world.move(2_300)
    assert world.pool.call("equity", world.price()) == -world.house.call("badDebt") < 0
    assert world.pool.call("maxDeposit", world.account("late")) == 0
    assert refusal(world.provide, "late", 1).name == "DepositMoreThanMax"


# -- limits never revert, and what they promise is paid ----------------------------------------------------------------


@pytest.mark.parametrize("trouble", ["stale", "locked"])
def test_limits_are_zero_and_never_revert_while_shares_have_no_price(world: VenueWorld, trouble: str) -> None:
    world.cool_down()
    if trouble == "stale":
        world.evm.advance(3_601)
    else:
        world.as_module("lock")
    for limit in ("maxWithdraw", "maxRedeem", "maxDeposit", "maxMint"):
        assert world.pool.call(limit, world.account("provider")) == 0
    for price in ("previewDeposit", "previewMint", "previewRedeem", "previewWithdraw"):
        assert refusal(world.pool.call, price, WAD).name == {"stale": "PriceTooOld", "locked": "Locked"}[trouble]


@cache
def _traded(long: bool, moved: int) -> VenueWorld:
    """A pool with a skew and a price away from entry; without funding, so that time alone earns nothing."""
    world = VenueWorld(pool_cash=3_000_000, settings={"maxFundingVelocity": 0})
    world.deposit("trader", 5_000_000)
    world.trade("trader", 2_000 if long else -2_000)
    world.move(START_PRICE * (100 + moved) / 100)
    return world


@contextmanager
def traded(long: bool, moved: int) -> Iterator[VenueWorld]:
    """Such a world, put back as it was afterwards."""
    world = _traded(long, moved)
    start = world.evm.snapshot()
    try:
        yield world
    finally:
        world.evm.revert(start)


MOVES = st.sampled_from((-20, -3, 0, 5, 20))
USDC = st.integers(1, 10**13)


@given(st.booleans(), MOVES, USDC)
def test_coming_and_going_at_once_never_gains_and_takes_nothing_from_those_who_stay(
    long: bool, moved: int, amount: int
) -> None:
    with traded(long, moved) as world:
        stays = world.pool.call("convertToAssets", 10**6 * WAD)
        world.provide("guest", amount / 10**6)
        assert world.pool.call("previewRedeem", shares(world, "guest")) <= amount
        assert world.pool.call("convertToAssets", 10**6 * WAD) >= stays


@given(st.booleans(), MOVES, USDC, st.floats(-PRICE_BAND, PRICE_BAND))
def test_round_trip_on_a_price_within_the_band_never_gains(long: bool, moved: int, amount: int, drift: float) -> None:
    with traded(long, moved) as world:
        world.provide("guest", amount / 10**6)
        world.leave("guest")
        world.move(world.price() / WAD * (1 + drift), COOLDOWN)
        assert redeem(world, "guest") <= amount


@given(st.booleans(), MOVES, USDC, st.integers(1, 10**25))
def test_previews_are_exact_and_what_the_limits_promise_is_paid_but_not_a_wei_more(
    long: bool, moved: int, amount: int, minted: int
) -> None:
    with traded(long, moved) as world:
        pool, guest = world.pool, world.account("guest")
        preview = pool.call("previewDeposit", amount)
        world.provide("guest", amount / 10**6)
        assert shares(world, "guest") == preview
        price = pool.call("previewMint", minted)
        world._mint(guest, pool, price / 10**6 + 1)
        assert pool.send("mint", minted, guest, sender=guest).result == price
        assert shares(world, "guest") == preview + minted
        world.cool_down("guest")
        most = pool.call("maxWithdraw", guest)
        assert refusal(pool.send, "withdraw", most + 1, guest, guest, sender=guest).name == "WithdrawMoreThanMax"
        if half := most // 2:
            cost = pool.call("previewWithdraw", half)
            assert pool.send("withdraw", half, guest, guest, sender=guest).result == cost
            assert shares(world, "guest") == preview + minted - cost
        most = pool.call("maxRedeem", guest)
        assert refusal(pool.send, "redeem", most + 1, guest, guest, sender=guest).name == "RedeemMoreThanMax"
        worth = pool.call("previewRedeem", most)
        assert redeem(world, "guest", most) == worth
        assert world.total_cash("trader", "keeper") == world.custody()
