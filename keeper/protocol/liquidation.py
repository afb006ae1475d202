"""How much of an account is closed, sold or deleveraged: the formulas of the liquidation contracts in float, under the
same names (`RateLimitedLiquidation.sol`, `AuctionMath.sol`, `DeleverageMath.sol`).

    x = y shortage / freed(y)         coins that bring an account to the buffer above maintenance
    price = d(t) E                    what a solvent account costs in auction; E - t/T maintenance when E <= 0
    f = missing / (missing + gained)  fraction of it that must go
    x = |q| left / profit             coins of a winner whose profit pays for a deficit

Sizes are coins and unsigned here, amounts USD, fractions plain, times seconds. The contracts round each of these
against who benefits; here nothing is rounded. Derivation and sources: docs/liquidation.md.
"""

from __future__ import annotations

from keeper.compiled import kernel


@kernel
def partial_size(closed: float, shortage: float, freed: float) -> float:
    """Coins to close where closing ``closed`` frees ``freed`` (USD), so that ``shortage`` (USD) is freed.

    In proportion, and all of ``closed`` where that is not enough. What is freed is concave in what is closed (margin
    and cost per coin rise with size), so the answer never frees too little; asked again with it, the next is closer.

    shortage = (1 + buffer) maintenance + gas - equity
    freed = (1 + buffer) (maintenance - maintenance afterwards) - fees - impact
    """
    if shortage <= 0.0:
        return 0.0
    return closed if freed <= shortage else closed * shortage / freed


@kernel
def discount(elapsed: float, fast_time: float, slow_time: float, start: float, fast_end: float) -> float:
    """Part of its equity that a solvent account costs: ``start`` to ``fast_end``, then to nothing, both linearly."""
    if elapsed < fast_time:
        return start - (start - fast_end) * elapsed / fast_time
    return fast_end * max(fast_time + slow_time - elapsed, 0.0) / slow_time


@kernel
def insolvent_price(equity: float, maintenance: float, elapsed: float, time: float) -> float:
    """USD (not positive) that the whole of an insolvent account costs: up to ``maintenance`` less as time passes."""
    return equity - maintenance * min(elapsed, time) / time


@kernel
def max_fraction(target: float, margin: float, gained: float) -> float:
    """Fraction of an account that must go for the rest to meet its target.

    f = (target - margin) / (target - margin + gained), with ``gained`` the price of the whole less the part of the
    target that does not shrink with the positions; 0 when ``margin`` is enough, 1 when nothing is gained.
    """
    missing = target - margin
    if missing <= 0.0:
        return 0.0
    return 1.0 if gained <= 0.0 else missing / (missing + gained)


@kernel
def score(profit: float, price: float, entry_price: float, equity: float) -> float:
    """Rank for deleveraging: (profit / entry notional) x (notional / equity); 0 without profit or equity."""
    if profit <= 0.0 or equity <= 0.0:
        return 0.0
    return profit / equity * price / entry_price


@kernel
def coins(left: float, size: float, profit: float) -> float:
    """The fewest coins whose profit covers ``left`` (USD), or all of them; ``profit`` is that of the whole position."""
    return size if left >= profit else size * left / profit


@kernel
def share(left: float, closed: float, size: float, profit: float) -> float:
    """USD that ``closed`` coins bring towards ``left``."""
    return min(left, profit * closed / size)


@kernel
def safe_coins(wanted: float, spare: float, short: float) -> float:
    """Coins that leave maintenance margin, where ``wanted`` would leave ``short`` (USD) of it and none ``spare``."""
    return wanted * spare / (spare + short)


@kernel
def profit_above(debt: float, cash: float, target: float) -> float:
    """Profit (USD) to be paid out until what the pool owes traders is ``target`` of its cash: (debt - target cash) /
    (1 - target)."""
    return max(debt - target * cash, 0.0) / (1.0 - target)
