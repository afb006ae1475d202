"""The live decision: what each policy wants, what each limit forbids, and that the same inputs give the same answer."""

from __future__ import annotations

import math
from dataclasses import replace

import hand_made
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.errors import InputError
from keeper.hedging.bands import whalley_wilmott_half_width
from keeper.hedging.decide import HedgeConfig, decide
from keeper.pricing.black76 import greeks
from keeper.protocol import mandate
from keeper.risk import limits
from keeper.risk.exposure import exposure
from keeper.state.decision import Action, Decision, Reason
from keeper.state.snapshot import (
    YEAR_SECONDS,
    Account,
    Holding,
    MandateLimits,
    PendingOrder,
    Snapshot,
    SurfaceState,
    Venue,
    VolSlice,
)

NOW = hand_made.START
BAND = HedgeConfig(policy="fixed-band", band=1.0)
WIDE = MandateLimits(1.0, 1_000.0, 0.0, 0.05, 1.05, 10_000.0, 0, 10_000.0)


def held(size: float, price: float = 100.0, vol: float = 0.8) -> Holding:
    """``size`` calls struck at 100 with the Greeks of the textbook."""
    base = hand_made.holding(size, vol)
    value, delta, gamma, vega, theta = greeks(price, base.strike, base.time_to_expiry(NOW), vol, 0.0, base.is_call)
    return replace(base, value=value, delta=delta, gamma=gamma, vega=vega, theta=theta)


def book(
    size: float = 100.0,
    hedge: float = 0.0,
    pending: PendingOrder | None = None,
    state: SurfaceState = SurfaceState.FRESH,
    equity: float = 1_000_000.0,
    allowed: MandateLimits = WIDE,
    **of_venue: float,
) -> Snapshot:
    """A vault with calls and a hedge, rich and fresh unless told otherwise."""
    venue = replace(hand_made.venue(hedge, pending=pending), **of_venue)
    base = hand_made.snapshot(7, NOW, 100.0, equity, (held(size),), (venue,))
    slices = (VolSlice(hand_made.EXPIRY, 0.05, -0.01, 0.2, NOW, state),)
    return replace(base, slices=slices, limits=allowed, account=Account(equity, equity, 0.0, 0.0, 0.0))


def decided(snapshot: Snapshot, config: HedgeConfig = BAND, last: int = 0) -> Decision:
    return decide(snapshot, exposure(snapshot), config, last)


def test_exposure_of_a_book_adds_up_size_times_greek():
    seen, unit = exposure(book(100.0, hedge=-20.0)), held(1.0)
    assert seen.option_delta == pytest.approx(100.0 * unit.delta, rel=1e-15)
    assert seen.net_delta == pytest.approx(100.0 * unit.delta - 20.0, rel=1e-15)
    assert (seen.gamma, seen.vega, seen.theta) == pytest.approx((100 * unit.gamma, 100 * unit.vega, 100 * unit.theta))
    assert seen.cash_gamma == pytest.approx(seen.gamma * 100.0**2)
    assert seen.time_to_expiry == pytest.approx(30 * 86_400 / YEAR_SECONDS)


def test_exposure_counts_an_order_in_flight_as_done():
    order = PendingOrder(1, -30.0, 95.0, NOW)
    assert exposure(book(pending=order)).net_delta == pytest.approx(exposure(book()).net_delta - 30.0)


def test_fixed_band_outside_trades_to_the_nearest_edge():
    decision = decided(book())
    assert (decision.action, decision.reason) == (Action.HEDGE, Reason.OUTSIDE_BAND)
    assert decision.size == pytest.approx(-(exposure(book()).net_delta - 1.0), rel=1e-12)


def test_fixed_band_inside_holds():
    net = exposure(book()).option_delta
    decision = decided(book(hedge=-net + 0.9))
    assert (decision.action, decision.reason, decision.size) == (Action.HOLD, Reason.INSIDE_BAND, 0.0)


