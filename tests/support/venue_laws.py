"""The laws of a perp venue, I-1 to I-12, as a referee who sees every receipt and price, and keeps books of its own: of
cash (`venue_ledger`), of positions and funding (`venue_positions`), and of what was liquidated and when.

Here are the laws that hold at rest, between any two actions. Those of single actions are in `venue_verdicts`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tape import Broken
from venue_ledger import Ledger, Told, told
from venue_positions import Positions
from venue_world import ADL_WINDOW, LIQUIDATION_WINDOW, VenueWorld

from keeper.chain.contract import Receipt
from keeper.units import WAD, to_wad


class Seen(NamedTuple):
    """One account as `VenueAudit` shows it; wad."""

    cash: int
    size: int
    pending: int
    worth: int
    equity: int
    initial: int
    maintenance: int


class Look(NamedTuple):
    """The venue as `VenueAudit` shows it; wad."""

    price: int
    price_time: int
    skew: int
    long: int
    short: int
    market_debt: int
    pool_equity: int
    bad_debt: int
    recorded: int
    custody: int
    index: int
    locked: bool
    accounts: dict[str, Seen]


@dataclass
class Deficit:
    """Bad debt that is open: since when, and which sides' losers left it."""

    opened_at: int
    sides: set[int]


class Laws:
    """Follows a venue. `before` is the look before the last action, `now` the one after it."""

    def __init__(self, world: VenueWorld, roles: Sequence[str], engine: str) -> None:
        self.world, self.roles, self.engine = world, tuple(roles), engine
        self.audit = world.evm.deploy("VenueAudit")
        own = [world.pool, world.fund, world.waterfall, world.engine, world.house, *self.products()]
        own += [world.auction] if world.auction is not None and world.auction.address != world.engine.address else []
        self.modules = [part.address for part in own]
        self.accounts = {world.account(role): role for role in roles} | {address: address for address in self.modules}
        self.prices: list[tuple[int, int]] = [(world.evm.timestamp, world.price())]
        self.closed: list[tuple[int, int]] = []  # (time, coins) that a liquidation closed
        self.auctions: dict[str, int] = {}  # when the auction of an account started
        self.deficit: Deficit | None = None
        self.insolvent: set[str] = set()  # accounts for which withdrawals wait
        self.donated = 0
        self.paid_in = world.custody()
        self.now = self.before = self.look()
        cash = {address: self.now.accounts[role].cash for address, role in self.accounts.items()}
        self.ledger = Ledger(self.hold, cash, world.house.address, world.fund.address, self.modules)
        self.positions = Positions(self.hold, world)

    def products(self) -> list:  # type: ignore[type-arg]
        """Modules of a world with more than perps."""
        return []

    # -- watching -----------------------------------------------------------------------------------------------------

    def hold(self, law: str, holds: bool, detail: object) -> None:
        """Raise `Broken` unless a law holds."""
        if not holds:
            raise Broken(law, str(detail))

    def publish(self, price: float, seconds: int) -> None:
        self.world.move(price, seconds)
        self.prices.append((self.world.evm.timestamp, self.world.price()))

    def note(self, receipt: Receipt) -> None:
        """Book a receipt: money that came and went, positions, what liquidations closed, and bad debt."""
        events = told(receipt)
        self.ledger.follow(events)
        self.positions.follow(events, self.prices[-1][1])
        moved = 0
        limited = any(name == "Liquidated" and by == self.world.engine.address for by, name, _ in events)
        for by, name, said in events:
            if name == "Deposited":
                self.paid_in += said["amount"] * 10**12
            elif name == "Withdrawn":
                self.paid_in -= said["amount"] * 10**12
            elif name == "PositionClosed" and limited:  # the auction's closing of last resort knows no window
                self.closed.append((self.world.evm.timestamp, abs(said["sizeDelta"])))
            elif name == "PositionMoved":
                moved = 1 if said["size"] > 0 else -1
            elif name == "InsolvencySeen":
                self.insolvent.add(said["account"])
            elif name == "InsolvencyReleased":
                self.insolvent.discard(said["account"])
            elif name == "AuctionStarted":
                self.auctions[said["account"]] = self.world.evm.timestamp
            elif by == self.world.waterfall.address or name in ("Liquidated", "AuctionBid"):
                self._follow_deficit(name, said, moved)
        self._insured(events)

    def _follow_deficit(self, name: str, said: dict, moved: int) -> None:  # type: ignore[type-arg]
        if name == "DeficitOpened":
            self.deficit = Deficit(self.world.evm.timestamp, set())
        elif name == "DeficitClosed":
            self.deficit = None
        elif self.deficit is not None and name == "Liquidated" and said["badDebt"]:
            self.deficit.sides.add(1 if said["sizeClosed"] < 0 else -1 if said["sizeClosed"] else 0)
        elif self.deficit is not None and name == "AuctionBid" and said["deficit"]:
            self.deficit.sides.add(moved)

    def _insured(self, events: Sequence[Told]) -> None:
        """The fund is first to pay for what a liquidation leaves behind, as far as its cap and its cash go."""
        most = to_wad(self.world.max_per_event)
        for claim in self.ledger.claims:
            if claim.account == self.world.pool.address:
                continue
            due = min(claim.amount, most, claim.fund_had)
            exact = self.world.auction is None
            self.hold("the insurance fund pays first, up to its cap",
                      claim.insured <= due and (claim.insured == due or not exact), (claim, due))  # fmt: skip

    def follow(self) -> None:
        """Look again, after an action."""
        self.before, self.now = self.now, self.look()

    def look(self) -> Look:
        addresses = list(self.accounts)
        venue, seen = self.audit.call("look", self.world.house.address, self.world.perp.address, addresses)
        accounts = {self.accounts[address]: Seen(*each) for address, each in zip(addresses, seen, strict=True)}
        return Look(*venue, accounts)

    # -- what is true now ---------------------------------------------------------------------------------------------

    def is_fresh(self) -> bool:
        return self.world.evm.timestamp - self.prices[-1][0] <= 3_600

    def margin(self, role: str) -> tuple[int, int, int]:
        return self.world.margin(role)

    def is_liquidatable(self, role: str) -> bool:
        equity, _, maintenance = self.margin(role)
        return equity < maintenance

    def safe_accounts(self) -> set[str]:
        return {role for role in self.roles if not self.is_liquidatable(role)}

    def is_decided(self, role: str) -> bool:
        """Whether the account has an order in flight of which the price is known."""
        due = self.world.perp.call("benchmarkTime", self.world.account(role))
        return bool(due) and self.benchmark(due)[1] != 0

    def in_auction(self, role: str) -> bool:
        auction = self.world.auction
        return auction is not None and auction.call("auction", self.world.account(role))[0] != 0

    def benchmark(self, time: int) -> tuple[int, int]:
        """Time and price of the first price at or after a time; zeros where none has come."""
        place = bisect_left(self.prices, (time, 0))
        return self.prices[place] if place < len(self.prices) else (0, 0)

    def must_take(self, role: str, size: int) -> bool:
        """I-11: an order that shrinks the position of a healthy account with a fresh price, whatever else is short."""
        perp, account = self.world.perp, self.world.account(role)
        held = self.world.size(role)
        shrinks = held * size < 0 and abs(size) <= abs(held)
        if not shrinks or not self.is_fresh() or perp.call("pendingSize", account):
            return False
        equity, _, maintenance = self.margin(role)
        return bool(equity >= max(maintenance, perp.call("orderCost", size, self.world.price())))

    # -- at rest ------------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Every law that holds between actions."""
        look = self.now
        self.hold("nobody holds the lock", not look.locked, "locked")
        self._money(look)
        self._positions(look)
        if self.engine == "RateLimitedLiquidation":
            self._window()

    def _money(self, look: Look) -> None:
        for address in self.ledger.cash:
            self.hold("I-4 cash goes to accounts that are known", address in self.accounts, address)
        for address, role in self.accounts.items():
            self.ledger.agree(address, look.accounts[role].cash)
        cash = sum(each.cash for each in look.accounts.values())
        own = look.custody - self.donated
        self.hold("I-1 tokens held are what was paid in", own == self.paid_in, (own, self.paid_in))
        dust = self.ledger.haircuts * len(look.accounts) + self.ledger.dust(self.ledger.spendable())
        self.hold("I-1, I-4 tokens held are everybody's cash", 0 <= own - cash <= dust, (own - cash, dust))
        debt = max(-look.accounts[self.world.house.address].cash, 0)
        self.hold("bad debt is public", look.recorded == debt and look.bad_debt >= debt, look)
        pool_short = max(-look.pool_equity, 0)
        self.hold("what the pool cannot pay is bad debt", look.bad_debt - debt == pool_short, (look, pool_short))
        self.hold("bad debt has a window", debt == 0 or self.deficit is not None, look)
        engines = {self.world.engine.address, self.world.waterfall.address}
        left = {address: look.accounts[address].cash for address in engines if look.accounts[address].cash}
        self.hold("engines keep nothing", not left, left)
        self.hold("the haircut index only falls", look.index <= self.before.index, (look.index, self.before.index))

    def _positions(self, look: Look) -> None:
        held = {role: each for role, each in look.accounts.items() if each.size}
        worth = sum(each.worth for each in held.values())
        gap = look.market_debt - worth
        self.hold("I-2, I-8 the pool owes what positions are worth", 0 <= gap <= 2 * len(self.roles) + 1, gap)
        booked = {self.accounts.get(address, address): each.size
                  for address, each in self.positions.held.items() if each.size}  # fmt: skip
        self.hold(
            "I-3 positions are what was traded", booked == {role: each.size for role, each in held.items()}, booked
        )
        longs = sum(size for size in booked.values() if size > 0)
        shorts = -sum(size for size in booked.values() if size < 0)
        totals = (look.skew, look.long, look.short)
        summed = totals == (longs - shorts, longs, shorts)
        self.hold("I-3 skew and open interest are the sums of positions", summed, (totals, longs, shorts))
        for role, each in look.accounts.items():
            self.hold("maintenance is never above initial margin", each.maintenance <= each.initial, (role, each))

    def _window(self) -> None:
        """I-7, from our own record of what was closed."""
        cap = to_wad(self.world.liquidation_cap)
        end = self.world.evm.timestamp
        recent = sum(size for time, size in self.closed[-4 * LIQUIDATION_WINDOW :] if time > end - LIQUIDATION_WINDOW)
        self.hold("I-7 liquidations stay within the window's cap", recent <= cap, (recent / WAD, cap / WAD))
        free = self.world.engine.call("capacity", self.world.perp.address)
        self.hold("I-7 what left the window can be closed again", free == cap - recent, (free, cap - recent))

    def window_is_over(self) -> bool:
        """Whether what is open may be taken from the pool and from everybody."""
        return self.deficit is not None and self.world.evm.timestamp >= self.deficit.opened_at + ADL_WINDOW


def describe(counts: dict[str, int]) -> str:
    """How often what was done and refused."""
    return ", ".join(f"{what} {count:,}" for what, count in sorted(counts.items()))
