"""Option quotes of a moment, and which of them a surface may be fitted to.

A quote is one instrument with its own forward and vols; NaN stands for what nobody quoted. Fitted are out-of-the-money
options with a two-sided market that is not crossed, not too wide and not too far from the money: the twin in the money
says the same with a wider spread, and a lone bid or ask says little.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from keeper.errors import InputError
from keeper.pricing.essvi_fit import LEAST_QUOTES, SliceQuotes
from keeper.units import SECONDS_PER_YEAR

MARK_SPREAD: Final = 0.02
"""Spread in vol that a quote without bid and ask is taken to have."""


@dataclass(frozen=True, slots=True)
class OptionQuote:
    """One option at one moment: unix seconds, USD, annual vols."""

    time: int
    expiry: int
    strike: float
    is_call: bool
    forward: float
    bid_vol: float = math.nan
    ask_vol: float = math.nan
    mark_vol: float = math.nan

    @property
    def instrument(self) -> tuple[int, float, bool]:
        """What is quoted: expiry, strike, type."""
        return self.expiry, self.strike, self.is_call


@dataclass(frozen=True, slots=True)
class QuoteFilter:
    """What is left out: spreads in vol above ``widest``, strikes more than ``farthest`` standard deviations from the
    forward, and expiries within ``soonest`` seconds."""

    widest: float = 0.25
    farthest: float = 3.0
    soonest: int = 3_600

    def __post_init__(self) -> None:
        if not (self.widest > 0.0 and self.farthest > 0.0 and self.soonest >= 0):
            raise InputError(f"a quote filter needs positive bounds, got {self}")

    def objection(self, quote: OptionQuote, now: int) -> str:
        """Why a quote may not be used; empty where it may."""
        left = quote.expiry - now
        k = math.log(quote.strike / quote.forward)
        if left <= max(self.soonest, 0):
            return "expires too soon"
        if (k < 0.0) if quote.is_call else (k > 0.0):
            return "in the money"
        one_sided = math.isnan(quote.bid_vol) or math.isnan(quote.ask_vol)
        if one_sided and not (math.isnan(quote.bid_vol) and math.isnan(quote.ask_vol) and quote.mark_vol > 0.0):
            return "no ask" if quote.bid_vol > 0.0 else "no bid"
        if not one_sided:
            if not quote.bid_vol > 0.0:
                return "no bid"
            if quote.ask_vol < quote.bid_vol:
                return "crossed"
            if quote.ask_vol - quote.bid_vol > self.widest:
                return "too wide"
        if abs(k) > self.farthest * mid_vol(quote) * math.sqrt(left / SECONDS_PER_YEAR):
            return "too far"
        return ""


@dataclass(frozen=True, slots=True)
class Selection:
    """Quotes to fit, by expiry in order of time, and how many were left out for which reason."""

    by_expiry: Mapping[int, SliceQuotes]
    dropped: Mapping[str, int] = field(default_factory=dict)

    @property
    def quotes(self) -> int:
        """Quotes that are left."""
        return sum(each.k.size for each in self.by_expiry.values())


def mid_vol(quote: OptionQuote) -> float:
    """Half way between bid and ask, else the mark."""
    return quote.mark_vol if math.isnan(quote.bid_vol) else 0.5 * (quote.bid_vol + quote.ask_vol)


def select(quotes: Sequence[OptionQuote], now: int, allowed: QuoteFilter | None = None) -> Selection:
    """The quotes that a surface may be fitted to at ``now`` (unix seconds); an expiry needs three of them."""
    allowed = allowed or QuoteFilter()
    dropped: Counter[str] = Counter()
    kept: dict[int, dict[float, OptionQuote]] = {}
    for quote in quotes:
        objection = allowed.objection(quote, now)
        if objection:
            dropped[objection] += 1
        elif quote.strike in kept.setdefault(quote.expiry, {}):  # at the money both twins are out of the money
            dropped["twin at the money"] += 1
        else:
            kept[quote.expiry][quote.strike] = quote
    by_expiry: dict[int, SliceQuotes] = {}
    for expiry in sorted(kept):
        if len(kept[expiry]) < LEAST_QUOTES:
            dropped["too few of its expiry"] += len(kept[expiry])
            continue
        by_expiry[expiry] = _columns([kept[expiry][strike] for strike in sorted(kept[expiry])], expiry - now)
    return Selection(by_expiry, dict(dropped))


def _columns(quotes: Sequence[OptionQuote], left: int) -> SliceQuotes:
    spreads = [MARK_SPREAD if math.isnan(each.bid_vol) else each.ask_vol - each.bid_vol for each in quotes]
    return SliceQuotes(
        left / SECONDS_PER_YEAR,
        np.array([math.log(each.strike / each.forward) for each in quotes]),
        np.array([mid_vol(each) for each in quotes]),
        0.5 * np.array(spreads),
    )