@pytest.mark.parametrize(("elapsed", "reason"), [(599, Reason.INTERVAL_NOT_DUE), (600, Reason.INTERVAL_DUE)])
def test_fixed_time_trades_to_flat_once_the_interval_has_passed(elapsed: int, reason: Reason):
    decision = decided(book(), HedgeConfig(policy="fixed-time", interval=600.0), NOW - elapsed)
    assert decision.reason is reason
    assert decision.size == (pytest.approx(-exposure(book()).net_delta) if reason is Reason.INTERVAL_DUE else 0.0)


def test_whalley_wilmott_uses_the_band_of_the_shared_kernel():
    config = HedgeConfig(policy="whalley-wilmott", risk_aversion=0.5)
    seen, decision = exposure(book()), decided(book(), config)
    fee = hand_made.PARAMETERS.taker_fee
    width = whalley_wilmott_half_width(100.0, seen.gamma, seen.time_to_expiry, 0.0, fee, 0.5)
    assert 0.0 < width < seen.net_delta
    assert decision.size == pytest.approx(-(seen.net_delta - width), rel=1e-12)


def test_policy_none_never_trades():
    assert decided(book(), HedgeConfig(policy="none")).reason is Reason.POLICY_NONE


@pytest.mark.parametrize(
    ("snapshot", "reason"),
    [
        (replace(book(), price=replace(book().price, updated_at=NOW - 301)), Reason.PRICE_STALE),
        (book(state=SurfaceState.FROZEN), Reason.SURFACE_FROZEN),
        (replace(book(), slices=()), Reason.SURFACE_FROZEN),
        (book(pending=PendingOrder(1, -1.0, 95.0, NOW)), Reason.ORDER_IN_FLIGHT),
        (book(allowed=replace(WIDE, cooldown=60), last_fill_time=NOW - 59), Reason.COOLING_DOWN),
        (book(allowed=replace(WIDE, budget_left=0.0)), Reason.BUDGET_EXHAUSTED),
        (book(short_open_interest=20_000.0), Reason.VENUE_FULL),
        (book(equity=100.0), Reason.MARGIN_SHORT),
    ],
    ids=lambda value: value.value if isinstance(value, Reason) else "",
)
def test_a_hedge_that_would_be_refused_is_held_with_the_reason(snapshot: Snapshot, reason: Reason):
    decision = decided(snapshot)
    assert (decision.action, decision.size, decision.reason) == (Action.HOLD, 0.0, reason)


def test_cooling_down_ends_on_the_second_that_the_mandate_says():
    ready = book(allowed=replace(WIDE, cooldown=60), last_fill_time=NOW - 60)
    assert decided(ready).action is Action.HEDGE


def test_a_trade_below_the_smallest_size_is_held():
    net = exposure(book()).option_delta
    assert decided(book(hedge=-net + 1.0005)).reason is Reason.SIZE_TOO_SMALL


@pytest.mark.parametrize(
    "snapshot",
    [
        book(allowed=replace(WIDE, max_order_size=7.0)),
        book(allowed=replace(WIDE, budget_left=7.0)),
        book(short_open_interest=19_993.0),
    ],
    ids=["order size", "budget", "venue"],
)
def test_an_order_is_cut_to_what_may_be_sent(snapshot: Snapshot):
    assert decided(snapshot).size == pytest.approx(-7.0)


def test_an_order_that_shrinks_the_hedge_is_allowed_without_margin():
    snapshot = book(size=1.0, hedge=-50.0, equity=0.0)
    assert decided(snapshot).size > 0.0


def test_an_uncertain_surface_allows_only_what_reduces_at_both_vols():
    """Far out of the money delta falls to a tenth with a quarter of the vol, so a full hedge would then be too much."""
    far = replace(held(100.0, 60.0, 0.5), forward=60.0, variance_time=30 * 86_400 / YEAR_SECONDS)
    base = replace(book(state=SurfaceState.DEGRADED), holdings=(far,))
    base = replace(base, price=replace(base.price, price=60.0))
    flat = HedgeConfig(policy="fixed-time")
    assert decided(base, flat).reason is Reason.SURFACE_UNCERTAIN
    fresh = replace(base, slices=tuple(replace(part, state=SurfaceState.FRESH) for part in base.slices))
    assert decided(fresh, flat).action is Action.HEDGE


