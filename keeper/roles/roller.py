"""The roller: keeps one scalper vault in at-the-money straddles, from the first one through every expiry.

expired series held  -> fix the expiry's price, settle the shorts, settle the longs
nothing held         -> list the next straddle, then buy as much of it as the budget allows
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final, Protocol

from keeper.chain.deployment import Deployment
from keeper.errors import InputError, KeeperError
from keeper.execution.executor import lost_race
from keeper.roles.expiry import AVERAGING, Rounds, settle_expired
from keeper.roles.schedule import expiries, round_strike, series_id
from keeper.state.decision import Call, Order, OrderStatus
from keeper.state.ports import Executor, Head, Reader
from keeper.state.snapshot import Snapshot, SurfaceState
from keeper.units import to_wad

log = logging.getLogger(__name__)

RETRY: Final = 300
"""Seconds before a step is tried again: what the chain has just refused, it will refuse in the next block too."""


class Options(Reader, Rounds, Protocol):
    """What the roller must see; `keeper.chain.reader.LensReader` shows it."""

    async def is_listed(self, series_id: int) -> bool:
        """Whether a series may be traded."""
        ...

    async def quote(self, maker: str, series_id: int, size: float) -> float:
        """Premium in USD for ``size`` units."""
        ...


@dataclass(frozen=True, slots=True)
class RollerConfig:
    """What to roll into. The expiry grid is grid_start + k tenor (seconds); an expiry nearer than ``shortest`` of a
    tenor is skipped. Strikes are multiples of ``strike_step`` USD; 0 takes a round step of about 2% of the price.
    ``reserve`` is the share of the budget that is left for the market to move before the roll is mined.
    """

    grid_start: int = 0
    tenor: int = 7 * 86_400
    shortest: float = 0.5
    strike_step: float = 0.0
    reserve: float = 0.05

    def __post_init__(self) -> None:
        if self.tenor <= AVERAGING:
            raise InputError(f"the tenor is {self.tenor} s: it must exceed the {AVERAGING} s of averaging at expiry")
        if self.strike_step < 0.0 or not 0.0 <= self.reserve < 1.0:
            raise InputError("the strike step must not be negative, and the reserve must lie in [0, 1)")


class Roller:
    """Rolls one scalper vault, and settles the vault that it buys from along with it."""

    def __init__(
        self, vault: str, reader: Options, executor: Executor, deployment: Deployment, config: RollerConfig
    ) -> None:
        entry = deployment.vault(vault)
        if entry.maker is None:
            raise InputError(f"vault {vault} is no scalper: there is nothing to roll")
        self.name = f"roller:{vault}"
        self._vault = vault
        self._entry = entry
        self._maker = entry.maker
        self._makers_name = next(name for name, other in deployment.vaults.items() if other.address == entry.maker)
        self._addresses = {name: other.address for name, other in deployment.vaults.items()}
        self._reader = reader
        self._executor = executor
        self._options = deployment.address("OptionMarket")
        self._config = config
        self._share = 1.0 - config.reserve
        self._retry_at: dict[str, int] = {}

    async def on_head(self, head: Head) -> None:
        """Do the next step that is due, unless the last one is still on its way."""
        if self._executor.in_flight(f"roll:{self._vault}:"):
            return
        snapshot = await self._reader.snapshot(self._vault)
        vaults = {self._vault: snapshot, self._makers_name: await self._reader.snapshot(self._makers_name)}
        settling = await settle_expired(vaults, self._addresses, self._reader, self._ask_market, head)
        if not settling and not snapshot.holdings and not any(_waits(each) for each in vaults.values()):
            await self._roll(snapshot, head)

    async def _roll(self, snapshot: Snapshot, head: Head) -> None:
        if snapshot.price.age(head.timestamp) > snapshot.price.heartbeat or snapshot.state.nav_mid <= 0.0:
            return
        expiry = self._expiry(head.timestamp)
        if not _tradable(snapshot, expiry):
            return
        strike = round_strike(snapshot.price.price, self._config.strike_step)
        pair = [(is_call, series_id(expiry, strike, is_call)) for is_call in (True, False)]
        unlisted = [(is_call, series) for is_call, series in pair if not await self._reader.is_listed(series)]
        for is_call, series in unlisted:
            arguments = (expiry, to_wad(strike), is_call)
            await self._ask_market(f"list:{series}", Call.LIST_SERIES, "list", arguments, head)
        if not unlisted:
            await self._buy(snapshot, head, expiry, strike, [series for _, series in pair])

    async def _buy(self, snapshot: Snapshot, head: Head, expiry: int, strike: float, pair: list[int]) -> None:
        budget = self._entry.budget * snapshot.state.nav_mid
        try:
            unit = sum([await self._reader.quote(self._maker, series, 1.0) for series in pair])
        except KeeperError as refusal:
            log.warning("%s: the maker does not quote: %s", self.name, refusal)
            return
        size = self._share * budget / unit if unit > 0.0 else 0.0
        arguments = (expiry, to_wad(strike), to_wad(size, "down"), to_wad(budget, "down"))
        await self._submit(f"buy:{expiry}", Call.ROLL, self._entry.address, "roll", arguments, head)

    def _expiry(self, now: int) -> int:
        nearest, following = expiries(self._config.grid_start, now, self._config.tenor)
        return nearest if nearest - now >= self._config.shortest * self._config.tenor else following

    async def _ask_market(
        self, what: str, call: Call, function: str, arguments: tuple[object, ...], head: Head
    ) -> None:
        await self._submit(what, call, self._options, function, arguments, head)

    async def _submit(
        self, what: str, call: Call, to: str, function: str, arguments: tuple[object, ...], head: Head
    ) -> None:
        if head.timestamp < self._retry_at.get(what, 0):
            return
        self._retry_at[what] = head.timestamp + RETRY
        key = f"roll:{self._vault}:{what}@{head.number}"
        result = await self._executor.submit(Order(key, "roller", call, to, function, arguments))
        if result.status in (OrderStatus.REVERTED, OrderStatus.REFUSED) and not lost_race(result):
            log.warning("%s: %s failed: %s", self.name, what, result.error)


def _waits(snapshot: Snapshot) -> bool:
    """Whether a hedge is in flight: the market refuses to trade with an account whose fill is decided and not done."""
    return any(venue.pending is not None for venue in snapshot.venues)


def _tradable(snapshot: Snapshot, expiry: int) -> bool:
    """Whether the surface reaches the expiry and is fresh enough there."""
    slices = [part for part in snapshot.slices if part.expiry >= expiry]
    return bool(slices) and min(slices, key=lambda part: part.expiry).state <= SurfaceState.DEGRADED
