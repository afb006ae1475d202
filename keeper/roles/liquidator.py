"""The liquidator: watches every account, closes those below maintenance margin, bids for what is auctioned, and has
deficits deleveraged or settled.

Each transaction is tried in the newest block first (`probe`), which tells exactly what it would earn and when more can
be done. Losing to another liquidator is no error: it is counted in `lost` and forgotten.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any, Final, Protocol

from keeper.chain.deployment import HOME, Deployment
from keeper.execution.executor import LOST_RACES, lost_race
from keeper.risk.liquidation import (
    LiquidatorConfig,
    Seen,
    bid_for,
    by_urgency,
    is_due,
    is_worth_gas,
    ranked,
    unwinding,
)
from keeper.state.accounts import AccountView, Probe, Sight
from keeper.state.decision import Call, Order, OrderStatus
from keeper.state.ports import Executor, Head
from keeper.units import WAD, to_wad

log = logging.getLogger(__name__)

TIP: Final = 0
"""Wei per gas that we add to the base fee."""
BID_GAS: Final = 500_000
"""Gas units that a bid is expected to use: a third of a million with a perpetual, more with options."""
LONGEST_WAIT: Final = 600
"""Seconds after which what was refused is tried again at the latest."""


class Watch(Protocol):
    """Which accounts there are."""

    known: dict[str, None]

    def changes(self, head: Head) -> Any:
        """What has been touched since the last look."""
        ...


class Accounts(Protocol):
    """What a liquidator must see; `keeper.chain.accounts_reader.AccountsReader` shows it."""

    @property
    def watch(self) -> Watch:
        """Which accounts there are."""
        ...

    async def look(self, accounts: Collection[str]) -> Sight:
        """These accounts now."""
        ...

    async def probe(self, to: str, function: str, arguments: Sequence[Any], sender: str) -> Probe:
        """What a transaction would do now."""
        ...

    async def gas(self, to: str, function: str, arguments: Sequence[Any], sender: str) -> int:
        """What it would use."""
        ...


class Liquidator:
    """One clearinghouse's liquidator. ``own`` is the address that signs for it and earns."""

    name = "liquidator"

    def __init__(
        self,
        accounts: Accounts,
        executor: Executor,
        deployment: Deployment,
        own: str,
        config: LiquidatorConfig | None = None,
        house: str = HOME,
    ) -> None:
        self._accounts = accounts
        self._executor = executor
        self._own = own
        self._house = house
        self._config = config or LiquidatorConfig()
        self._waterfall = deployment.contracts[house + "Waterfall"]
        self._auction = deployment.contracts.get(f"{house}DutchAuctionLiquidation")
        self._seen: dict[str, Seen] = {}
        self._wait: dict[str, int] = {}  # what -> unix seconds before which it is left alone
        self._refused: Counter[str] = Counter()
        self._price = 0.0
        self._funding_cap = 0.0
        self.lost = 0

    @property
    def watched(self) -> int:
        """How many accounts are known."""
        return len(self._accounts.watch.known)

    async def on_head(self, head: Head) -> None:
        """Read who may have become liquidatable, and do what can be done about it."""
        sight = await self._read(head)
        if not sight.house.is_fresh:
            return  # nothing may be liquidated on an old price
        urgent = by_urgency(sight.accounts)[: self._config.batch]
        auctioned = [view for view in sight.accounts if view.auction is not None]
        await asyncio.gather(*(self._liquidate(view, sight, head) for view in urgent))
        await asyncio.gather(*(self._end(view, sight, head) for view in auctioned))
        await asyncio.gather(*(self._review(view, head) for view in sight.accounts if view.holds_withdrawals))
        await self._bid(auctioned, sight, head)
        if sight.house.bad_debt > 0.0 or sight.house.profit_ratio > sight.house.adl_trigger:
            await self._deleverage(sight, head)
        await self._unwind(sight, head)

    # Reading

    async def _read(self, head: Head) -> Sight:
        """Whom the last known price may have reached, then whom the newest has."""
        changes = self._accounts.watch.changes(head)
        known = self._accounts.watch.known
        if changes.everything:
            self._seen.clear()
        for account in changes.accounts:
            self._seen.pop(account, None)
        first = [account for account in known if self._is_due(account, head.timestamp)]
        sight = await self._accounts.look(self._with_own(first))
        self._remember(sight)
        rest = [account for account in known if account not in first and self._is_due(account, head.timestamp)]
        if not rest:
            return sight
        more = await self._accounts.look(rest)
        self._remember(more)
        return Sight(more.house, more.markets, (*sight.accounts, *more.accounts))

    def _is_due(self, account: str, now: int) -> bool:
        seen = self._seen.get(account)
        return seen is None or is_due(seen, self._price, now, self._funding_cap, self._config.max_age)

    def _with_own(self, accounts: list[str]) -> list[str]:
        """Our own account too, where bids may give it positions."""
        return accounts if self._config.bid_capital <= 0.0 or self._own in accounts else [*accounts, self._own]

    def _remember(self, sight: Sight) -> None:
        self._price = sight.house.price
        self._funding_cap = max((market.funding_rate_cap for market in sight.markets), default=0.0)
        for view in sight.accounts:
            self._seen[view.address] = Seen(view, sight.house.price, sight.house.timestamp)

    # Liquidating and bidding

    async def _liquidate(self, view: AccountView, sight: Sight, head: Head) -> None:
        """Call the account's engine, if that does something and pays, and note when to come back."""
        key = f"liquidate:{view.address}"
        if _turned_insolvent(view):
            self._wait.pop(key, None)  # the clock of an insolvent auction starts when somebody says so
        if view.address == self._own or self._is_busy(key, head):
            return
        probe = await self._accounts.probe(view.engine, "liquidate", (view.address,), self._own)
        if probe.error:
            self._refuse(key, probe.error, head)
            return
        reward, next_at = probe.result
        idle = reward == 0 and next_at > 0 and view.engine != self._auction  # no capacity yet
        if not idle and not await self._pays(view.engine, view.address, reward / WAD, sight):
            return
        self._wait[key] = next_at
        if not idle:
            await self._send(key, Call.LIQUIDATE, view.engine, "liquidate", (view.address,), head)

    async def _end(self, view: AccountView, sight: Sight, head: Head) -> None:
        """End the auction of an account that is healthy again, lest its price go on falling for the next time."""
        key = f"end:{view.address}"
        if self._auction is None or view.is_liquidatable or not view.readable or self._is_busy(key, head):
            return
        if await self._pays(self._auction, view.address, 0.0, sight):
            await self._send(key, Call.LIQUIDATE, self._auction, "liquidate", (view.address,), head)

    async def _review(self, view: AccountView, head: Head) -> None:
        """Have an account that is solvent again looked at, so that withdrawals open; ending an auction does it too."""
        key = f"review:{view.address}"
        if view.auction is None and view.readable and not view.is_liquidatable and not self._is_busy(key, head):
            await self._send(key, Call.REVIEW, self._waterfall, "review", (view.address,), head)

    async def _bid(self, auctioned: Sequence[AccountView], sight: Sight, head: Head) -> None:
        """Bid where it pays most. One bid at a time: each changes the margin that we have for the next."""
        own = self._seen.get(self._own)
        if self._auction is None or own is None or self._executor.in_flight(f"{self._house}bid:"):
            return
        gas_cost = BID_GAS * sight.house.base_fee / WAD * sight.house.price
        offers = [
            (bid, view.address)
            for view in auctioned
            if view.is_liquidatable and view.address != self._own and not self._is_busy(f"bid:{view.address}", head)
            if (bid := bid_for(view, own.view, sight, gas_cost, self._config)) is not None
        ]
        for bid, account in sorted(offers, key=lambda offer: -offer[0].profit):
            arguments = (account, to_wad(bid.fraction, "down"), to_wad(bid.max_paid))
            probe = await self._accounts.probe(self._auction, "bid", arguments, self._own)
            if not probe.error:
                log.info("bidding for %.2f%% of %s, to earn about %.2f", 100.0 * bid.fraction, account, bid.profit)
                await self._send(f"bid:{account}", Call.BID, self._auction, "bid", arguments, head)
                return
            self._refuse(f"bid:{account}", probe.error, head)  # our margin is estimated here, and exact there

    async def _pays(self, engine: str, account: str, reward: float, sight: Sight) -> bool:
        """Whether a call is worth its gas; gas is asked for only above what the venue pays back."""
        base_fee, most = sight.house.base_fee, min((m.max_base_fee for m in sight.markets), default=float("inf"))
        gas = 0 if base_fee <= most else await self._accounts.gas(engine, "liquidate", (account,), self._own)
        return is_worth_gas(reward, gas, base_fee + TIP, sight.house.price, base_fee, most)

    # Deficits

    async def _deleverage(self, sight: Sight, head: Head) -> None:
        """Winners pay for what bankrupt accounts owe, while the window is open; afterwards pool and everybody."""
        house = sight.house
        due = [
            (index, market)
            for index, market in enumerate(sight.markets)
            if ((market.bankrupt_side and house.recorded_bad_debt > 0.0) or house.profit_ratio > house.adl_trigger)
            and not self._is_busy(f"adl:{market.address}", head)
        ]
        everybody = await self._accounts.look(self._accounts.watch.known) if due else sight
        self._remember(everybody)
        for index, market in due:
            side = market.bankrupt_side if house.recorded_bad_debt > 0.0 else 0
            wanted = house.recorded_bad_debt if side else float("inf")
            candidates = ranked(everybody.accounts, index, side, wanted)
            if candidates:
                arguments = (market.address, candidates)
                await self._try(f"adl:{market.address}", Call.ADL, "adl", arguments, head)
        if house.bad_debt > 0.0 and house.timestamp >= house.adl_until and not self._is_busy("deficit", head):
            await self._try("deficit", Call.SETTLE_DEFICIT, "settleDeficit", (), head)

    async def _try(self, key: str, call: Call, function: str, arguments: tuple[object, ...], head: Head) -> None:
        """Ask the waterfall for something, unless it would refuse or do nothing."""
        probe = await self._accounts.probe(self._waterfall, function, arguments, self._own)
        if probe.error or (call is Call.ADL and not any(probe.result)):
            self._refuse(key, probe.error or "NothingToDeleverage", head)
            return
        await self._send(key, call, self._waterfall, function, arguments, head)

    # What we won

    async def _unwind(self, sight: Sight, head: Head) -> None:
        """Close what bids have brought us, and hedge the options among it."""
        own = self._seen.get(self._own)
        if self._config.bid_capital <= 0.0 or own is None or not own.view.readable:
            return
        for index, market in enumerate(sight.markets[:1]):
            size, key = unwinding(own.view, index, self._config), f"unwind:{market.address}"
            if size == 0 or self._is_busy(key, head):
                continue
            edge = 1.0 + self._config.slippage if size > 0 else 1.0 - self._config.slippage
            arguments = (size, to_wad(sight.house.price * edge))
            await self._send(key, Call.TRADE, market.address, "commit", arguments, head)

    # Sending

    def _is_busy(self, key: str, head: Head) -> bool:
        """On its way already, or to be left alone for now."""
        return head.timestamp < self._wait.get(key, 0) or bool(self._executor.in_flight(f"{self._house}{key}@"))

    async def _send(
        self, key: str, call: Call, to: str, function: str, arguments: tuple[object, ...], head: Head
    ) -> None:
        order = Order(f"{self._house}{key}@{head.number}", self.name, call, to, function, arguments)
        result = await self._executor.submit(order)
        if result.status is OrderStatus.CONFIRMED:
            self._refused.pop(key, None)
        elif result.status in (OrderStatus.REVERTED, OrderStatus.REFUSED):
            lost = lost_race(result)
            self._refuse(key, result.error.split("(")[0] if lost else "", head)
            if not lost:
                log.warning("cannot %s: %s", key, result.error)

    def _refuse(self, key: str, error: str, head: Head) -> None:
        """Somebody else was first: so be it. Anything else is left alone, longer each time."""
        if error in LOST_RACES:
            self.lost += 1
            return
        self._refused[key] += 1
        pause = min(self._config.retry * 2 ** (self._refused[key] - 1), LONGEST_WAIT)
        self._wait[key] = head.timestamp + pause
        if error:
            log.info("%s is refused (%s); again in %d s", key, error, pause)


def _turned_insolvent(view: AccountView) -> bool:
    """Its auction is running, it is worth nothing any more, and nobody has told the chain."""
    auction = view.auction
    return auction is not None and auction.insolvent_at == 0 and view.cash + view.position_value <= 0.0
