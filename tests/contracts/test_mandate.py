"""HedgeMandate: what a hedger's key may do with a vault, and no more."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
from option_world import LIMITS, VOL_HEARTBEAT, OptionWorld, straddle_world
from venue_world import refusal

from keeper.chain.contract import Contract, Receipt
from keeper.protocol import mandate as rules
from keeper.protocol import options
from keeper.protocol.mandate import Refusal
from keeper.units import SECONDS_PER_DAY, WAD, from_wad, to_wad


@dataclass
class Desk:
    """A hedger at work on the scalper vault, whose net delta is moved by moving the price."""

    world: OptionWorld

    @property
    def vault(self) -> Contract:
        return self.world.scalper

    @property
    def mandate(self) -> Contract:
        return self.world.mandates[self.vault.address]

    @property
    def delta(self) -> float:
        return self.world.net_delta(self.vault)

    def hedge(self, size: float, limit: int | None = None, role: str = "hedger") -> Receipt:
        return self.world.hedge(self.vault, size, limit, role)

    def refused(self, size: float, limit: int | None = None, role: str = "hedger") -> str:
        return refusal(self.hedge, size, limit, role).name

    def limit(self, **changes: int) -> None:
        self.mandate.send("setLimits", tuple((LIMITS | changes).values()), sender=self.world.admin)

    def flatten(self) -> None:
        self.hedge(-round(self.delta, 6))
        self.world.settle_hedge(self.vault)


@pytest.fixture(scope="module")
def fresh() -> OptionWorld:
    world = straddle_world()
    world.later(600, 2_100.0)
    return world


@pytest.fixture
def desk(fresh: OptionWorld):
    with fresh.evm.rolled_back():
        vol, expiries = fresh.vol, list(fresh.expiries)
        yield Desk(fresh)
        fresh.vol, fresh.expiries = vol, expiries


# -- direction --------------------------------------------------------------------------------------------------------


def test_hedge_that_reduces_delta_goes_and_says_what_it_does(desk: Desk) -> None:
    before = desk.delta
    assert before > 10
    receipt = desk.hedge(-before / 2)
    (event,) = receipt.events("Hedged")
    assert event["keeper"] == desk.world.account("hedger")
    assert event["venue"] == desk.world.perp.address
    assert from_wad(event["deltaBefore"]) == before
    assert event["deltaAfter"] == event["deltaBefore"] + event["sizeDelta"]
    assert event["price"] == to_wad(2_100)
    assert receipt.events("HedgeRequested")[0]["orderId"] == receipt.result
    assert desk.delta == pytest.approx(before / 2)


@pytest.mark.parametrize("share", [0.5, 1e-3, -1.1, -1.5, -3.0])
def test_hedge_that_adds_or_overshoots_is_refused(desk: Desk, share: float) -> None:
    assert desk.refused(desk.delta * share) == "DoesNotReduce"


def test_hedge_may_cross_zero_by_the_tolerance_and_no_further(desk: Desk) -> None:
    tolerance = from_wad(LIMITS["deltaTolerance"])
    assert desk.refused(-desk.delta - tolerance - 1e-6) == "DoesNotReduce"
    desk.hedge(-desk.delta - tolerance + 1e-6)
    assert desk.delta == pytest.approx(-tolerance, abs=2e-6)


def test_inside_the_tolerance_any_trade_that_stays_inside_goes(desk: Desk) -> None:
    desk.flatten()
    assert desk.refused(0.6) == "DoesNotReduce"
    desk.hedge(0.3)  # raises |delta|, and stays inside
    desk.world.settle_hedge(desk.vault)
    assert desk.refused(0.3) == "DoesNotReduce"
    desk.hedge(-0.7)


def test_order_in_flight_counts_and_blocks_a_second_one(desk: Desk) -> None:
    desk.hedge(-desk.delta)
    assert abs(desk.delta) < 1e-9
    assert desk.refused(-1.0) == "OrderInFlight"
    desk.world.settle_hedge(desk.vault)
    assert abs(desk.delta) < 0.01


def test_order_that_never_settles_is_cancelled_by_anyone_and_frees_the_mandate(desk: Desk) -> None:
    desk.hedge(-desk.delta)
    desk.world.evm.advance(63)
    desk.world.perp.send("cancel", desk.vault.address, sender=desk.world.account("stranger"))
    desk.world.publish(2_100.0)
    desk.hedge(-desk.delta)


# -- bounds -----------------------------------------------------------------------------------------------------------


def test_only_the_hedger_may_hedge_and_only_admin_sets_limits(desk: Desk) -> None:
    assert desk.refused(-1.0, role="stranger") == "AccessControlUnauthorizedAccount"
    limits = tuple(LIMITS.values())
    assert refusal(desk.mandate.send, "setLimits", limits, sender=desk.world.account("hedger")).name == (
        "AccessControlUnauthorizedAccount"
    )


def test_revoked_hedger_is_powerless(desk: Desk) -> None:
    hedger = desk.world.account("hedger")
    assert desk.mandate.call("budgetLeft", hedger) == LIMITS["budgetPerDay"]
    desk.mandate.send("revokeRole", desk.mandate.call("HEDGER"), hedger, sender=desk.world.admin)
    assert desk.refused(-1.0) == "AccessControlUnauthorizedAccount"
    assert desk.mandate.call("budgetLeft", hedger) == 0


def test_other_venues_are_refused(desk: Desk) -> None:
    args = (desk.world.pool.address, to_wad(-1), to_wad(2_099), desk.world.evm.timestamp)
    assert refusal(desk.mandate.send, "hedge", *args, sender=desk.world.account("hedger")).name == "VenueNotAllowed"


def test_hedge_after_its_deadline_is_refused(desk: Desk) -> None:
    now = desk.world.evm.timestamp
    args = (desk.world.perp.address, to_wad(-1), to_wad(2_099), now - 1)
    error = refusal(desk.mandate.send, "hedge", *args, sender=desk.world.account("hedger"))
    assert (error.name, error.args) == ("DeadlinePassed", (now, now - 1))


def test_hedge_on_an_old_price_is_refused(desk: Desk) -> None:
    desk.world.evm.advance(3_601)
    assert desk.refused(-1.0) == "PriceTooOld"


@pytest.mark.parametrize("size", [-1.0, 1.0])
def test_acceptable_price_is_bounded_on_both_sides(desk: Desk, size: float) -> None:
    if size > 0:
        desk.world.later(600, 1_900.0)
    price = desk.world.price()
    worst = price * (98 if size < 0 else 102) // 100
    beyond = worst + (1 if size > 0 else -1)
    assert desk.refused(size, beyond) == "SlippageExceeded"
    desk.hedge(size, worst)


def test_size_is_bounded_and_never_zero(desk: Desk) -> None:
    desk.limit(maxOrderSize=to_wad(5))
    assert desk.refused(-5.000001) == "SizeExceeded"
    desk.hedge(-5.0)
    desk.world.settle_hedge(desk.vault)
    desk.limit(deltaTolerance=to_wad(100))
    assert desk.refused(0.0) == "SizeExceeded"


def test_budget_is_consumed_and_refills_over_a_day(desk: Desk) -> None:
    hedger = desk.world.account("hedger")
    desk.limit(budgetPerDay=to_wad(10))
    desk.hedge(-6.0)
    desk.world.settle_hedge(desk.vault)
    left = from_wad(desk.mandate.call("budgetLeft", hedger))
    assert left == pytest.approx(4.0 + 10.0 * 2 / SECONDS_PER_DAY, rel=1e-12)
    assert desk.refused(-4.1) == "KeeperBudgetExceeded"
    desk.hedge(-4.0)
    desk.world.settle_hedge(desk.vault)
    desk.world.later(3_600)
    expected = 10.0 - rules.spent_now(10.0 - 10.0 * 2 / SECONDS_PER_DAY, 3_603, 10.0)
    assert from_wad(desk.mandate.call("budgetLeft", hedger)) == pytest.approx(expected, rel=1e-12)
    for _ in range(23):
        desk.world.later(3_600)
    assert from_wad(desk.mandate.call("budgetLeft", hedger)) == pytest.approx(10.0, rel=1e-3)


def test_budgets_of_two_keepers_are_apart(desk: Desk) -> None:
    second = desk.world.account("second")
    desk.mandate.send("grantRole", desk.mandate.call("HEDGER"), second, sender=desk.world.admin)
    desk.limit(budgetPerDay=to_wad(6))
    desk.hedge(-6.0)
    desk.world.settle_hedge(desk.vault)
    assert desk.refused(-1.0) == "KeeperBudgetExceeded"
    desk.hedge(-1.0, role="second")


def test_cooldown_runs_from_the_last_order_and_from_the_last_fill(desk: Desk) -> None:
    desk.limit(cooldown=60)
    desk.hedge(-5.0)
    desk.world.evm.advance(63)
    desk.world.perp.send("cancel", desk.vault.address)
    desk.world.publish(2_100.0)
    desk.limit(cooldown=120)
    assert desk.refused(-5.0) == "CoolingDown"  # an order that failed counts too
    desk.limit(cooldown=60)
    desk.hedge(-5.0)
    desk.world.settle_hedge(desk.vault)
    assert desk.refused(-1.0) == "CoolingDown"
    desk.world.move(2_100.0, 60)
    desk.hedge(-1.0)


def test_margin_buffer_binds_what_grows_and_spares_what_shrinks(desk: Desk) -> None:
    desk.hedge(-5.0)
    desk.world.settle_hedge(desk.vault)
    desk.limit(marginBuffer=to_wad(2_000))
    equity, initial, _ = desk.world.margin(desk.vault.address)
    assert initial < equity < 2_000 * initial
    error = refusal(desk.hedge, -1.0)
    assert error.name == "MarginBufferBroken"
    assert error.args[1] > error.args[0]
    desk.world.later(600, 1_900.0)
    assert desk.delta < -5
    desk.hedge(5.0)  # back to flat at the venue: allowed however thin the margin


def stressed(desk: Desk) -> tuple[float, float]:
    """Net delta with all vols a quarter lower and a quarter higher."""
    market, vault, price = desk.world.market, desk.vault.address, desk.world.price()
    others = desk.delta - from_wad(market.call("greeksAt", vault, price, WAD)[1])
    low, high = (
        others + from_wad(market.call("greeksAt", vault, price, to_wad(scale))[1])
        for scale in (1 - rules.VOL_DOUBT, 1 + rules.VOL_DOUBT)
    )
    return low, high


@pytest.mark.parametrize("heartbeats", [1, 2, 7])
@pytest.mark.parametrize("share", [0.05, -0.5, -1.0, -1.9, -2.3])
def test_old_surface_lets_only_hedges_go_that_help_at_both_vols(desk: Desk, heartbeats: int, share: float) -> None:
    desk.limit(deltaTolerance=to_wad(100))
    desk.world.evm.advance(VOL_HEARTBEAT * heartbeats + 1)
    desk.world.publish(2_100.0)
    size = from_wad(to_wad(desk.delta * share))
    assert abs(desk.delta + size) <= 100  # all that a fresh surface asks
    if rules.reduces_in_doubt(*stressed(desk), size):
        desk.hedge(size)
    else:
        assert desk.refused(size) == "DoesNotReduce"


def test_stressed_delta_is_that_of_the_kernels(desk: Desk) -> None:
    left = desk.world.expiries[0] - desk.world.evm.timestamp
    series = desk.world.market.call("seriesOf", desk.vault.address)[0]
    vol = from_wad(desk.world.market.call("unitGreeks", series, desk.world.price())[1])
    low, high = stressed(desk)
    for scale, got in ((1 - rules.VOL_DOUBT, low), (1 + rules.VOL_DOUBT, high)):
        units = [options.unit(2_100.0, 2_000.0, left, vol * scale, is_call)[1] for is_call in (True, False)]
        assert got == pytest.approx(40 * sum(units), rel=1e-9)
    assert high < low  # away from the strike delta grows as vol falls


def test_frozen_surface_lets_only_orders_go_that_shrink_the_position(desk: Desk) -> None:
    desk.hedge(-10.0)
    desk.world.settle_hedge(desk.vault)
    desk.world.evm.advance(VOL_HEARTBEAT * 8 + 1)
    desk.world.publish(2_100.0)
    assert desk.delta > 1
    assert desk.refused(-1.0) == "SurfaceFrozen"
    desk.world.move(1_800.0)
    assert desk.delta < -10
    assert desk.refused(11.0) == "SurfaceFrozen"
    desk.hedge(10.0)


@pytest.mark.parametrize(
    ("name", "value"), [("maxSlippage", to_wad(0.11)), ("marginBuffer", WAD - 1), ("maxOrderSize", 0)]
)
def test_limits_out_of_bounds_are_refused(desk: Desk, name: str, value: int) -> None:
    error = refusal(desk.limit, **{name: value})
    assert (error.name, error.args[1]) == ("BadLimit", value)


def test_stolen_key_loses_at_most_budget_times_slippage_and_fees(desk: Desk) -> None:
    """Every hedge at the worst price that the mandate allows, as often as the budget lets it."""
    desk.limit(budgetPerDay=to_wad(100), deltaTolerance=to_wad(10))
    start = desk.vault.call("nav")[0]
    spent, sign, orders = 0.0, -1.0, 0
    while spent + 10 <= 100:
        size = sign * 9.9 - desk.delta
        size = math.copysign(min(abs(size), 100 - spent), size)
        desk.hedge(size)
        desk.world.settle_hedge(desk.vault)
        spent, sign, orders = spent + abs(size), -sign, orders + 1
    loss = from_wad(start - desk.vault.call("nav")[0])
    reward = from_wad(desk.world.perp.call("settlementReward", desk.world.price()))
    bound = 100 * 2_100 * (0.02 + 0.0005) + orders * reward
    assert orders > 3
    assert 0 < loss < bound


# -- the same rules in floats -----------------------------------------------------------------------------------------


def test_kernel_predicts_every_refusal(desk: Desk) -> None:
    """The kernel's answer for a grid of hedges equals the contract's."""
    desk.limit(budgetPerDay=to_wad(60), maxOrderSize=to_wad(30))
    desk.hedge(-5.0)
    desk.world.settle_hedge(desk.vault)
    errors = {
        "".join(part.capitalize() for part in name.split("_")): code for name, code in Refusal.__members__.items()
    }
    seen = set()
    for size in (-40.0, -20.0, -5.0, 0.0, 0.4, 3.0, 31.0):
        for slack in (0.01, 0.03):
            outcome = _try(desk, size, slack)
            code = Refusal.NONE if outcome is None else errors[outcome]
            assert _predict(desk, size, slack) == code, (size, slack, outcome)
            seen.add(code)
    assert {Refusal.NONE, Refusal.DOES_NOT_REDUCE, Refusal.SLIPPAGE_EXCEEDED} <= seen


def _try(desk: Desk, size: float, slack: float) -> str | None:
    limit = to_wad(2_100 * (1 + math.copysign(slack, size)))
    with desk.world.evm.rolled_back():
        try:
            return desk.refused(size, limit)
        except AssertionError:
            return None


def _predict(desk: Desk, size: float, slack: float) -> int:
    world, vault = desk.world, desk.vault
    price = from_wad(world.price())
    equity, initial, _ = (from_wad(part) for part in world.margin(vault.address))
    limits = {name: from_wad(value) for name, value in LIMITS.items()}
    limits |= {"maxOrderSize": 30.0, "cooldown": 0.0}
    return rules.refusal(
        size, price * (1 + math.copysign(slack, size)), price, desk.delta, from_wad(world.size(vault.address)),
        0.0, 0.0, from_wad(desk.mandate.call("budgetLeft", world.account("hedger"))), equity, initial,
        limits["deltaTolerance"], limits["maxOrderSize"], limits["maxSlippage"], limits["marginBuffer"], 0.0,
    )  # fmt: skip
