"""OptionVault, UnderwriterVault, ScalperVault: NAV, shares, rolls, and who may do what."""

from __future__ import annotations

import pytest
from option_world import CLOSING_SPREAD, HALF_SPREAD, VOL_HEARTBEAT, OptionWorld, straddle_world
from venue_world import refusal

from keeper.chain.contract import Contract
from keeper.protocol import nav, perp
from keeper.units import SECONDS_PER_DAY, WAD, from_wad, to_usdc, to_wad

CENT = to_wad(0.01)


@pytest.fixture(scope="module")
def fresh() -> OptionWorld:
    return straddle_world()


@pytest.fixture
def world(fresh: OptionWorld):
    with fresh.evm.rolled_back():
        vol, expiries = fresh.vol, list(fresh.expiries)
        yield fresh
        fresh.vol, fresh.expiries = vol, expiries


@pytest.fixture(params=["scalper", "underwriter"])
def vault(world: OptionWorld, request: pytest.FixtureRequest) -> Contract:
    return getattr(world, request.param)


def navs(vault: Contract) -> tuple[int, int, int]:
    return vault.call("nav")


# -- value ------------------------------------------------------------------------------------------------------------


def test_first_deposit_buys_shares_at_one_dollar(world: OptionWorld) -> None:
    assert world.scalper.call("balanceOf", world.account("depositor")) == to_wad(1_000_000)
    assert world.scalper.call("decimals") == 18
    assert world.usdc(world.scalper.address) == 0


def test_nav_is_cash_plus_options_plus_hedge_plus_order_in_flight(world: OptionWorld, vault: Contract) -> None:
    world.hedge(vault, -round(world.net_delta(vault), 3))
    world.settle_hedge(vault)
    world.deposit("whale", 1_000_000)
    world.trade("whale", 2_000.0)  # a skew that makes funding worth counting
    world.later(6 * 3_600, 2_080.0)
    world.hedge(vault, -round(world.net_delta(vault), 3))
    price = world.price()
    size, pending = (world.perp.call(name, vault.address) for name in ("netSize", "pendingSize"))
    pnl, funding = (from_wad(part) for part in world.perp.call("accrued", vault.address, price))
    options_value = from_wad(world.market.call("greeksOf", vault.address, price)[0])
    closing = from_wad(world.market.call("closingCost", vault.address, price))
    cash = from_wad(world.cash(vault.address))

    skew, scale, spot = from_wad(world.perp.call("skew")), 350_000.0, from_wad(price)
    fills = {d: perp.fill_price(d, skew, scale, spot) for d in (from_wad(pending), from_wad(-size - pending))}
    fees = {d: perp.order_fee(d, skew, fill, 0.0002, 0.0005) for d, fill in fills.items()}
    reward = from_wad(world.perp.call("settlementReward", price))
    d, exit_size = from_wad(pending), from_wad(-size - pending)
    in_flight = nav.in_flight(d, spot, fills[d], fees[d], reward)
    leaving = nav.exit_cost(exit_size, spot, fills[exit_size], fees[exit_size])
    gain = nav.exit_gain(exit_size, spot, fills[exit_size])
    expected = nav.around(cash + options_value + pnl + funding + in_flight, closing + leaving, gain)
    assert pending != 0
    assert abs(funding) > 0.1
    assert [from_wad(part) for part in navs(vault)] == pytest.approx(expected, rel=1e-12)


def test_nav_ignores_no_leg(world: OptionWorld, vault: Contract) -> None:
    """Each leg moves NAV by what it is worth: options, hedge, order in flight."""
    without = navs(vault)[0]
    world.hedge(vault, -round(world.net_delta(vault), 3))
    in_flight = navs(vault)[0] - without
    assert -to_wad(100) < in_flight < 0
    world.settle_hedge(vault)
    settled = navs(vault)[0]
    assert settled == pytest.approx(without + in_flight, abs=to_wad(0.2))  # marked as expected, then realised


