"""Markets for a reporter to report on: what one is; bars, an option chain, and stand-ins where there is neither."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np

from keeper.data.option_chain import OptionChain
from keeper.errors import InputError
from keeper.market.bridge import BarBridge
from keeper.market.surface import AtmVol, realised_atm, slice_for
from keeper.pricing.essvi_fit import SurfaceFit, fit_surface
from keeper.pricing.quotes import QuoteFilter, select
from keeper.state.bars import Bars
from keeper.units import SECONDS_PER_DAY, SECONDS_PER_YEAR

log = logging.getLogger(__name__)

HALF_LIFE: Final = 86_400.0
FLOOR, CAP = 0.4, 3.0


class MarketSource(Protocol):
    """Where the reporter learns about the market."""

    def price(self, now: int) -> float:
        """Index price in USD at ``now`` (unix seconds)."""
        ...

    def slice(self, now: int, expiry: int) -> tuple[float, float, float]:
        """(theta, rho, psi) of an expiry as observed at ``now``."""
        ...


@dataclass
class BarMarket:
    """Bars replayed from ``start`` (unix seconds) on, ``speed`` seconds of the market for each second of the chain.

    Past the last bar the price stays where it is. Implied vol follows realised vol, between 40% and 300%.
    """

    bars: Bars
    start: int
    speed: float = 1.0
    seed: int = 1
    _bridge: BarBridge = field(init=False, repr=False)
    _vol: AtmVol = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._bridge = BarBridge(self.bars, self.seed)
        self._vol = realised_atm(self.bars, HALF_LIFE, 0, FLOOR, CAP)

    def price(self, now: int) -> float:
        """Index price in USD at ``now``."""
        return self._bridge.price_at(self._market_time(now))

    def slice(self, now: int, expiry: int) -> tuple[float, float, float]:
        """(theta, rho, psi) of an expiry as observed at ``now``."""
        return slice_for(self._vol.at(self._market_time(now)), (expiry - now) / SECONDS_PER_YEAR)

    def _market_time(self, now: int) -> int:
        elapsed = max(now - self.start, 0) * self.speed
        return min(self.bars.start + int(elapsed), self.bars.end)


@dataclass
class ChainMarket:
    """A file of option quotes, replayed: a surface fitted to each picture of the market, and its index.

    The first row happens at ``start`` (unix seconds of the chain), and ``speed`` seconds of the market pass for each
    second of the chain; past the last row the market stays where it is. An expiry of the chain is looked up by its time
    left, not by its date: a slice 7 days away is the fitted surface 7 days out.
    """

    chain: OptionChain
    start: int
    speed: float = 1.0
    allowed: QuoteFilter = field(default_factory=QuoteFilter)
    _fitted: tuple[int, SurfaceFit | InputError] | None = field(init=False, repr=False, default=None)

    def price(self, now: int) -> float:
        """Index price in USD at ``now``."""
        return self.chain.price(self._market_time(now))

    def slice(self, now: int, expiry: int) -> tuple[float, float, float]:
        """(theta, rho, psi) of an expiry as observed at ``now``. Raises `InputError` when no quote can be used."""
        return self.surface(now).at((expiry - now) / SECONDS_PER_YEAR)

    def surface(self, now: int) -> SurfaceFit:
        """The surface fitted to the newest quotes; each picture of the market is fitted once."""
        seen = self.chain.seen(self._market_time(now))
        if self._fitted is None or self._fitted[0] != seen:
            self._fitted = (seen, self._fit(seen))
        found = self._fitted[1]
        if isinstance(found, InputError):
            raise found
        return found

    def _fit(self, seen: int) -> SurfaceFit | InputError:
        chosen = select(self.chain.at(seen), seen, self.allowed)
        left_out = ", ".join(f"{number} {reason}" for reason, number in sorted(chosen.dropped.items())) or "none"
        if not chosen.by_expiry:
            return InputError(f"no quotes at {seen} can be fitted; left out: {left_out}")
        fitted = fit_surface(list(chosen.by_expiry.values()))
        log.info(
            "surface at %d: %d expiries, %d quotes, rms error %.2f vol points; left out: %s",
            seen, len(fitted.slices), fitted.quotes, fitted.rms_error, left_out,
        )  # fmt: skip
        return fitted

    def _market_time(self, now: int) -> int:
        elapsed = max(now - self.start, 0) * self.speed
        return min(self.chain.start + int(elapsed), self.chain.end)


@dataclass
class NoisyMarket:
    """Another market seen through an instrument of one's own: price and vol are off by a factor drawn at each time."""

    source: MarketSource
    seed: int
    price_noise: float = 0.0
    vol_noise: float = 0.0

    def price(self, now: int) -> float:
        """Index price in USD at ``now``."""
        return self.source.price(now) * math.exp(self.price_noise * self._draw(now, 0))

    def slice(self, now: int, expiry: int) -> tuple[float, float, float]:
        """(theta, rho, psi) of an expiry: vol at every strike is off by one factor, the same for all expiries."""
        theta, rho, psi = self.source.slice(now, expiry)
        factor = math.exp(2.0 * self.vol_noise * self._draw(now, 1))
        return theta * factor, rho, psi * factor

    def _draw(self, now: int, what: int) -> float:
        return float(np.random.default_rng((self.seed, now, what)).standard_normal())


@dataclass(frozen=True, slots=True)
class FlatMarket:
    """A price and a vol that never change: what a fork reports, whose price comes from the wrapped aggregator."""

    spot: float
    vol: float = 0.8

    def price(self, now: int) -> float:
        """Index price in USD."""
        return self.spot

    def slice(self, now: int, expiry: int) -> tuple[float, float, float]:
        """(theta, rho, psi) of an expiry."""
        return slice_for(self.vol, max(expiry - now, SECONDS_PER_DAY // 24) / SECONDS_PER_YEAR)
