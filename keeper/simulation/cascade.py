"""The liquidation laboratory: one crash, one crowd, any engine and any way to margin, on real bytecode.

Each run deploys a venue, lets the same traders open what its margin allows, and plays the same prices. The keeper's own
liquidator works on it block by block: what it sends at one block is carried out in the next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

import numpy as np

from keeper.chain.accounts_reader import AccountsReader
from keeper.chain.deployment import HOME
from keeper.errors import InputError
from keeper.market.bridge import BarBridge
from keeper.market.crash import crash_bars
from keeper.market.surface import realised_atm
from keeper.roles.liquidator import Liquidator
from keeper.simulation.cascade_result import CascadeResult, Stopwatch, result_of
from keeper.simulation.cascade_world import CascadeConfig, CascadeWorld
from keeper.simulation.inprocess import (
    OPTION_TRADE,
    Happening,
    InProcessExecutor,
    InProcessWatch,
    Ledger,
    SharedSight,
)
from keeper.simulation.population import draw_traders
from keeper.simulation.script import LOOK, stream, stream_key
from keeper.state.bars import Bars
from keeper.state.ports import Head
from keeper.units import SECONDS_PER_DAY, SECONDS_PER_HOUR, WAD

HEARTBEAT: Final = 300
DEVIATION_BPS: Final = 50.0
VOL_EVERY: Final = 1_800
_PATIENCE: Final = 900  # seconds after which a spell no longer makes blocks between prices, which come soon enough
_BEFORE: Final = 2.0 / 3.0  # of the time played, up to the deepest close
_BUILT_IN_START: Final = 1_583_712_000
_BUILT_IN_DAYS: Final = 5.0


def run_cascade(
    config: CascadeConfig,
    bars: Bars,
    seed: int = 1,
    count: int = 200,
    progress: Callable[[float], None] | None = None,
) -> CascadeResult:
    """Play some bars on one venue. The same arguments give the same result."""
    traders = draw_traders(stream(seed, "traders"), count, config.leverage, config.writers)
    vol = realised_atm(bars, SECONDS_PER_DAY, SECONDS_PER_HOUR, 0.4, 4.0, 0.8)
    world = CascadeWorld(config, float(bars.open[0]), bars.start, vol, traders)
    run = _Run(world, BarBridge(bars, stream_key(f"bridge {seed}")))
    asyncio.run(run.play(progress))
    return result_of(world, run.ledger, run.stopwatch, run.before)


class _Run:
    """One venue, its keeper, and a referee with a stopwatch."""

    def __init__(self, world: CascadeWorld, bridge: BarBridge) -> None:
        self.world, self.bridge = world, bridge
        self.ledger, self.stopwatch = Ledger(), Stopwatch()
        self.before = world.holdings()
        interfaces = world.deployment.interfaces()
        known = [trader.address for trader in world.traders]
        self.watches = {house: InProcessWatch(known) for house in world.houses}
        self.sights = {
            house: SharedSight(AccountsReader(world.evm, world.deployment, house), watch, world.keeper)
            for house, watch in self.watches.items()
        }
        self.executors = {
            house: InProcessExecutor(world.evm, interfaces, world.keeper, self.ledger) for house in world.houses
        }
        self.roles = [
            Liquidator(
                self.sights[house], self.executors[house], world.deployment, world.keeper, world.config.keeper, house
            )
            for house in world.houses
        ]

    async def play(self, progress: Callable[[float], None] | None) -> None:
        """Publish every price; between two of them, mine blocks as long as somebody has something to do."""
        world, begin = self.world, self.world.evm.timestamp
        vol_due = begin
        events = [each for each in self.bridge.events(LOOK, HEARTBEAT, DEVIATION_BPS) if each[0] > begin]
        for number, (time, price) in enumerate(events):
            await self._blocks_until(time)
            world.publish(price, max(time - world.evm.timestamp, 1))
            if world.evm.timestamp >= vol_due:
                world.report_vol()
                self._forget_options()
                vol_due = world.evm.timestamp + VOL_EVERY
            await self._block()
            if progress is not None:
                progress((number + 1) / len(events))

    async def _blocks_until(self, time: int) -> None:
        """Blocks without a new price, while they matter; but a price that an order waits for is published."""
        world, step = self.world, self.world.config.block_time
        while self._is_busy() and world.evm.timestamp + step < time:
            world.evm.advance(step)
            if world.is_awaited(world.keeper):
                world.publish(self.bridge.price_at(world.evm.timestamp), 0)
            await self._block()

    def _is_busy(self) -> bool:
        waiting = any(not executor.idle for executor in self.executors.values())
        pending = self.world.perp.call("benchmarkTime", self.world.keeper) > 0
        return waiting or pending or self.stopwatch.has_spell_since(self.world.evm.timestamp - _PATIENCE)

    async def _block(self) -> None:
        """Settle orders, carry out what was sent, look who is in breach, and let the keeper look."""
        world, now, price = self.world, self.world.evm.timestamp, self.world.index() / WAD
        for receipt in world.settle_orders([world.keeper]):
            self._tell(HOME, self.ledger.note(receipt))
        for house, executor in self.executors.items():
            self._tell(house, executor.carry_out(price))
        if (bought := world.buy_back()) is not None:
            self.ledger.charge("buy back", OPTION_TRADE, world.config.base_fee, price)
            self._tell(world.options_house, self.ledger.note(bought))
        for house, sight in self.sights.items():
            sight.turn(price, now)
            due = [each for each in self.watches[house].known if self.stopwatch.must_look(house, each, price, now)]
            self.stopwatch.note(house, await sight.look(due))
        head = Head(world.evm.block_number, now, world.evm.base_fee)
        for role in self.roles:
            await role.on_head(head)

    def _tell(self, house: str, happenings: Iterable[Happening]) -> None:
        """Whom transactions have changed must be looked at again."""
        touched = {account for each in happenings for account in each.accounts}
        self.watches[house].touch(touched)
        self.sights[house].forget(touched)
        self.stopwatch.forget(house, touched)

    def _forget_options(self) -> None:
        for sight in self.sights.values():
            sight.forget()


def worst_day(bars: Bars, hours: float) -> Bars:
    """The stretch of so many hours about the deepest close: two thirds of it before. Less where the bars end sooner."""
    if not bars.step <= hours * SECONDS_PER_HOUR < float("inf"):
        raise InputError(f"hours is {hours:g}: it must be at least one bar, which is {bars.step} s here, and finite")
    deepest = int(bars.times[int(np.argmin(bars.close))])
    start = deepest - round(hours * _BEFORE * SECONDS_PER_HOUR)
    return bars.between(start, start + round(hours * SECONDS_PER_HOUR))


def built_in_crash(seed: int) -> Bars:
    """Bars of a crash of the shape of 12 March 2020, for who has no data."""
    return crash_bars(stream(seed, "prices"), _BUILT_IN_START, _BUILT_IN_DAYS, spot=190.0)
