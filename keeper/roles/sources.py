"""Markets for the reporter to report on: what one is, and two for chains that have no real one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Protocol

from keeper.market.bridge import BarBridge
from keeper.market.surface import AtmVol, realised_atm, slice_for
from keeper.state.bars import Bars
from keeper.units import SECONDS_PER_DAY, SECONDS_PER_YEAR

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