def test_nav_of_both_sides_loses_only_what_a_trade_pays_nobody(world: OptionWorld) -> None:
    """An option trade moves NAV from one vault to the other."""
    assert sum(navs(vault)[0] for vault in (world.scalper, world.underwriter)) == pytest.approx(
        to_wad(6_000_000), abs=1_000
    )


def test_spread_between_low_and_high_is_the_cost_of_leaving(world: OptionWorld, vault: Contract) -> None:
    mid, low, high = navs(vault)
    closing = world.market.call("closingCost", vault.address, world.price())
    assert (mid - low, high - mid) == (closing, closing)
    unit_vega = world.market.call("unitGreeks", world.market.call("seriesOf", vault.address)[0], world.price())[0][3]
    assert from_wad(closing) == pytest.approx(80 * from_wad(unit_vega) * CLOSING_SPREAD, rel=1e-12)


def test_net_delta_counts_options_hedge_and_order_in_flight(world: OptionWorld, vault: Contract) -> None:
    before, gamma = vault.call("netDelta", world.price())
    options_delta, options_gamma = world.market.call("greeksOf", vault.address, world.price())[1:3]
    assert (before, gamma) == (options_delta, options_gamma)
    size = -round(from_wad(before), 3)
    world.hedge(vault, size)
    assert vault.call("netDelta", world.price())[0] == before + to_wad(size)
    world.settle_hedge(vault)
    assert world.size(vault.address) == to_wad(size)


def test_locked_clearinghouse_hides_nav(world: OptionWorld, vault: Contract) -> None:
    world.freeze()
    for view, args in (("nav", ()), ("sharePrice", ()), ("totalAssets", ()), ("netDelta", (world.price(),))):
        assert refusal(vault.call, view, *args).name == "VaultLocked"
    assert vault.call("maxDeposit", world.admin) == 0
    assert vault.call("maxWithdraw", world.account("depositor")) == 0


# -- shares -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dollars", [1.0, 777.77, 3_000_000.0])
def test_deposit_never_lowers_the_share_price_of_others(world: OptionWorld, vault: Contract, dollars: float) -> None:
    world.later(600, 2_150.0)
    mid, _, high = navs(vault)
    supply, price = vault.call("totalSupply"), vault.call("sharePrice")
    shares = world.invest(vault, "newcomer", dollars)
    assert vault.call("sharePrice") >= price
    assert from_wad(shares) == pytest.approx(
        nav.deposit_shares(dollars, from_wad(high), from_wad(supply)), rel=1e-9, abs=1e-6
    )
    gift = from_wad(vault.call("sharePrice") - price) * from_wad(supply)
    assert gift <= dollars * (high / mid - 1) + 1e-4  # the spread, and no more


@pytest.mark.parametrize("share", [1e-6, 0.1, 0.6])
def test_redemption_never_lowers_the_share_price_of_others(world: OptionWorld, vault: Contract, share: float) -> None:
    world.later(600, 2_150.0)
    _, low, _ = navs(vault)
    supply, price = vault.call("totalSupply"), vault.call("sharePrice")
    shares = int(supply * share)
    assets = world.redeem(vault, "depositor", shares)
    assert world.usdc("depositor") == assets
    assert vault.call("sharePrice") >= price
    expected = nav.redeem_assets(from_wad(shares), from_wad(low), from_wad(supply))
    assert assets / 1e6 == pytest.approx(expected, rel=1e-9, abs=2e-6)


def test_in_and_out_at_once_is_a_loss_of_the_spread(world: OptionWorld, vault: Contract) -> None:
    shares = world.invest(vault, "newcomer", 100_000.0)
    _, low, high = navs(vault)
    back = vault.call("previewRedeem", shares)  # what it would be paid if it were not locked
    assert back < to_usdc(100_000)
    assert back / to_usdc(100_000) == pytest.approx(low / high, rel=1e-4)


