"""The compiled loop that hedges a book along price paths.

Money is discounted to today. With D the discount factor, h the hedge and V the contract's value, an interval earns

    D1 V1 - D0 V0   on each contract,        h (D1 S1 - D0 S0) = h D1 dS - (D0 - D1) h S0   on the hedge,

whose last term is what financing the hedge costs. The contract's part is explained by Greeks averaged along the
straight line in (spot, time), from its start and its middle: gamma with weights 1/6 and 1/3 (the integral of 1 - s),
theta at the middle, where theta includes the interest on the contract's value and the decay of its delta.

The loop runs over events outside and paths inside, so that what depends on time alone is computed once an event.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from keeper.compiled import kernel
from keeper.hedging.policies import decide
from keeper.simulation.book import Book, contract_greeks

COLUMNS: Final = (
    "pnl",
    "hedges",
    "turnover",
    "fees",
    "slippage",
    "gas",
    "funding",
    "delta",
    "gamma",
    "theta",
)
"""What the loop reports of each path; costs are positive numbers, the Greeks' parts signed."""

_PNL, _HEDGES, _TURNOVER, _FEES, _SLIPPAGE, _GAS, _FUNDING, _DELTA, _GAMMA, _THETA = range(len(COLUMNS))


Rows = NDArray[np.float64]
"""One row per column of the report, one number per path in each."""
Greeks = tuple[float, float, float, float, float]
"""Value, delta, gamma, theta and charm of one contract."""


class Rule(NamedTuple):
    """A policy and its parameters, as ``keeper.hedging.policies.decide`` takes them."""

    policy: int
    interval: float
    half_width: float
    cost: float
    risk_aversion: float
    to_centre: bool


class Costs(NamedTuple):
    """One-way fee and slippage as fractions of notional, and money per hedge."""

    fee: float
    slippage: float
    gas: float


class Hedges(NamedTuple):
    """The hedge of every path: coins held, coins ordered, the number of its last hedging look, and the orders' sizes.

    The order of look k waits in slot k modulo the number of slots.
    """

    position: NDArray[np.float64]
    in_flight: NDArray[np.float64]
    last_look: NDArray[np.float64]
    orders: NDArray[np.float64]


@kernel
def _decide(
    book: Book, rule: Rule, spot: float, time_to_expiry: float, greeks: Greeks, position: float, looks_since: float
) -> float:
    """The trade that the policy wants, in coins; ``position`` counts orders in flight."""
    if book.hedge_vol != book.implied_vol:
        greeks = contract_greeks(book.payoff, spot, book.strike, time_to_expiry, book.hedge_vol, book.rate)
    trade, _, _, _ = decide(
        rule.policy,
        -book.position * greeks[1],
        position,
        looks_since * rule.interval,
        spot,
        book.position * greeks[2],
        time_to_expiry,
        book.rate,
        rule.interval,
        rule.half_width,
        rule.cost,
        rule.risk_aversion,
        rule.to_centre,
    )
    return trade


@kernel
def _pay(rows: Rows, path: int, costs: Costs, trade: float, spot: float, discount: float) -> None:
    """Book the costs of one hedge."""
    notional = abs(trade) * spot
    rows[_HEDGES, path] += 1.0
    rows[_TURNOVER, path] += notional
    rows[_FEES, path] += discount * costs.fee * notional
    rows[_SLIPPAGE, path] += discount * costs.slippage * notional
    rows[_GAS, path] += discount * costs.gas


