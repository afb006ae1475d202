"""Where a vault's profit came from, between two snapshots.

    change in NAV = flows + delta + gamma + theta + vega + vanna + volga + spread + funding + fees + slippage
                    + liquidation + gas + unexplained

Option terms are summed over four sub-steps along the straight line in (forward, variance time, vol) of each series,
where the forward is the expected settlement average: once a share w of that is history it moves by (1 - w) times what
the index moves, so its delta term is what a hedge of the index sees. A series that settles in between ends its line at
(settlement price, 0).

The perp is marked exactly: the interval is split at each fill, at the index price that the fill used. An order in
flight is worth what it is expected to cost, so its fee, impact and reward are booked when it is committed and trued up
when it settles. ``unexplained`` is what is left, and nothing hides in it: every other term is computed on its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

from keeper.accounting.line import SUBSTEPS, line_terms
from keeper.accounting.liquidation import cash_terms
from keeper.pricing.black76 import spot_greeks
from keeper.protocol.options import variance_seconds
from keeper.state.events import Event, Expiry, Fill, Flow, OptionTrade, Sale
from keeper.state.snapshot import YEAR_SECONDS, Holding, Snapshot, Venue


@dataclass(frozen=True, slots=True)
class Attribution:
    """The parts of a profit, USD. They sum to ``pnl``."""

    delta: float = 0.0
    gamma: float = 0.0
    theta: float = 0.0
    vega: float = 0.0
    vanna: float = 0.0
    volga: float = 0.0
    spread: float = 0.0
    funding: float = 0.0
    fees: float = 0.0
    slippage: float = 0.0
    liquidation: float = 0.0
    gas: float = 0.0
    unexplained: float = 0.0

    def parts(self) -> dict[str, float]:
        """The parts by name, in their usual order."""
        return {name: getattr(self, name) for name in PARTS}

    @property
    def pnl(self) -> float:
        """Sum of the parts, USD."""
        return math.fsum(self.parts().values())

    @property
    def gross(self) -> float:
        """Sum of the parts' sizes, USD."""
        return math.fsum(abs(part) for part in self.parts().values())


PARTS: tuple[str, ...] = tuple(field.name for field in fields(Attribution))


def total(attributions: Sequence[Attribution]) -> Attribution:
    """Part by part sum of several attributions."""
    return Attribution(**{name: math.fsum(getattr(one, name) for one in attributions) for name in PARTS})


@dataclass(frozen=True, slots=True)
class _Point:
    """Where a series stands: forward (or settlement price) in USD, variance time in years, and vol."""

    forward: float
    time: float
    vol: float


def attribute(before: Snapshot, after: Snapshot, events: Sequence[Event]) -> tuple[Attribution, float]:
    """The parts of one vault's profit from ``before`` to ``after``, and the flows (USD) between them.

    ``events`` are the vault's own, in the order in which they happened: those after ``before`` and up to ``after``.
    """
    flows = math.fsum(event.amount for event in events if isinstance(event, Flow))
    terms: list[Mapping[str, float]] = [
        *_option_terms(before, after, events),
        *_perp_terms(before, after, events),
        *_reserve_terms(before, after),
        *cash_terms(before.account.cash, events),
    ]
    explained = {name: math.fsum(term.get(name, 0.0) for term in terms) for name in PARTS}
    pnl = after.state.nav_mid - before.state.nav_mid - flows
    explained["unexplained"] = pnl - math.fsum(explained.values())
    return Attribution(**explained), flows


def _option_terms(before: Snapshot, after: Snapshot, events: Sequence[Event]) -> list[dict[str, float]]:
    """Terms of every series held at the start or traded in between."""
    sales = [event for event in events if isinstance(event, Sale)]
    expiries = {event.series_id: event for event in events if isinstance(event, Expiry)}
    ends = {held.series_id: held for held in after.holdings}
    terms: list[dict[str, float]] = []
    known = {held.series_id: held for held in (*after.holdings, *before.holdings)}
    for held in before.holdings:
        end = _end_of(held, ends.get(held.series_id), expiries.get(held.series_id), after)
        start = _Point(held.forward, held.variance_time, held.vol)
        terms += _leg_terms(held, held.size, start, end, sales)
    for place, trade in enumerate(events):
        if not isinstance(trade, OptionTrade):
            continue
        terms.append({"spread": trade.mid - trade.premium})
        if trade.block_number < after.block.number and trade.series_id in known:
            series = known[trade.series_id]
            end = _end_of(series, ends.get(trade.series_id), expiries.get(trade.series_id), after)
            start = _Point(before.price.price, _variance_time(series, trade.timestamp), trade.vol)
            later = [event for event in events[place:] if isinstance(event, Sale)]
            terms += _leg_terms(series, trade.size, start, end, later)
    for series_id, expiry in expiries.items():
        series = known[series_id]
        owed = expiry.size * _intrinsic(series, expiry.settlement_price)
        terms.append({"liquidation": expiry.amount - owed})
    return terms


