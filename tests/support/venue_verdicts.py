"""The laws of single actions: what an order, a liquidation, a bid, a deleveraging, a settlement of bad debt, and a
provider's coming and going may do, judged by the receipt and by what was seen before and after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from venue_laws import Laws, Look, Seen
from venue_ledger import told
from venue_world import AUCTION, LIQUIDATION_BUFFER, VenueWorld

from keeper.chain.contract import Receipt
from keeper.units import WAD, to_wad

EXIT_WINDOW = 3_600
COOLDOWN = 3 * 3_600
ROUNDING = 10**9  # wei; fractions have 18 digits


@dataclass(frozen=True, slots=True)
class Order:
    """An order in flight and what must become of it, from prices that were published."""

    size: int
    acceptable: int
    benchmark_time: int
    window_end: int
    index: int  # 0 where no price has come
    index_time: int
    held: int


@dataclass(frozen=True, slots=True)
class Sale:
    """An account in auction, and its bidder, before a bid; `reserved` is what earlier bids have paid."""

    account: str
    bidder: str
    reserved: int
    value: int
    bidder_value: int
    seller: Seen
    has_order: bool


class Verdicts(Laws):
    """Judges actions."""

    def __init__(self, world: VenueWorld, roles: Sequence[str], engine: str) -> None:
        super().__init__(world, roles, engine)
        self.windows: dict[str, int] = {}  # latest time of each order's benchmark
        self.exits: dict[str, tuple[int, int]] = {}  # when an exit was announced, and of how many shares
        self.last_skew = 0  # before the order that is being settled

    def values(self, look: Look, role: str) -> int:
        """All that an account is worth: cash and positions at mid."""
        return look.accounts[role].cash + look.accounts[role].worth

    # -- money and orders ---------------------------------------------------------------------------------------------

    def judge_margin(self, what: str, role: str) -> None:
        """I-5: whoever has just taken something out or on still has initial margin."""
        equity, initial, _ = self.margin(role)
        self.hold(f"I-5 {what} leaves initial margin", equity >= initial, (role, equity, initial))

    def order_of(self, role: str) -> Order:
        """I-10: the only price at which this order can fill."""
        perp, account = self.world.perp, self.world.account(role)
        size, acceptable, *_ = perp.call("order", account)
        due = perp.call("benchmarkTime", account)
        index_time, index = self.benchmark(due)
        self.last_skew = self.positions.skew
        return Order(size, acceptable, due, self.windows[role], index, index_time, self.world.size(role))

    def note_commit(self, role: str) -> None:
        """Parameters of now go with an order: its delay and its window."""
        p = self.positions.parameters
        due = self.world.perp.call("benchmarkTime", self.world.account(role))
        self.windows[role] = due + p["settlementWindow"]
        self.hold("I-10 the benchmark lies the delay after the commit",
                  due == self.world.evm.timestamp + p["settlementDelay"], (due, self.world.evm.timestamp))  # fmt: skip

    def judge_settlement(self, role: str, receipt: Receipt, order: Order) -> None:
        """I-9 to I-11: filled at the benchmark, or refused for a reason that holds."""
        events = {event.name: event.said for event in told(receipt)}
        late = order.index_time > order.window_end
        self.hold("I-10 nothing settles without its benchmark", order.index != 0, order)
        self.hold(
            "an order is done with once settled", self.world.perp.call("pendingSize", self.world.account(role)) == 0, ""
        )
        exact = self.exact_before(order)
        worse = (exact - order.acceptable) * (1 if order.size > 0 else -1) > 0
        shrinks = order.held * order.size < 0 and abs(order.size) <= abs(order.held)
        if not receipt.result:
            reason = bytes(events["OrderCancelled"]["reason"]).rstrip(b"\0").decode()
            self.hold("I-10 an order expires only without a price in its window", late == (reason == "expired"), order)
            self.hold("I-10 an order is refused on price only where it is worse", worse or reason != "price", order)
            self.hold("I-11 reductions fill", late or worse or not shrinks, (order, reason))
            return
        filled = events["OrderSettled"]
        self.hold("I-10 an order fills at its benchmark", filled["index"] == order.index and not late, (filled, order))
        kept = (filled["fill"] - order.acceptable) * (1 if order.size > 0 else -1) <= 0
        self.hold("a fill is no worse than acceptable", kept, filled)
        if not shrinks:
            self._judge_open_interest(order)
        if not shrinks and order.index == self.prices[-1][1]:
            equity, _, maintenance = self.margin(role)
            self.hold("I-5 a fill leaves maintenance margin", equity >= maintenance, (role, equity, maintenance))

    def _judge_open_interest(self, order: Order) -> None:
        """The side that an order has made larger is within the caps, in coins and in value."""
        p = self.positions.parameters
        longs, shorts = self.world.perp.call("openInterest")
        side = longs if order.size > 0 else shorts
        fits = side <= p["maxOpenInterest"] and side * order.index <= p["maxOpenInterestValue"] * WAD
        self.hold("open interest stays within its caps", fits, (side, order))

    def exact_before(self, order: Order) -> Fraction:
        """The fill that an order must have, from the skew before it was settled."""
        scale = self.positions.parameters["skewScale"]
        return max(Fraction(0), order.index * (1 + (self.last_skew + Fraction(order.size, 2)) / scale))

    def judge_cancel(self, order: Order) -> None:
        """I-10: nobody walks away from a price that is known, nor from one that may still come."""
        over = self.world.evm.timestamp > order.window_end
        self.hold("I-10 no order is cancelled that has a benchmark", order.index == 0 and over, order)

    # -- liquidation --------------------------------------------------------------------------------------------------

    def judge_liquidation(self, role: str, receipt: Receipt, liquidatable: bool, before: Seen) -> None:
        """I-6: it closes something, starts an auction, or says when it can; and only who is below maintenance."""
        reward, next_at = receipt.result
        events = told(receipt)
        names = [event.name for event in events]
        self.hold(
            "only who is below maintenance is liquidated",
            liquidatable or ("AuctionEnded" in names and not reward),
            role,
        )
        size, moved = self.world.size(role), names.count("PositionClosed")
        settled = "OrderSettled" in names
        safe = not self.is_liquidatable(role)
        does = abs(size) < abs(before.size) or next_at > self.world.evm.timestamp or safe or self.in_auction(role)
        does = does or self.settlement_due(role)
        self.hold("I-6 a liquidation does something", does, (role, before, size, next_at))
        pending = self.world.perp.call("pendingSize", self.world.account(role))
        self.hold("a liquidated account has no order in flight", not moved or pending == 0, (role, pending))
        coins = sum(abs(event.said["sizeDelta"]) for event in events if event.name == "PositionClosed")
        start = self.positions.gas("liquidationGas", self.prices[-1][1])  # above what starting an auction pays back
        most = self.positions.liquidation_reward(coins, self.prices[-1][1]) if moved else start
        self.hold("rewards are gas and the fee on what is closed", 0 <= reward <= most, (reward, most))
        self.hold("I-5 what an account cannot pay is recorded once it is flat",
                  size != 0 or self.world.cash(role) >= 0 or not self.is_flat(role), role)  # fmt: skip
        if self.engine == "FullLiquidation" and self.is_perp_only(role):
            self.hold("I-6 a full liquidation ends it", size == 0 or (safe and settled), (role, size))
        if self.engine == "RateLimitedLiquidation" and moved and next_at == 0 and size != 0 and not settled:
            self._judge_buffer(role)

    def _judge_buffer(self, role: str) -> None:
        if self.world.engine.call("capacity", self.world.perp.address) == 0:
            return  # and so it may have got less than it needed
        equity, _, maintenance = self.margin(role)
        lifted = maintenance * (1 + Fraction(LIQUIDATION_BUFFER))
        self.hold(
            "I-6 a partial liquidation reaches its buffer",
            equity >= int(lifted) - ROUNDING,
            (role, equity, maintenance),
        )
        self.hold("a partial liquidation closes no more than needed", equity <= lifted * Fraction(12, 10) + 10 * WAD,
                  (role, equity, maintenance))  # fmt: skip

    def settlement_due(self, role: str) -> bool:
        """Whether an expired series of the account waits for anyone to settle it, before which nothing can be sold."""
        return False

    def is_flat(self, role: str) -> bool:
        return self.world.size(role) == 0

    def is_perp_only(self, role: str) -> bool:
        return True

    def calls_to_the_end(self, role: str) -> int:
        """I-6: liquidations that surely end in a healthy or empty account while the price stays, given bidders."""
        if self.engine == "RateLimitedLiquidation":
            return 4 * (abs(self.world.size(role)) // to_wad(self.world.liquidation_cap)) + 12
        return 3

    # -- the auction --------------------------------------------------------------------------------------------------

    def before_bid(self, role: str, bidder: str) -> Sale:
        assert self.world.auction is not None
        look = self.look()
        reserved = self.world.auction.call("auction", self.world.account(role))[2]
        value, other = self.values(look, role), self.values(look, bidder)
        pending = bool(look.accounts[role].pending or look.accounts[bidder].pending)
        return Sale(role, bidder, reserved, value, other, look.accounts[role], pending)

    def judge_bid(self, receipt: Receipt, sale: Sale) -> None:
        """What changes hands is worth the same on both sides; the bidder gains the discount of the clock, no more."""
        self.judge_margin("a bid", sale.bidder)
        (bid,) = receipt.events("AuctionBid")
        self.hold(
            "only who is below maintenance is sold",
            sale.has_order or sale.seller.equity < sale.seller.maintenance,
            sale,
        )
        look = self.look()
        after = look.accounts[sale.account]
        buffered = after.maintenance * (1 + Fraction(AUCTION["buffer"], WAD))
        taken_all = bid["fraction"] >= WAD
        self.hold("a bid takes no more than lifts the account to its buffer",
                  taken_all or sale.has_order or after.equity <= buffered * Fraction(11, 10) + ROUNDING,
                  (bid, after))  # fmt: skip
        if sale.has_order:
            return
        gained = self.values(look, sale.bidder) - sale.bidder_value
        lost = sale.value - self.values(look, sale.account)
        dust = ROUNDING + abs(sale.value) // 10**12
        self.hold("what a bidder gains the seller and the waterfall lose", abs(gained - lost - bid["deficit"]) <= dust,
                  (gained, lost, bid))  # fmt: skip
        fraction = Fraction(bid["fraction"], WAD)
        most, elapsed = (
            self._discounted(sale),
            self.world.evm.timestamp - self.auctions[self.world.account(sale.account)],
        )
        self.hold("a bidder gains what the clock gives", gained <= fraction * most + dust, (gained, most, bid, elapsed))
        for_sale = sale.value - sale.reserved if sale.reserved < sale.value else sale.value
        if for_sale > 0:
            self.hold("a bidder pays the clock's price at most", gained >= fraction * most - dust, (gained, most, bid))
            self.hold("a solvent auction leaves no deficit", bid["deficit"] == 0, bid)

    def _discounted(self, sale: Sale) -> Fraction:
        """What all that is for sale is worth above its price: on two straight lines, or an insolvent one's."""
        elapsed = self.world.evm.timestamp - self.auctions[self.world.account(sale.account)]
        for_sale = sale.value - sale.reserved if sale.reserved < sale.value else sale.value
        if for_sale <= 0:
            return sale.seller.maintenance * min(Fraction(elapsed, AUCTION["insolventTime"]), Fraction(1))
        start, end = Fraction(AUCTION["start"], WAD), Fraction(AUCTION["fastEnd"], WAD)
        fast = start - (start - end) * Fraction(elapsed, AUCTION["fastTime"])
        slow = max(Fraction(0), end * (1 - Fraction(elapsed - AUCTION["fastTime"], AUCTION["slowTime"])))
        return for_sale * (1 - (fast if elapsed < AUCTION["fastTime"] else slow))

    # -- deleveraging and bad debt ------------------------------------------------------------------------------------

    def ranked(self, roles: Sequence[str]) -> list[str]:
        """Candidates for deleveraging, highest score first."""
        price = self.world.price()
        perp = self.world.perp.address
        scores = {role: self.world.waterfall.call("score", perp, self.world.account(role), price) for role in roles}
        return sorted((role for role in roles if scores[role]), key=lambda role: -scores[role])

    def judge_adl(self, receipt: Receipt, before: Look) -> None:
        """I-12: haircuts are what the deficit or the profits allow, and no more is closed than that takes."""
        events, after = receipt.events("Deleveraged"), self.look()
        haircuts = sum(event["haircut"] for event in events)
        for_pool = haircuts > 0 and before.recorded == after.recorded
        due = before.bad_debt - before.recorded if for_pool else before.recorded
        paid = before.bad_debt - after.bad_debt if for_pool else before.recorded - after.recorded
        dust = 4 * len(events) if for_pool else 0
        self.hold("I-12 haircuts stay within the deficit", haircuts <= due, (haircuts, due))
        self.hold("I-12 haircuts pay bad debt to the wei", abs(paid - haircuts) <= dust, (paid, haircuts, before))
        for event in events:
            role = self.accounts[event["account"]]
            held, now = before.accounts[role], after.accounts[role]
            self.hold("deleveraging closes profit only", held.worth > 0 and event["haircut"] <= held.worth, event)
            shrunk = held.size * event["sizeDelta"] < 0 and abs(event["sizeDelta"]) <= abs(held.size)
            self.hold("deleveraging shrinks a position", shrunk, event)
            self.hold("deleveraging leaves no healthy account below maintenance",
                      held.equity >= held.maintenance and now.equity >= now.maintenance, (role, held, now))  # fmt: skip
            self.hold(
                "a deleveraged account loses its haircut", abs(held.equity - now.equity - event["haircut"]) <= 4, event
            )
            closed = Fraction(abs(event["sizeDelta"]) * held.worth, abs(held.size))
            lot = Fraction(held.worth, abs(held.size)) + 4
            if event["haircut"]:
                self.hold(
                    "I-12 no more is closed than the deficit needs", closed - event["haircut"] <= lot, (event, held)
                )
                sides = {-1, 1} if for_pool or self.deficit is None else self.deficit.sides
                opposite = (-1 if held.size > 0 else 1) in sides
                self.hold("I-12 only who is opposite to the bankrupt pays", opposite, (event, self.deficit))
        if not haircuts and events:
            self.hold("deleveraging without bad debt relieves the pool", before.market_debt > after.market_debt, events)

    def judge_settle_deficit(self, receipt: Receipt, before: Look, was_over: bool, spendable: int) -> None:
        """After the window the pool pays as far as it has equity, then everybody, as long as there is cash."""
        from_pool, taken = receipt.result
        after = self.look()
        if receipt.events("DeficitOpened"):
            self.hold("opening a window takes nothing", from_pool == taken == 0, receipt.result)
            return
        if before.bad_debt == 0:
            return
        self.hold("nothing is taken before the window is over", was_over, (before, self.deficit))
        given = max(before.accounts[self.world.house.address].cash, 0)
        due = before.bad_debt - min(given, before.bad_debt - before.recorded)
        able = max(min(due, before.pool_equity, before.accounts[self.world.pool.address].cash), 0)
        self.hold("the pool pays before everybody else", from_pool == able, (from_pool, able))
        self.hold("what is taken pays bad debt", due - after.bad_debt == from_pool + taken,
                  (due, after.bad_debt, from_pool, taken))  # fmt: skip
        kept = spendable // 99 + 10**6
        thin = after.index < 10**20
        paid = after.bad_debt == 0 or thin or self.ledger.spendable() <= kept
        self.hold("no bad debt stays open while somebody has cash", paid, (after.bad_debt, spendable))

    # -- providers ----------------------------------------------------------------------------------------------------

    def share_price(self) -> Fraction:
        """What one share of the pool is worth, with the virtual ones; wei of a dollar times 1e-6."""
        pool = self.world.pool
        equity = Fraction(max(int(pool.call("equity", self.world.price())), 0), 10**12)
        return (equity + 1) / (pool.call("totalSupply") + 10**12)

    def judge_provider(self, before: Fraction) -> None:
        """Whoever comes or goes, the others' shares are worth no less."""
        after = self.share_price()
        dust = Fraction(2, self.world.pool.call("totalSupply") + 10**12)
        self.hold("providers who come and go take nothing from the others", after >= before - dust, (before, after))

    def judge_deposit(self, role: str, receipt: Receipt, dollars: int) -> None:
        """At one price nobody gets back more than it gave."""
        back = self.world.pool.call("previewRedeem", receipt.result)
        self.hold("a provider's round trip never gains", back <= dollars, (role, back, dollars))

    def note_exit(self, role: str, shares: int) -> None:
        self.exits[role] = (self.world.evm.timestamp, shares)

    def judge_exit(self, role: str, shares: int) -> None:
        """Nobody leaves without having said so a cooldown before, nor with more."""
        asked, announced = self.exits.get(role, (0, 0))
        waited = self.world.evm.timestamp - asked
        fits = COOLDOWN <= waited <= COOLDOWN + EXIT_WINDOW and shares <= announced
        self.hold("providers leave after a cooldown", fits, (role, waited, shares, announced))
        self.exits[role] = (asked, announced - shares)
