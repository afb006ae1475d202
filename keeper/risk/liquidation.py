"""Whom to look at, whom to liquidate, what to bid, whom to deleverage: a liquidator's decisions, from values alone.

**Who is looked at when.** An account with options or with an order in flight is read at every head, because vol and
fills move it. One with perpetuals only, last seen at index P with equity E, maintenance margin M and N = |coins| P, has

    E(P') >= E - N m - c N (1 + m) t        m = |P' / P - 1|, c the cap of the funding rate a day, t days passed
    M(P') <= M (1 + m)                      every part of a requirement grows at most in proportion to the price

so it cannot be liquidatable while E - M > (N + M) m + c N (1 + m) t. It is read again as soon as that fails, after
`max_age` seconds, and whenever an event has touched it; so none that a price can have reached is ever missed, and the
far ones cost nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from keeper.protocol.perp import fill_price, order_fee
from keeper.state.accounts import AccountView, MarketView, Sight
from keeper.units import WAD, to_wad

DAY: Final = 86_400.0
MAX_CANDIDATES: Final = 16
"""As many as the waterfall takes in one call."""
MERGING: Final = 1.25
"""Initial margin grows faster than size: a position adds to a book at most about this much more than its own."""


@dataclass(frozen=True, slots=True)
class LiquidatorConfig:
    """How a liquidator works.

    ``max_age`` seconds after which even the safest account is read again; ``batch`` accounts handled at one head.
    ``bid_capital`` USD is the most cash and margin that one bid may tie up (0: never bid), ``min_profit`` the least
    expected profit as a fraction of what is taken over, ``bid_slippage`` the part of that profit that may be lost until
    the bid lands. Positions won are closed, and options hedged, in orders of at least ``min_trade`` coins at most
    ``slippage`` from the index; ``retry`` is how many seconds a refused call is left alone, doubled each time.
    """

    max_age: int = 600
    batch: int = 16
    bid_capital: float = 0.0
    min_profit: float = 0.002
    bid_slippage: float = 0.5
    min_trade: float = 0.01
    slippage: float = 0.02
    retry: int = 12


@dataclass(frozen=True, slots=True)
class Seen:
    """An account as it was last read: at which index and when (unix seconds)."""

    view: AccountView
    price: float
    time: int


@dataclass(frozen=True, slots=True)
class Bid:
    """A bid worth making: ``fraction`` of the account, the most to pay (USD, net of cash received), expected profit."""

    fraction: float
    max_paid: float
    profit: float


def is_due(seen: Seen, price: float, now: int, funding_cap: float, max_age: int) -> bool:
    """Whether an account must be read again: it may have become liquidatable, or nobody has looked for too long."""
    view, elapsed = seen.view, now - seen.time
    if not view.readable or not view.is_simple or view.auction is not None or elapsed >= max_age:
        return elapsed > 0
    slack = view.equity - view.maintenance_margin
    return slack <= worst_loss(seen, price, elapsed, funding_cap)


def worst_loss(seen: Seen, price: float, elapsed: float, funding_cap: float) -> float:
    """USD by which equity less maintenance margin can have fallen since the account was read, at most."""
    move = abs(price / seen.price - 1.0)
    notional = seen.view.perp_units * seen.price
    drained = funding_cap * notional * (1.0 + move) * elapsed / DAY
    return (notional + seen.view.maintenance_margin) * move + drained


def by_urgency(views: Iterable[AccountView]) -> list[AccountView]:
    """Liquidatable accounts, the least healthy first; the same order whoever looks."""
    return sorted((view for view in views if view.is_liquidatable), key=lambda view: (view.health, view.address))


def is_worth_gas(reward: float, gas: float, fee: float, price: float, base_fee: float, max_base_fee: float) -> bool:
    """Whether to send: always up to the base fee that the venue pays back, above it when the reward pays for the gas.

    ``gas`` units at ``fee`` wei each (base fee and tip), ``price`` USD per ether.
    """
    return base_fee <= max_base_fee or reward >= gas * fee / WAD * price


def ranked(views: Iterable[AccountView], market: int, side: int, wanted: float) -> list[str]:
    """Candidates for deleveraging in one market, in the order that the chain demands; at most 16.

    ``side`` is the bankrupt one (+1 longs, -1 shorts), whose holders are passed over; 0 takes both. Enough of them for
    ``wanted`` USD of profit with some to spare, and whom the price may have moved out of profit by then.
    """
    held = [(view, view.positions[market]) for view in views if view.readable and not view.is_liquidatable]
    winners = [(view, at) for view, at in held if at.score > 0 and (side == 0 or (at.size > 0.0) != (side > 0))]
    winners.sort(key=lambda each: (-each[1].score, each[0].address))
    chosen: list[str] = []
    found = 0.0
    for view, position in winners[:MAX_CANDIDATES]:
        if found > 2.0 * wanted:
            break
        chosen.append(view.address)
        found += position.pnl + position.funding
    return chosen


def exit_cost(view: AccountView, markets: Sequence[MarketView], price: float, fraction: float) -> float:
    """USD that getting rid of a fraction of an account's positions costs: impact, fees, and the options' spread."""
    cost = fraction * view.option_closing_cost
    for market, position in zip(markets, view.positions, strict=True):
        size = -fraction * position.size
        if size != 0.0:
            fill = fill_price(size, market.skew, market.skew_scale, price)
            cost += max(size * (fill - price), 0.0)
            cost += order_fee(size, market.skew, fill, market.taker_fee, market.taker_fee)
    return cost


def bid_for(view: AccountView, own: AccountView, sight: Sight, gas_cost: float, config: LiquidatorConfig) -> Bid | None:
    """The largest bid that the auction, our own margin and our capital allow, if it pays; else None.

        profit(f) = f (options at mid - paid for all of it) - exit cost(f) - gas

    Perpetuals move at the index: their profit is part of the cash that comes with them, and nothing else is.
    ``own`` is our account at the same block; it must meet initial margin with what it takes.
    """
    auction = view.auction
    if auction is None or auction.max_fraction <= 0.0 or config.bid_capital <= 0.0 or not own.readable:
        return None
    margin = MERGING * view.initial_margin
    cash = view.cash + view.position_value - view.option_value  # with the perpetuals' profit
    gained = view.equity - cash - auction.paid_for_all  # of margin equity, for the whole account
    room = (own.equity - own.initial_margin) / (margin - gained) if margin > gained else 1.0
    tied_up = margin + max(auction.paid_for_all, 0.0)
    affordable = config.bid_capital / tied_up if tied_up > 0.0 else 1.0
    fraction = min(auction.max_fraction, room, affordable, 1.0)
    if fraction <= 0.0:
        return None
    profit = fraction * (view.option_value - auction.paid_for_all)
    profit -= exit_cost(view, sight.markets, sight.house.price, fraction) + gas_cost
    taken = fraction * (view.perp_units + view.option_units) * sight.house.price
    if profit <= config.min_profit * taken:
        return None
    return Bid(fraction, fraction * auction.paid_for_all + config.bid_slippage * profit, profit)


def unwinding(own: AccountView, market: int, config: LiquidatorConfig) -> int:
    """Coins to trade (wad) so that our account, options included, has no delta; 0 with an order in flight.

    A position with nothing to hedge is closed to the last wei, for dust needs margin too; hedges smaller than
    ``min_trade`` are not worth their gas.
    """
    position = own.positions[market]
    if position.pending != 0.0:
        return 0
    to_hedge = own.option_delta + sum(each.size for i, each in enumerate(own.positions) if i != market)
    if to_hedge == 0.0:
        return -position.exact
    size = -(position.size + to_hedge)
    return to_wad(size) if abs(size) >= config.min_trade else 0
