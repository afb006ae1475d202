"""Whether a hedge may be sent: what the mandate and the venue would refuse is refused here first, for free.

The chain has the last word; these rules only save a transaction that is bound to revert. Every answer is ``Allowed`` or
``Denied`` with a code from ``docs/reasons.md`` and the numbers behind it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from keeper.pricing.black76 import greeks
from keeper.protocol.mandate import VOL_DOUBT, reduces_in_doubt, shrinks
from keeper.protocol.margin import initial_margin_ratio, liquidation_cost, margins
from keeper.protocol.options import open_share
from keeper.protocol.perp import fill_price, order_fee
from keeper.state.decision import Reason
from keeper.state.snapshot import Snapshot, SurfaceState, Venue, VenueParameters


@dataclass(frozen=True, slots=True)
class Allowed:
    """Nothing that we know of speaks against it; ``facts`` are the numbers that were looked at."""

    facts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Denied:
    """It must not be sent, because of ``code``."""

    code: Reason
    facts: Mapping[str, float]


def data_sound(snapshot: Snapshot) -> Allowed | Denied:
    """Whether price and surface are good enough to act on at all."""
    now, price = snapshot.block.timestamp, snapshot.price
    facts = {"price_age": float(price.age(now)), "price_heartbeat": float(price.heartbeat)}
    if price.price <= 0.0 or price.age(now) > price.heartbeat:
        return Denied(Reason.PRICE_STALE, facts)
    worst = worst_surface(snapshot)
    facts["surface_state"] = float(worst)
    if worst == SurfaceState.FROZEN:
        return Denied(Reason.SURFACE_FROZEN, facts)
    return Allowed(facts)


def may_hedge(snapshot: Snapshot, venue: Venue) -> Allowed | Denied:
    """Whether the venue and the mandate would take any order of this vault now."""
    now = snapshot.block.timestamp
    if venue.pending is not None:
        order = venue.pending
        return Denied(Reason.ORDER_IN_FLIGHT, {"order_id": float(order.order_id), "in_flight": order.size})
    ready_at = venue.last_fill_time + snapshot.limits.cooldown
    if venue.last_fill_time > 0 and now < ready_at:
        return Denied(Reason.COOLING_DOWN, {"ready_in": float(ready_at - now)})
    return Allowed()


def largest_order(snapshot: Snapshot, venue: Venue, size: float) -> tuple[float, Reason | None]:
    """``size`` cut to what mandate and venue take, keeping its sign, and the limit that cut it (None when none did)."""
    buying = size > 0.0
    open_interest = venue.long_open_interest if buying else venue.short_open_interest
    closing = max(-venue.size if buying else venue.size, 0.0)  # closing the other side adds nothing to this one
    room = max(venue.parameters.max_open_interest - open_interest, 0.0) + closing
    caps = (
        (min(snapshot.limits.max_order_size, venue.parameters.max_order_size), Reason.SIZE_TOO_SMALL),
        (snapshot.limits.budget_left, Reason.BUDGET_EXHAUSTED),
        (room, Reason.VENUE_FULL),
    )
    allowed, reason = abs(size), None
    for cap, code in caps:
        if cap < allowed:
            allowed, reason = max(cap, 0.0), code
    return (allowed if buying else -allowed), reason


def margin_after(snapshot: Snapshot, venue: Venue, size: float) -> Allowed | Denied:
    """Whether equity stays above the mandate's buffer over initial margin once ``size`` is filled.

    The options' requirement is what remains of the account's initial margin without this venue's; the fill costs its
    price impact, its fee and the settlement reward. An order that only shrinks the position is always allowed.
    """
    if shrinks(venue.size, size):
        return Allowed()
    price, parameters = snapshot.price.price, venue.parameters
    fill = fill_price(size, venue.skew, parameters.skew_scale, price)
    fee = order_fee(size, venue.skew, fill, parameters.maker_fee, parameters.taker_fee)
    cost = max(size * (fill - price), 0.0) + fee + venue.settlement_reward
    others = snapshot.account.initial_margin - initial_margin(parameters, venue.size, price)
    required = (others + initial_margin(parameters, venue.size + size, price)) * snapshot.limits.margin_buffer
    facts = {"equity_after": snapshot.account.equity - cost, "margin_after": required}
    return Allowed(facts) if facts["equity_after"] >= required else Denied(Reason.MARGIN_SHORT, facts)


def initial_margin(parameters: VenueParameters, size: float, price: float) -> float:
    """Initial margin of a position of ``size`` coins at index ``price``, USD."""
    ratio = initial_margin_ratio(
        size, parameters.skew_scale, parameters.initial_margin_scalar, parameters.min_initial_margin_ratio,
        parameters.max_initial_margin_ratio,
    )  # fmt: skip
    closing = liquidation_cost(
        size, price, parameters.liquidation_fee, parameters.taker_fee, parameters.liquidation_gas,
        parameters.max_base_fee,
    )  # fmt: skip
    return float(margins(size, price, ratio, parameters.maintenance_scalar, parameters.min_margin, closing)[0])


def certain_to_reduce(snapshot: Snapshot, net_delta: float, size: float) -> Allowed | Denied:
    """While the surface is not fresh, a hedge must lower |net delta| at both ends of what vol may be by now."""
    if worst_surface(snapshot) == SurfaceState.FRESH:
        return Allowed()
    low, high = (net_delta + _delta_shift(snapshot, factor) for factor in (1.0 - VOL_DOUBT, 1.0 + VOL_DOUBT))
    facts = {"net_delta_at_low_vol": low, "net_delta_at_high_vol": high}
    return Allowed(facts) if reduces_in_doubt(low, high, size) else Denied(Reason.SURFACE_UNCERTAIN, facts)


def worst_surface(snapshot: Snapshot) -> SurfaceState:
    """The worst state among the slices of the expiries that the vault holds; FRESH without options."""
    now = snapshot.block.timestamp
    held = {holding.expiry for holding in snapshot.holdings if holding.expiry > now and holding.size != 0.0}
    reported = {part.expiry: part.state for part in snapshot.slices}
    if not held:
        return SurfaceState.FRESH
    return max(_state_of(expiry, reported) for expiry in held)


def _state_of(expiry: int, reported: Mapping[int, SurfaceState]) -> SurfaceState:
    """A slice's own state, or the worse of its neighbours' where it lies between two; FROZEN beyond the last."""
    if expiry in reported:
        return reported[expiry]
    earlier = [other for other in reported if other < expiry]
    later = [other for other in reported if other > expiry]
    if not later:
        return SurfaceState.FROZEN
    neighbours = [min(later)] + ([max(earlier)] if earlier else [])
    return max(reported[other] for other in neighbours)


def _delta_shift(snapshot: Snapshot, factor: float) -> float:
    """Change of the options' delta when every vol is multiplied by ``factor``, coins."""
    shift = 0.0
    for held in snapshot.holdings:
        if held.variance_time > 0.0:
            share = open_share(float(held.expiry - snapshot.block.timestamp))
            at_mid = greeks(held.forward, held.strike, held.variance_time, held.vol, 0.0, held.is_call)[1]
            moved = greeks(held.forward, held.strike, held.variance_time, held.vol * factor, 0.0, held.is_call)[1]
            shift += held.size * share * (moved - at_mid)
    return shift
