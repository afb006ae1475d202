"""VaultLens: one call that equals the separate views, field by field."""

from __future__ import annotations

import pytest
from option_world import OptionWorld, straddle_world
from venue_world import refusal

from keeper.chain.contract import Contract
from keeper.protocol.options import variance_seconds
from keeper.units import WAD


@pytest.fixture(scope="module")
def fresh() -> OptionWorld:
    """Both vaults with options of two strikes and two expiries, a filled hedge, and one in flight."""
    world = straddle_world()
    second = world.expiries[0] + 7 * 86_400
    for strike, is_call, expiry in ((2_200.0, True, second), (1_800.0, False, second)):
        world.list_series(strike, is_call, expiry)
    world.make("scalper-friend")
    world.deposit("trader", 200_000)
    for expiry, strike, is_call in ((second, 2_200, True), (second, 1_800, False)):
        series = int(world.market.call("seriesId", expiry, strike * WAD, is_call))
        world.buy("trader", world.underwriter.address, series, 5.0)
    world.later(3_600, 2_100.0)
    for vault in (world.scalper, world.underwriter):
        world.hedge(vault, -round(world.net_delta(vault) / 2, 3))
        world.settle_hedge(vault)
    world.later(600, 2_140.0)
    for vault in (world.scalper, world.underwriter):
        world.hedge(vault, -round(world.net_delta(vault) / 2, 3))
    world.evm.advance(100)
    return world


@pytest.fixture
def world(fresh: OptionWorld):
    with fresh.evm.rolled_back():
        yield fresh


@pytest.fixture(params=["scalper", "underwriter"])
def vault(world: OptionWorld, request: pytest.FixtureRequest) -> Contract:
    return getattr(world, request.param)


def look(world: OptionWorld, vault: Contract) -> tuple:
    return world.lens.call("snapshot", vault.address, world.account("hedger"))


def test_block_and_price_are_those_of_the_feed(world: OptionWorld, vault: Contract) -> None:
    block, price, *_ = look(world, vault)
    assert block[:3] == (world.evm.block_number, world.evm.timestamp, world.evm.base_fee)
    assert block[4] == world.evm.chain_id
    assert price == (*world.feed.call("peek"), world.feed.call("heartbeat"))


def test_slices_are_those_of_the_surface(world: OptionWorld, vault: Contract) -> None:
    slices = look(world, vault)[2]
    assert [each[0] for each in slices] == list(world.surface.call("expiries")) == world.expiries
    for expiry, theta, rho_psi, psi, reported_at, state in slices:
        assert (theta, rho_psi, psi, reported_at) == world.surface.call("slice", expiry)
        assert state == world.surface.call("state", expiry)


def test_holdings_are_those_of_the_market(world: OptionWorld, vault: Contract) -> None:
    holdings = look(world, vault)[3]
    assert [each[0] for each in holdings] == list(world.market.call("seriesOf", vault.address))
    for series, expiry, strike, is_call, size, vol, forward, time, *unit, settlement in holdings:
        assert (expiry, strike, is_call) == world.market.call("series", series)
        assert size == world.market.call("positionOf", vault.address, series)
        assert (tuple(unit), vol) == world.market.call("unitGreeks", series, world.price())
        assert (forward, time) == (world.price(), variance_seconds(expiry - world.evm.timestamp))
        assert settlement == world.market.call("settlementPrice", expiry)


def test_venue_is_that_of_the_perp_market(world: OptionWorld, vault: Contract) -> None:
    perp, price = world.perp, world.price()
    (venue,) = look(world, vault)[4]
    assert venue == (
        perp.address,
        perp.call("parameters"),
        perp.call("position", vault.address),
        perp.call("order", vault.address),
        perp.call("skew"),
        *perp.call("openInterest"),
        perp.call("funding", price)[0],
        *perp.call("accrued", vault.address, price),
        perp.call("lastFillTime", vault.address),
        perp.call("settlementReward", price),
    )
    assert venue[3][0] != 0
    assert venue[2][0] != 0


def test_account_and_value_are_those_of_the_vault(world: OptionWorld, vault: Contract) -> None:
    account, value = look(world, vault)[5:7]
    house, price = world.house, world.price()
    assert account == (
        house.call("cash", vault.address),
        *house.call("margin", vault.address, price),
        house.call("badDebt"),
    )
    assert value == (
        *vault.call("nav"),
        vault.call("totalSupply"),
        vault.call("sharePrice"),
        *vault.call("netDelta", price),
        world.market.call("closingCost", vault.address, price),
    )


def test_limits_and_budget_are_those_of_the_mandate(world: OptionWorld, vault: Contract) -> None:
    limits, budget = look(world, vault)[7:]
    mandate = world.mandates[vault.address]
    assert limits == mandate.call("limits")
    assert budget == mandate.call("budgetLeft", world.account("hedger"))
    assert 0 < budget < limits[5]
    assert world.lens.call("snapshot", vault.address, world.account("stranger"))[8] == 0


def test_old_price_is_shown_not_refused(world: OptionWorld, vault: Contract) -> None:
    world.evm.advance(7_200)
    seen = look(world, vault)
    assert refusal(vault.call, "nav").name == "PriceTooOld"
    assert seen[0][1] - seen[1][1] > seen[1][3]


def test_locked_clearinghouse_is_refused(world: OptionWorld, vault: Contract) -> None:
    world.freeze()
    assert refusal(look, world, vault).name == "Locked"


def test_fixed_series_shows_its_settlement_price(world: OptionWorld, vault: Contract) -> None:
    world.expire(world.expiries[0], 2_300.0)
    world.report()
    settled = [each for each in look(world, vault)[3] if each[1] == world.expiries[0]]
    assert settled
    for *_, delta, gamma, vega, theta, settlement in settled:
        assert (delta, gamma, vega, theta) == (0, 0, 0, 0)
        assert settlement == world.market.call("settlementPrice", world.expiries[0])


def test_vault_without_a_mandate_has_no_limits(world: OptionWorld, vault: Contract) -> None:
    vault.send("setMandate", "0x" + "00" * 20, sender=world.admin)
    assert look(world, vault)[7:] == ((0, 0, 0, 0, 0, 0, 0), 0)