def _end_of(held: Holding, at_end: Holding | None, settled: Expiry | None, after: Snapshot) -> _Point:
    """The end of a series' line: its settlement where that is known, else where the last snapshot sees it."""
    vol = at_end.vol if at_end is not None and at_end.vol > 0.0 else held.vol
    if settled is not None:
        return _Point(settled.settlement_price, 0.0, vol)
    if at_end is not None:
        return _Point(at_end.forward, at_end.variance_time, vol)
    return _Point(after.price.price, _variance_time(held, after.block.timestamp), vol)


def _variance_time(held: Holding, now: int) -> float:
    return float(variance_seconds(float(held.expiry - now))) / YEAR_SECONDS


def _leg_terms(held: Holding, size: float, start: _Point, end: _Point, sales: Sequence[Sale]) -> list[dict[str, float]]:
    """Terms of some options, of which every sale ends the line of a part: what that was worth there was lost."""
    terms: list[dict[str, float]] = []
    for sale in sales:
        sold, point = size * sale.fraction, _Point(sale.price, _variance_time(held, sale.timestamp), end.vol)
        terms += [_line(held, sold, start, point), {"liquidation": -sold * _value(held, point)}]
        size -= sold
    return [*terms, _line(held, size, start, end)]


def _value(held: Holding, point: _Point) -> float:
    if point.time == 0.0:
        return _intrinsic(held, point.forward)
    return spot_greeks(point.forward, held.strike, point.time, point.vol, 0.0, held.is_call)[0]


def _line(held: Holding, size: float, start: _Point, end: _Point) -> dict[str, float]:
    """Greek terms of some options along a line; after expiry only the intrinsic value moves, and that is delta."""
    if start.time == 0.0:
        return {"delta": size * (_intrinsic(held, end.forward) - _intrinsic(held, start.forward))}
    _, delta, gamma, theta, vega, vanna, volga = line_terms(
        start.forward, held.strike, start.time, start.vol, held.is_call, end.forward, end.time, end.vol, SUBSTEPS
    )
    terms = {"delta": delta, "gamma": gamma, "theta": theta, "vega": vega, "vanna": vanna, "volga": volga}
    return {name: size * term for name, term in terms.items()}


def _intrinsic(held: Holding, price: float) -> float:
    return max(price - held.strike, 0.0) if held.is_call else max(held.strike - price, 0.0)


def _perp_terms(before: Snapshot, after: Snapshot, events: Sequence[Event]) -> list[dict[str, float]]:
    """Price profit of every hedge, split at its fills, and what the fills cost."""
    ends = {venue.address: venue for venue in after.venues}
    starts = {venue.address: venue for venue in before.venues}
    terms: list[dict[str, float]] = []
    for address in dict.fromkeys((*starts, *ends)):
        fills = [event for event in events if isinstance(event, Fill) and event.venue == address]
        start, end = starts.get(address), ends.get(address)
        size, price, gain = (start.size if start else 0.0), before.price.price, 0.0
        for fill in (fill for fill in fills if fill.size != 0.0):
            gain += size * (fill.index_price - price)
            size, price = size + fill.size, fill.index_price
        gain += size * (after.price.price - price)
        accrued = (end.accrued_funding if end else 0.0) - (start.accrued_funding if start else 0.0)
        terms.append({"delta": gain, "funding": accrued + math.fsum(fill.funding for fill in fills)})
        terms += [_fill_costs(fill) for fill in fills]
    return terms


def _fill_costs(fill: Fill) -> dict[str, float]:
    return {
        "slippage": -fill.slippage,
        "fees": -fill.fee,
        "gas": -fill.reward,
        "liquidation": -fill.liquidation_fee,
    }


def _reserve_terms(before: Snapshot, after: Snapshot) -> list[dict[str, float]]:
    """Change in what NAV holds back for orders in flight."""
    return [
        *(_reserve(venue, after.price.price, 1.0) for venue in after.venues),
        *(_reserve(venue, before.price.price, -1.0) for venue in before.venues),
    ]


def _reserve(venue: Venue, price: float, sign: float) -> dict[str, float]:
    """Expected fee, impact and reward of an order in flight at index ``price``, as NAV takes them off."""
    pending = venue.pending
    if pending is None or pending.size == 0.0:
        return {}
    parameters, size = venue.parameters, pending.size
    fill = max(price * (1.0 + (venue.skew + 0.5 * size) / parameters.skew_scale), 0.0)
    reduces = size * venue.skew < 0.0
    maker = min(abs(size), abs(venue.skew)) if reduces else 0.0
    fee = (maker * parameters.maker_fee + (abs(size) - maker) * parameters.taker_fee) * fill
    return {
        "slippage": -sign * size * (fill - price),
        "fees": -sign * fee,
        "gas": -sign * venue.settlement_reward,
    }