@kernel
def _explain(
    rows: Rows,
    path: int,
    book: Book,
    spot: float,
    time_to_expiry: float,
    greeks: Greeks,
    change: float,
    interval: float,
    position: float,
    discount: float,
    next_discount: float,
) -> None:
    """Book the Greeks' parts of one interval that starts with ``greeks``."""
    value, delta, gamma, _, charm = greeks
    _, _, mid_gamma, mid_theta, mid_charm = contract_greeks(
        book.payoff,
        spot + 0.5 * change,
        book.strike,
        time_to_expiry - 0.5 * interval,
        book.implied_vol,
        book.rate,
    )
    decay = mid_theta * interval + (charm / 6.0 + mid_charm / 3.0) * interval * change
    rows[_DELTA, path] += next_discount * (book.position * delta + position) * change
    rows[_GAMMA, path] += next_discount * book.position * (gamma / 6.0 + mid_gamma / 3.0) * change * change
    rows[_THETA, path] += book.position * (next_discount * decay - (discount - next_discount) * value)


@kernel
def _trade(
    path: int,
    look: int,
    fill: int,
    at_once: bool,
    spot: float,
    time_to_expiry: float,
    greeks: Greeks,
    book: Book,
    rule: Rule,
    hedges: Hedges,
) -> float:
    """Fill the order that is due, let the policy look, and return what was filled now, in coins."""
    slots = hedges.orders.shape[0]
    filled = 0.0
    if fill >= 0:
        filled = hedges.orders[fill % slots, path]
        hedges.in_flight[path] -= filled
    if look >= 0:
        held = hedges.position[path] + filled + hedges.in_flight[path]
        trade = _decide(book, rule, spot, time_to_expiry, greeks, held, look - hedges.last_look[path])
        if trade != 0.0:
            hedges.last_look[path] = look
        if at_once:
            filled += trade
        else:
            hedges.orders[look % slots, path] = trade
            hedges.in_flight[path] += trade
    hedges.position[path] += filled
    return filled


@kernel
def hedge_paths(
    prices: NDArray[np.float64],
    times: NDArray[np.float64],
    looks: NDArray[np.int64],
    fills: NDArray[np.int64],
    slots: int,
    book: Book,
    rule: Rule,
    costs: Costs,
    explain: bool,
    rows: Rows,
    positions: NDArray[np.float64],
) -> None:
    """Fill ``rows`` (columns, paths) from ``prices`` (events, paths), and ``positions`` (steps or 0, paths).

    ``slots`` is the most orders that can be on their way at once, 0 where every order fills at once.
    """
    last = times.size - 1
    count = prices.shape[1]
    discounts = np.exp(-book.rate * times)
    hedges = Hedges(np.zeros(count), np.zeros(count), np.full(count, -np.inf), np.zeros((slots, count)))
    rows[:, :] = 0.0
    for i in range(last):
        tau = times[last] - times[i]
        at_once = slots == 0 or i == 0
        for path in range(count):
            spot = prices[i, path]
            greeks = contract_greeks(book.payoff, spot, book.strike, tau, book.implied_vol, book.rate)
            filled = _trade(path, looks[i], fills[i], at_once, spot, tau, greeks, book, rule, hedges)
            if filled != 0.0:
                _pay(rows, path, costs, filled, spot, discounts[i])
            hedge = hedges.position[path]
            rows[_PNL, path] += hedge * (discounts[i + 1] * prices[i + 1, path] - discounts[i] * spot)
            rows[_FUNDING, path] += (discounts[i] - discounts[i + 1]) * hedge * spot
            if explain:
                change = prices[i + 1, path] - spot
                step = times[i + 1] - times[i]
                _explain(rows, path, book, spot, tau, greeks, change, step, hedge, discounts[i], discounts[i + 1])
        if positions.shape[0] > 0:
            positions[i] = hedges.position
    for path in range(count):
        premium = contract_greeks(book.payoff, prices[0, path], book.strike, times[last], book.implied_vol, book.rate)
        payoff = contract_greeks(book.payoff, prices[last, path], book.strike, 0.0, book.implied_vol, book.rate)
        paid = rows[_FEES, path] + rows[_SLIPPAGE, path] + rows[_GAS, path]
        rows[_PNL, path] += book.position * (discounts[last] * payoff[0] - premium[0]) - paid