def test_an_expiry_between_two_slices_takes_the_worse_state():
    early = VolSlice(hand_made.EXPIRY - 9, 0.05, 0.0, 0.2, NOW, SurfaceState.STALE)
    late = VolSlice(hand_made.EXPIRY + 9, 0.05, 0.0, 0.2, NOW, SurfaceState.FRESH)
    assert limits.worst_surface(replace(book(), slices=(early, late))) is SurfaceState.STALE


@pytest.mark.parametrize("size", [100.0, -100.0])
def test_the_acceptable_price_stays_within_the_mandate_and_on_the_right_side(size: float):
    decision = decided(book(size), replace(BAND, slippage=0.5))
    worst = 100.0 * (1.0 + math.copysign(0.05, decision.size))
    assert mandate.keeps_slippage(decision.size, decision.acceptable_price, 100.0, 0.05)
    assert decision.acceptable_price == pytest.approx(worst, rel=1e-9)


@given(
    size=st.floats(-500.0, 500.0),
    hedge=st.floats(-500.0, 500.0),
    band=st.floats(0.0, 100.0),
    policy=st.sampled_from(["fixed-time", "fixed-band", "whalley-wilmott"]),
)
def test_a_hedge_is_always_one_that_the_mandate_calls_reducing(size: float, hedge: float, band: float, policy: str):
    snapshot = book(size, hedge)
    before = exposure(snapshot).net_delta
    decision = decided(snapshot, HedgeConfig(policy=policy, band=band))
    if decision.action is Action.HEDGE:
        assert mandate.reduces(before, before + decision.size, WIDE.delta_tolerance)
        assert abs(before + decision.size) <= abs(before) + 1e-9


def test_the_same_inputs_give_the_same_decision_and_others_another_id():
    first, again = decided(book(), last=5), decided(book(), last=5)
    assert first == again
    next_block = replace(book(), block=replace(book().block, number=8))
    others = [decided(next_block, last=5), decided(book(), replace(BAND, band=2.0), 5), decided(book(), last=6)]
    assert len({first.id, *(other.id for other in others)}) == 4


def test_the_facts_name_every_number_that_the_band_used():
    facts = decided(book()).facts
    for name in (
        "index",
        "option_delta",
        "hedge",
        "pending",
        "net_delta",
        "gamma",
        "lower_edge",
        "upper_edge",
        "wanted",
    ):
        assert math.isfinite(facts[name]), name


@pytest.mark.parametrize(
    "wrong",
    [
        {"policy": "hope"},
        {"interval": 0.0},
        {"band": -1.0},
        {"risk_aversion": 0.0},
        {"slippage": 0.0},
        {"min_size": 0.0},
    ],
    ids=str,
)
def test_a_bad_configuration_is_refused_with_its_value(wrong: dict[str, object]):
    with pytest.raises(InputError, match=str(next(iter(wrong.values()))).replace(".", r"\.")):
        HedgeConfig(**wrong)  # type: ignore[arg-type]


def test_a_vault_without_a_venue_cannot_be_hedged():
    with pytest.raises(InputError, match="no venue"):
        decided(replace(book(), venues=()))


def test_the_venue_with_an_order_in_flight_is_the_one_that_is_looked_at():
    busy: Venue = replace(hand_made.venue(1.0, pending=PendingOrder(1, -1.0, 95.0, NOW)), address="0xBusy")
    snapshot = replace(book(), venues=(hand_made.venue(50.0), busy))
    decision = decided(snapshot)
    assert (decision.venue, decision.reason) == ("0xBusy", Reason.ORDER_IN_FLIGHT)
