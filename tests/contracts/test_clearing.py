"""Clearinghouse, liquidity pool and insurance fund: cash, locks, withdrawals, shares."""

from __future__ import annotations

import pytest
from venue_world import INSURANCE_CASH, POOL_CASH, START_PRICE, VenueWorld, refusal

from keeper.units import WAD, to_usdc, to_wad


@pytest.fixture
def world() -> VenueWorld:
    world = VenueWorld()
    world.deposit("trader", 100_000)
    return world


# -- deposits and withdrawals ------------------------------------------------------------------------------------------


def test_deposit_credits_the_named_account_in_wad(world: VenueWorld) -> None:
    world.deposit("other", 0.000001)
    assert world.cash("other") == 10**12
    assert refusal(world.deposit, "other", 0).name == "ZeroAmount"


def test_withdraw_pays_tokens_and_cannot_exceed_cash(world: VenueWorld) -> None:
    world.withdraw("trader", 40_000)
    assert world.token.call("balanceOf", world.account("trader")) == to_usdc(40_000)
    revert = refusal(world.withdraw, "trader", 60_000.000001)
    assert revert.name == "InsufficientCash"
    assert revert.args[1:] == (to_wad(60_000), to_wad(60_000) + 10**12)
    assert refusal(world.withdraw, "trader", 0).name == "ZeroAmount"


def test_withdraw_must_leave_initial_margin_and_never_pays_open_profit(world: VenueWorld) -> None:
    world.trade("trader", 100)
    world.move(3_000)
    equity, initial, _ = world.margin("trader")
    assert equity > to_wad(190_000)
    assert refusal(world.withdraw, "trader", 100_000).name == "InsufficientCash"
    world.move(1_100)
    equity, initial, _ = world.margin("trader")
    assert refusal(world.withdraw, "trader", (equity - initial) / WAD + 1).name == "InsufficientMargin"
    world.withdraw("trader", (equity - initial) / WAD - 1)


def test_withdraw_on_an_old_price_works_only_without_positions(world: VenueWorld) -> None:
    world.trade("trader", 10)
    world.deposit("idle", 1_000)
    world.evm.advance(3_601)
    assert refusal(world.withdraw, "trader", 1).name == "PriceTooOld"
    world.withdraw("idle", 1_000)


# -- wiring and the lock -----------------------------------------------------------------------------------------------


def test_set_up_works_once_and_only_for_the_owner(world: VenueWorld) -> None:
    part = world.perp.address
    assert refusal(world.house.send, "setUp", part, part, part, part, [part], sender=world.admin).name == "AlreadySetUp"
    house = world.evm.deploy("Clearinghouse", world.token.address, world.feed.address, world.admin)
    stranger = world.account("stranger")
    assert refusal(house.send, "setUp", part, part, part, part, [part], sender=stranger).name == (
        "OwnableUnauthorizedAccount"
    )
    revert = refusal(house.send, "setUp", part, part, part, part, [part] * 9, sender=world.admin)
    assert (revert.name, revert.args) == ("TooManyProducts", (9,))


@pytest.mark.parametrize("function", ["lock", "move", "coverBadDebt", "recordBadDebt"])
def test_module_functions_refuse_everybody_else(world: VenueWorld, function: str) -> None:
    trader = world.account("trader")
    arguments = {"lock": (), "move": (world.pool.address, trader, WAD, b"gift"), "coverBadDebt": (trader, WAD)}
    revert = refusal(world.house.send, function, *arguments.get(function, (trader,)), sender=trader)
    assert (revert.name, revert.args) == ("NotModule", (trader,))


def test_products_cannot_record_bad_debt(world: VenueWorld) -> None:
    world.hand_over("trader", "other", to_wad(100_001))
    assert refusal(world.as_module, "recordBadDebt", world.account("trader")).name == "NotModule"


def test_lock_stops_every_door_and_every_share_price_until_its_owner_opens_it(world: VenueWorld) -> None:
    world.commit("trader", 1)
    world.as_module("lock")
    assert world.house.call("locked") is True
    for door, *arguments in (
        (world.withdraw, "trader", 1),
        (world.deposit, "trader", 1),
        (world.commit, "other", 1),
        (world.settle, "trader", 1),
        (world.engine.send, "coverBadDebt"),
        (world.provide, "provider", 1),
        (world.pool.call, "totalAssets"),
    ):
        assert refusal(door, *arguments).name == "Locked"
    revert = refusal(world.house.send, "unlock", sender=world.account("trader"))
    assert (revert.name, revert.args) == ("NotLockOwner", (world.account("trader"),))
    world.as_module("unlock")
    world.withdraw("trader", 1)