def test_previews_say_what_the_calls_do(world: OptionWorld, vault: Contract) -> None:
    depositor = world.account("depositor")
    amount = to_usdc(1_234.5)
    expected = vault.call("previewDeposit", amount)
    assert world.invest(vault, "newcomer", 1_234.5) == expected
    shares = to_wad(1_000)
    expected = vault.call("previewRedeem", shares)
    assert world.redeem(vault, "depositor", shares) == expected
    world.unlock_shares()
    expected = vault.call("previewWithdraw", amount)
    assert vault.send("withdraw", amount, depositor, depositor, sender=depositor).result == expected
    expected = vault.call("previewMint", shares)
    world._mint(depositor, vault, 2_000)
    assert vault.send("mint", shares, depositor, sender=depositor).result == expected


def test_max_withdraw_is_exactly_what_the_clearinghouse_lets_go(world: OptionWorld, vault: Contract) -> None:
    depositor = world.account("depositor")
    most = vault.call("maxWithdraw", depositor)
    equity, initial, _ = world.margin(vault.address)
    buffer = world.mandates[vault.address].call("limits")[4]
    unencumbered = min(equity - -(-initial * buffer // WAD), world.cash(vault.address))
    value = vault.call("previewRedeem", vault.call("balanceOf", depositor))
    assert most == min(unencumbered // 10**12, value)
    assert refusal(vault.send, "withdraw", most + 1, depositor, depositor, sender=depositor).name == (
        "WithdrawMoreThanMax"
    )
    vault.send("withdraw", most, depositor, depositor, sender=depositor)
    shares = vault.call("maxRedeem", depositor)
    assert vault.call("previewRedeem", shares) <= to_usdc(0.01)


def test_margin_of_shorts_stays_in_the_underwriter(world: OptionWorld) -> None:
    depositor = world.account("depositor")
    world.underwriter.send(
        "redeem", world.underwriter.call("maxRedeem", depositor), depositor, depositor, sender=depositor
    )
    equity, initial, _ = world.margin(world.underwriter.address)
    required = initial * 12 // 10  # the mandate's buffer
    assert equity >= required > 0
    assert equity - required < CENT


def test_bad_debt_blocks_withdrawals_and_max_withdraw_says_so(world: OptionWorld, vault: Contract) -> None:
    args = (world.house.address, world.account("bank"), to_wad(1), b"loss".ljust(32, b"\0"))
    world.module.send("run", world.house.address, world.house.encode("move", *args))
    assert world.house.call("badDebt") == to_wad(1)
    assert vault.call("maxWithdraw", world.account("depositor")) == 0
    assert vault.call("maxRedeem", world.account("depositor")) == 0


def test_deposits_close_on_old_prices_and_stale_surfaces(world: OptionWorld, vault: Contract) -> None:
    who = world.account("newcomer")
    assert vault.call("maxDeposit", who) == 2**256 - 1
    world.evm.advance(VOL_HEARTBEAT * 2 + 1)
    assert vault.call("maxDeposit", who) == 0  # price too old
    assert vault.call("maxWithdraw", world.account("depositor")) == 0
    world.publish(2_000.0)
    assert vault.call("maxDeposit", who) == 0  # surface stale
    assert vault.call("maxWithdraw", world.account("depositor")) > 0  # the way out stays open
    world.report()
    assert vault.call("maxDeposit", who) > 0


def test_shares_close_between_expiry_and_settlement(world: OptionWorld) -> None:
    expiry = world.expiries[0]
    world.expire(expiry, 2_300.0)
    for vault in (world.scalper, world.underwriter):
        assert vault.call("maxDeposit", world.admin) == vault.call("maxRedeem", world.account("depositor")) == 0
    total = sum(navs(vault)[0] for vault in (world.scalper, world.underwriter))
    for vault in (world.underwriter, world.scalper):
        for series in world.market.call("seriesOf", vault.address):
            world.settle_series(vault.address, series)
        assert vault.call("maxRedeem", world.account("depositor")) > 0
    assert sum(navs(vault)[0] for vault in (world.scalper, world.underwriter)) == total
    assert navs(world.scalper)[0] == world.cash(world.scalper.address)


def test_shares_close_while_a_fill_is_decided_and_not_settled(world: OptionWorld, vault: Contract) -> None:
    who = world.account("depositor")
    world.hedge(vault, -round(world.net_delta(vault), 3))
    assert vault.call("maxDeposit", who) > 0
    assert vault.call("maxRedeem", who) > 0
    hint = world.move(2_100.0, 2)  # the benchmark: everyone can see what the order will have earned
    assert vault.call("maxDeposit", who) == vault.call("maxRedeem", who) == vault.call("maxWithdraw", who) == 0
    world.settle(vault.address, hint)
    assert vault.call("maxDeposit", who) > 0
    assert vault.call("maxRedeem", who) > 0


def test_everyone_leaving_leaves_dust_and_the_vault_opens_again(world: OptionWorld) -> None:
    world.expire(world.expiries[0], 2_300.0)
    for vault in (world.underwriter, world.scalper):
        for series in world.market.call("seriesOf", vault.address):
            world.settle_series(vault.address, series)
    for vault in (world.underwriter, world.scalper):
        world.redeem(vault, "depositor", vault.call("balanceOf", world.account("depositor")))
        assert vault.call("totalSupply") == 0
        assert world.cash(vault.address) < CENT
        shares = world.invest(vault, "newcomer", 1_000.0)
        world.unlock_shares()
        assert world.redeem(vault, "newcomer", shares) == pytest.approx(to_usdc(1_000), abs=10_000)


@pytest.mark.parametrize("donation", [0.01, 100.0, 20_000.0, 5_000_000.0])
@pytest.mark.parametrize("stake", [0.000001, 1.0])
def test_inflating_the_first_share_does_not_pay(donation: float, stake: float) -> None:
    world = OptionWorld()
    world.open_vaults()
    vault = world.scalper
    world.invest(vault, "attacker", stake)
    world.deposit(vault.address, donation)  # a gift through the clearinghouse
    world.token.send("mint", vault.address, to_usdc(donation))  # and one to the contract, which counts for nothing
    world.invest(vault, "depositor", 10_000.0)
    world.unlock_shares()
    back = world.redeem(vault, "attacker", vault.call("balanceOf", world.account("attacker")))
    assert back <= to_usdc(stake + donation)
    kept = vault.call("previewRedeem", vault.call("balanceOf", world.account("depositor")))
    assert kept >= to_usdc(10_000) * 0.99


def test_tokens_sent_to_the_contract_move_nothing(world: OptionWorld, vault: Contract) -> None:
    before = navs(vault)
    world.token.send("mint", vault.address, to_usdc(1_000_000))
    assert navs(vault) == before


# -- performance fee --------------------------------------------------------------------------------------------------


@pytest.fixture
def paying(world: OptionWorld) -> Contract:
    """The scalper vault with a fee of a fifth; a large move makes it gain."""
    world.scalper.send("setPerformanceFee", world.account("manager"), to_wad(0.2), sender=world.admin)
    return world.scalper


def look_price(world: OptionWorld, vault: Contract) -> int:
    """Share price that the lens shows."""
    return int(world.lens.call("snapshot", vault.address, world.admin)[6][4])


def value_of(vault: Contract, account: str) -> float:
    """An account's shares at mid, USD."""
    return from_wad(vault.call("balanceOf", account)) * from_wad(vault.call("sharePrice"))


def test_fee_is_its_share_of_the_gain_above_the_mark(world: OptionWorld, paying: Contract) -> None:
    mark, supply = from_wad(paying.call("highWaterMark")), from_wad(paying.call("totalSupply"))
    assert mark == from_wad(paying.call("sharePrice"))
    world.later(600, 2_300.0)
    gross = nav.share_price(from_wad(navs(paying)[0]), supply)
    shares, net = nav.performance_fee(gross, mark, 0.2, supply)
    assert net == pytest.approx(mark + 0.8 * (gross - mark), rel=1e-12)
    assert from_wad(paying.call("sharePrice")) == pytest.approx(net, rel=1e-12)  # due already before it is taken
    world.invest(paying, "newcomer", 1.0)
    manager = world.account("manager")
    assert from_wad(paying.call("balanceOf", manager)) == pytest.approx(shares, rel=1e-9)
    assert value_of(paying, manager) == pytest.approx(0.2 * (gross - mark) * supply, rel=1e-6)
    assert from_wad(paying.call("highWaterMark")) == pytest.approx(net, rel=1e-12)


def test_fee_is_not_charged_on_the_way_back_to_an_old_high(world: OptionWorld, paying: Contract) -> None:
    manager = world.account("manager")
    world.later(600, 2_300.0)
    world.invest(paying, "newcomer", 1.0)
    taken, mark = paying.call("balanceOf", manager), paying.call("highWaterMark")
    for price in (2_000.0, 2_250.0):
        world.later(600, price)
        world.invest(paying, "newcomer", 1.0)
        assert paying.call("balanceOf", manager) == taken
        assert paying.call("highWaterMark") == mark


def test_fee_cannot_be_evaded_by_leaving_first(world: OptionWorld, paying: Contract) -> None:
    world.later(600, 2_300.0)
    price = from_wad(paying.call("sharePrice"))
    shares = to_wad(1_000)
    back = world.redeem(paying, "depositor", shares)
    mid, low, _ = navs(paying)
    assert back / 1e6 == pytest.approx(1_000 * price * low / mid, rel=1e-6)
    assert paying.call("balanceOf", world.account("manager")) > 0


def test_previews_count_the_fee_that_is_due(world: OptionWorld, paying: Contract) -> None:
    world.later(600, 2_300.0)
    expected = paying.call("previewDeposit", to_usdc(777))
    assert world.invest(paying, "newcomer", 777.0) == expected


def test_fee_of_a_lens_seen_vault_is_in_its_share_price(world: OptionWorld, paying: Contract) -> None:
    world.later(600, 2_300.0)
    assert look_price(world, paying) == paying.call("sharePrice")


def test_fee_above_half_or_by_a_stranger_is_refused(world: OptionWorld) -> None:
    args = (world.admin, to_wad(0.51))
    assert refusal(world.scalper.send, "setPerformanceFee", *args, sender=world.admin).name == "FeeTooHigh"
    stranger = world.account("stranger")
    assert refusal(world.scalper.send, "setPerformanceFee", stranger, 1, sender=stranger).name == (
        "AccessControlUnauthorizedAccount"
    )


def test_newcomers_to_an_emptied_vault_pay_no_fee_on_its_past(world: OptionWorld, paying: Contract) -> None:
    world.expire(world.expiries[0], 2_300.0)
    for vault in (world.underwriter, world.scalper):
        for series in world.market.call("seriesOf", vault.address):
            world.settle_series(vault.address, series)
    paying.send("setPerformanceFee", world.account("manager"), 0, sender=world.admin)
    for role in ("depositor", "manager"):
        world.redeem(paying, role, paying.call("balanceOf", world.account(role)))
    assert paying.call("totalSupply") == 0
    paying.send("setPerformanceFee", world.account("manager"), to_wad(0.2), sender=world.admin)
    world.deposit(paying.address, 100.0)
    shares = world.invest(paying, "newcomer", 10_000.0)
    world.unlock_shares()
    assert world.redeem(paying, "newcomer", shares) == pytest.approx(to_usdc(10_000), rel=0.02)
    # a fifth of the rounding that a deposit leaves in the vault, and none of the gift
    assert paying.call("balanceOf", world.account("manager")) < 10**6


# -- rolls and roles --------------------------------------------------------------------------------------------------


def test_roll_buys_the_straddle_from_the_maker(world: OptionWorld) -> None:
    before = world.cash(world.scalper.address)
    receipt = world.roll(2_000.0, 10.0, world.expiries[0])
    (rolled,) = receipt.events("Rolled")
    traded = receipt.events("Traded")
    assert rolled["premium"] == receipt.result == sum(trade["premium"] for trade in traded)
    assert before - world.cash(world.scalper.address) == receipt.result
    assert [world.position(world.scalper.address, trade["seriesId"]) for trade in traded] == [to_wad(50)] * 2
    assert [world.position(world.underwriter.address, trade["seriesId"]) for trade in traded] == [-to_wad(50)] * 2


def test_roll_costs_about_the_makers_spread_over_mid(world: OptionWorld) -> None:
    before = navs(world.scalper)[0]
    traded = world.roll(2_000.0, 10.0, world.expiries[0]).events("Traded")
    cost = sum(trade["premium"] - trade["mid"] for trade in traded)
    vega = sum(world.market.call("unitGreeks", trade["seriesId"], world.price())[0][3] for trade in traded)
    assert before - navs(world.scalper)[0] == pytest.approx(cost, abs=1_000)
    assert from_wad(cost) >= from_wad(vega) * 10 * HALF_SPREAD * 0.99


def test_roll_beyond_its_budget_or_limit_is_refused(world: OptionWorld) -> None:
    expiry = world.expiries[0]
    assert refusal(world.roll, 2_000.0, 1_000.0, expiry).name == "BudgetExceeded"
    assert refusal(world.roll, 2_000.0, 10.0, expiry, 100.0).name == "BudgetExceeded"
    limits = (world.underwriter.address, to_wad(0.0001), SECONDS_PER_DAY, to_wad(0.1))
    world.scalper.send("setRollLimits", *limits, sender=world.admin)
    error = refusal(world.roll, 2_000.0, 10.0, expiry)
    assert error.name == "BudgetExceeded"
    assert error.args[1] == 0  # the first roll has spent more than that already
    world.later(SECONDS_PER_DAY)
    world.later(SECONDS_PER_DAY)
    assert refusal(world.roll, 2_000.0, 10.0, expiry).args[1] == navs(world.scalper)[0] // 10_000


def test_roll_that_gives_away_too_much_edge_is_refused(world: OptionWorld) -> None:
    limits = (world.underwriter.address, to_wad(0.1), SECONDS_PER_DAY, to_wad(0.01))
    world.scalper.send("setRollLimits", *limits, sender=world.admin)
    assert refusal(world.roll, 2_000.0, 10.0, world.expiries[0]).name == "EdgeExceeded"


def test_roles_bind(world: OptionWorld) -> None:
    stranger = world.account("stranger")
    quoting = (False, 0, 0, 0, 0, 0, WAD)
    attempts = [
        (world.scalper, "roll", (world.expiries[0], to_wad(2_000), WAD, WAD), "NotRoller"),
        (world.scalper, "executeHedge", (world.perp.address, WAD, WAD), "NotMandate"),
        (world.scalper, "setMandate", (stranger,), "AccessControlUnauthorizedAccount"),
        (world.scalper, "setRollLimits", (stranger, 0, SECONDS_PER_DAY, 0), "AccessControlUnauthorizedAccount"),
        (world.underwriter, "setQuoting", (quoting,), "AccessControlUnauthorizedAccount"),
    ]
    for vault, function, args, error in attempts:
        assert refusal(vault.send, function, *args, sender=stranger).name == error


def test_mandate_may_use_the_vaults_venues_only(world: OptionWorld) -> None:
    world.scalper.send("setMandate", world.account("stranger"), sender=world.admin)
    error = refusal(world.scalper.send, "executeHedge", world.pool.address, WAD, WAD, sender=world.account("stranger"))
    assert error.name == "UnknownVenue"