def test_move_lets_a_payer_go_negative_and_keeps_the_total(world: VenueWorld) -> None:
    world.hand_over("trader", "other", to_wad(150_000))
    assert (world.cash("trader"), world.cash("other")) == (-to_wad(50_000), to_wad(150_000))
    assert world.total_cash("trader", "other") == world.custody()


# -- liquidity pool ----------------------------------------------------------------------------------------------------


def test_pool_share_is_worth_what_was_paid_for_it(world: VenueWorld) -> None:
    assert world.pool.call("decimals") == 18
    assert world.pool.call("totalAssets") == to_usdc(POOL_CASH)
    assert world.pool.call("convertToAssets", WAD) == to_usdc(1)


def test_pool_equity_is_cash_less_what_it_owes_traders(world: VenueWorld) -> None:
    world.deposit("trader", 1_000_000)
    world.trade("trader", 1_000)
    price = world.move(2_100) and world.price()
    debt = world.perp.call("marketDebt", price)
    assert to_wad(96_000) < debt < to_wad(100_000)
    assert world.pool.call("equity", price) == world.cash(world.pool.address) - debt
    assert world.pool.call("totalAssets") == (world.cash(world.pool.address) - debt) // 10**12


def test_provider_leaves_with_profits_but_not_with_the_reserve(world: VenueWorld) -> None:
    world.cool_down()
    world.deposit("trader", 10_000_000)
    world.trade("trader", 10_000)
    provider = world.account("provider")
    reserve = world.pool.call("reserve", world.price())
    assert reserve == to_wad(10_000 * START_PRICE * 0.2)
    most = world.pool.call("maxWithdraw", provider)
    assert abs(most - (world.pool.call("totalAssets") - reserve // 10**12)) <= 2
    withdraw = ("withdraw", most + 1, provider, provider)
    assert refusal(world.pool.send, *withdraw, sender=provider).name == "WithdrawMoreThanMax"
    world.pool.send("withdraw", most, provider, provider, sender=provider)
    assert world.token.call("balanceOf", provider) == most
    world.trade("trader", -10_000)
    world.pool.send("redeem", world.pool.call("maxRedeem", provider), provider, provider, sender=provider)
    assert world.pool.call("balanceOf", provider) == 0
    assert world.pool.call("totalAssets") < to_usdc(0.01)


def test_redeem_of_another_owners_shares_needs_an_allowance(world: VenueWorld) -> None:
    provider, stranger = world.account("provider"), world.account("stranger")
    world.cool_down()
    assert refusal(world.pool.send, "redeem", WAD, stranger, provider, sender=stranger).name == "InsufficientAllowance"
    world.pool.send("approve", stranger, WAD, sender=provider)
    world.pool.send("redeem", WAD, stranger, provider, sender=stranger)
    assert world.token.call("balanceOf", stranger) == to_usdc(1)


@pytest.mark.parametrize("gift", [0.01, 100, 1_000_000])
def test_first_depositor_cannot_profit_from_a_donation(gift: float) -> None:
    world = VenueWorld(pool_cash=0)
    world.provide("attacker", 0.000001)
    world.deposit(world.pool.address, gift)
    world.provide("provider", 10_000)
    world.cool_down()
    attacker = world.account("attacker")
    shares = world.pool.call("maxRedeem", attacker)
    received = world.pool.call("previewRedeem", shares)
    assert received <= to_usdc(gift) + 1
    provider = world.pool.call("previewRedeem", world.pool.call("balanceOf", world.account("provider")))
    assert provider >= to_usdc(10_000) * 0.999


# -- insurance fund ----------------------------------------------------------------------------------------------------


def test_backstops_pay_only_for_the_engine(world: VenueWorld) -> None:
    assert world.cash(world.fund.address) == to_wad(INSURANCE_CASH)
    for backstop in (world.fund, world.pool):
        assert refusal(backstop.send, "cover", WAD, WAD, sender=world.account("trader")).name == "NotEngine"


def test_nothing_is_paid_where_there_is_no_bad_debt(world: VenueWorld) -> None:
    assert world.engine.send("coverBadDebt").result == 0
    assert world.total_cash("trader") == world.custody()
