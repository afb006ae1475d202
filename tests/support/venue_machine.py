"""A whole perp venue under random actions: traders, providers, keepers, liquidators, an oracle that jumps, an admin, a
donor, and a dollar that calls back in the middle of a transfer. What must hold is in `venue_laws`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tape import Action, Broken
from venue_verdicts import Verdicts
from venue_world import BUY_AT_ANY_PRICE, SELL_AT_ANY_PRICE, VenueWorld, parameters

from keeper.chain.abi import Revert
from keeper.chain.contract import Contract, Receipt
from keeper.units import WAD, to_gwei, to_usdc, to_wad

TRADERS = ("trader", "other", "small", "whale")
PROVIDERS = ("provider", "newcomer")
KEEPERS = ("keeper", "liquidator", "bidder")
CHANGES: tuple[dict[str, int], ...] = (
    {},
    {"maintenanceScalar": to_wad(0.8)},
    {"minInitialMarginRatio": to_wad(0.1)},
    {"skewScale": to_wad(100_000)},
    {"maxOpenInterest": to_wad(500), "maxOrderSize": to_wad(1_000)},
    {"maxOpenInterestValue": to_wad(100_000)},
    {"settlementDelay": 30, "settlementWindow": 20},
    {"minMargin": to_wad(1_000), "liquidationFee": to_wad(0.01)},
    {"fundingRateCap": to_wad(0.01), "maxFundingVelocity": to_wad(36)},
    {"takerFee": to_wad(0.002), "makerFee": to_wad(0.001), "insuranceShare": WAD},
    {"maxOpenInterest": 0},  # refused
    {"maintenanceScalar": WAD},  # refused
)
"""Sets of parameters that the admin may announce, as changes of the first; the last ones are no good."""

BUSY = {"OrderPending", "PriceTooOld", "PoolTooSmall", "OrderTooLarge", "ReduceOnly"}
CROWDED = {"OpenInterestExceeded", "OpenInterestValueExceeded", "InsufficientMargin", "AccountLiquidatable"}
ENTRIES = ("withdraw", "deposit", "commit", "settle", "cancel", "liquidate", "bid", "provide", "adl", "settleDeficit")
"""Doors that the dollar tries in the middle of a transfer."""
DOORS = 18
WITHDRAWAL = {"InsufficientCash", "InsufficientMargin", "WithdrawalsBlocked", "PriceTooOld", "InsufficientCustody"}
WITHDRAWAL |= {"InsolvencyOpen", "OrderDecided"}
POOL = {
    "InsolvencyOpen",
    "InsufficientCustody",
    "RedeemMoreThanMax",
    "WithdrawalsBlocked",
    "PriceTooOld",
    "ExitTooLarge",
}


def settings_of(engine: str, margin: str) -> dict[str, Any]:
    """A venue thin enough that everything in it runs short: pool, fund, capacity."""
    return {
        "engine_kind": engine,
        "margin_kind": margin,
        "pool_cash": 800_000,
        "insurance_cash": 2_000,
        "max_per_event": 1_000,
        "locked_ratio": 0.03,
        "liquidation_cap": 20.0,
        "token_kind": "MischiefToken",
    }


@dataclass
class VenueMachine:
    """Plays actions on a venue and checks its laws after each."""

    engine: str = "FullLiquidation"
    margin: str = "IsolatedMargin"
    counts: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.world = self.build()
        self.proposal: tuple[int, ...] | None = None
        self._arm_dollar()
        self.laws = self.referee()
        for role, dollars in zip(TRADERS, (60_000, 30_000, 5_000, 150_000), strict=True):
            self._deposit(role, dollars)
        for role in KEEPERS:
            self._deposit(role, 60_000)

    def build(self) -> VenueWorld:
        return VenueWorld(**settings_of(self.engine, self.margin))

    def referee(self) -> Verdicts:
        return Verdicts(self.world, self.roles(), self.engine)

    def roles(self) -> tuple[str, ...]:
        """Every account that can hold anything but the venue's own; the dollar is one of them."""
        return (*TRADERS, *PROVIDERS, *KEEPERS, self.world.token.address)

    def traders(self) -> tuple[str, ...]:
        """Those who may be liquidated or deleveraged."""
        return TRADERS

    # -- how an action is played --------------------------------------------------------------------------------------

    def act(self, action: Action) -> None:
        """Play one action. A refusal that the situation cannot explain breaks a law."""
        play: Callable[..., None] = getattr(self, f"do_{action.name}")
        try:
            play(**action.draws)
        except Revert as revert:
            raise Broken("refusals can be explained", f"{action} ended in {revert.name}{revert.args}") from None
        self.laws.follow()

    def check(self) -> None:
        """The laws that hold at rest."""
        self.laws.check()

    def _try(self, what: str, allowed: set[str], action: Callable[[], Receipt]) -> Receipt | None:
        """The receipt, or None where it was refused for an allowed reason. Counts both."""
        try:
            receipt = action()
        except Revert as revert:
            if revert.name not in allowed:
                raise
            self._count(f"{what}: {revert.name}")
            return None
        self._count(what)
        self.laws.note(receipt)
        return receipt

    def _count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1

    def _send(self, contract: Contract, function: str, *args: Any, by: str) -> Callable[[], Receipt]:
        return lambda: contract.send(function, *args, sender=self.world.account(by))

    # -- money --------------------------------------------------------------------------------------------------------

    def _deposit(self, role: str, dollars: float) -> None:
        self.laws.note(self.world.deposit(role, dollars))

    def do_deposit(self, who: str, dollars: float) -> None:
        self._deposit(who, dollars)

    def do_withdraw(self, who: str, share: float) -> None:
        """A share of all that the account's cash is; above 1 it must be refused."""
        dollars = round(max(self.world.cash(who), 0) / WAD * share, 6)
        if to_usdc(dollars) == 0:
            return
        liquidatable = self.laws.is_liquidatable(who)
        decided = self.laws.is_decided(who)
        if self._try("withdraw", WITHDRAWAL, lambda: self.world.withdraw(who, dollars)):
            self.laws.hold("I-5 who can be liquidated withdraws nothing", not liquidatable, who)
            self.laws.hold("withdrawals wait for bad debt", self.laws.now.bad_debt == 0, who)
            self.laws.hold("withdrawals wait for insolvent accounts", not self.laws.insolvent, self.laws.insolvent)
            self.laws.hold("I-10 nobody starves an order that has its price", not decided, who)
            self.laws.judge_margin("a withdrawal", who)

    def do_donate(self, to: str, dollars: float) -> None:
        """Raw tokens, past every door."""
        target = {"house": self.world.house, "pool": self.world.pool, "perp": self.world.perp}[to]
        self.world.token.send("mint", target.address, to_usdc(dollars))
        self.laws.donated += to_usdc(dollars) * 10**12 if to == "house" else 0

    def do_endow(self, to: str, dollars: float) -> None:
        """A deposit for one of the venue's own accounts."""
        parts = {"house": self.world.house, "pool": self.world.pool, "fund": self.world.fund}
        self._deposit(parts[to].address, dollars)

    def _arm_dollar(self) -> None:
        """The dollar has an account of its own, and lets the clearinghouse and the pool take its tokens."""
        token = self.world.token
        self.world.deposit(token.address, 40_000)
        token.send("mint", token.address, to_usdc(1_000_000))
        for spender in (self.world.house, self.world.pool):
            token.send("arm", token.address, token.encode("approve", spender.address, to_usdc(1_000_000)))
            token.send("mint", self.world.account("bank"), 1)
            token.send("transfer", self.world.account("bank"), 1, sender=self.world.account("bank"))

    def _entry(self, into: str) -> tuple[Contract, str, tuple[Any, ...]]:
        """A call by the dollar that would go through at any other time, as far as there is anything to do."""
        world, dollar = self.world, self.world.token.address
        pending = [who for who in self.traders() if world.perp.call("pendingSize", world.account(who))]
        account = world.account(pending[0] if pending else "trader")
        hint = world.feed.call("roundAt", max(world.perp.call("benchmarkTime", account), 1) - 1) + 1
        ill = [who for who in self.traders() if self.laws.is_liquidatable(who)]
        ranked = [world.account(who) for who in self.laws.ranked(self.traders())]
        victim = world.account(ill[0] if ill else "trader")
        calls: Mapping[str, tuple[Contract, str, tuple[Any, ...]]] = {
            "withdraw": (world.house, "withdraw", (to_usdc(1), dollar)),
            "deposit": (world.house, "deposit", (dollar, to_usdc(1))),
            "commit": (world.perp, "commit", (to_wad(1), BUY_AT_ANY_PRICE)),
            "settle": (world.perp, "settle", (account, hint)),
            "cancel": (world.perp, "cancel", (account,)),
            "liquidate": (world.engine, "liquidate", (victim,)),
            "bid": (world.auction or world.engine, "bid" if world.auction else "liquidate",
                    (victim, WAD, to_wad(1e9)) if world.auction else (victim,)),
            "provide": (world.pool, "deposit", (to_usdc(10), dollar)),
            "adl": (world.waterfall, "adl", (world.perp.address, ranked)),
            "settleDeficit": (world.waterfall, "settleDeficit", ()),
        }  # fmt: skip
        return calls[into]

    def do_reenter(self, who: str, into: str, through: str) -> None:
        """Money moves, and in the middle of it the dollar calls back into the venue."""
        token = self.world.token
        if into == "settle" and self._commit("whale", WAD // 2):
            self.do_tick(0.0, 31)
        target, function, args = self._entry(into)
        token.send("arm", target.address, target.encode(function, *args))
        attempts = token.call("attempts")
        if through == "withdraw":
            self.do_withdraw(who, 0.01)
        elif through == "deposit":
            self._deposit(who, 1.0)
        else:
            self.do_provide("provider", 1.0)
        if token.call("attempts") > attempts:
            self._count("reentry")
            self.laws.hold("nothing is entered twice", not token.call("succeeded"), into)
        token.send("arm", "0x" + "00" * 20, b"")

    # -- prices and time ----------------------------------------------------------------------------------------------

    def do_tick(self, change: float, seconds: int) -> None:
        price = self.world.price() * (1 + change) / WAD
        self.laws.publish(round(min(max(price, 20.0), 1e5), 6), seconds)

    def do_wait(self, seconds: int) -> None:
        self.world.evm.advance(seconds)

    def do_gas(self, gwei: float) -> None:
        self.world.evm.base_fee = to_gwei(gwei)

    # -- traders ------------------------------------------------------------------------------------------------------

    def _commit(self, who: str, size: int, limit: float | None = None) -> bool:
        anything = BUY_AT_ANY_PRICE if size > 0 else SELL_AT_ANY_PRICE
        acceptable = anything if limit is None else int(self.world.price() * limit)
        liquidatable = self.laws.is_liquidatable(who)
        must = self.laws.must_take(who, size)
        held = self.world.size(who)
        shrinks = held * size < 0 and abs(size) <= abs(held)
        allowed = BUSY | CROWDED if not must else set()
        done = self._try("commit", allowed, self._send(self.world.perp, "commit", size, acceptable, by=who))
        if done:
            self.laws.hold("I-5 who can be liquidated orders nothing", not liquidatable, who)
            self.laws.note_commit(who)
            if not shrinks:
                self.laws.judge_margin("an order", who)
                self.laws.hold(
                    "nothing is opened while only reductions may be", not self.world.perp.call("reduceOnly"), who
                )
        return done is not None

    def _size(self, who: str, leverage: float) -> int:
        equity = self.world.margin(who)[0]
        return to_wad(round(leverage * max(equity, 0) / self.world.price(), 4))

    def do_commit(self, who: str, leverage: float, limit: float) -> None:
        size = self._size(who, leverage)
        if size:
            self._commit(who, size, limit)

    def do_trade(self, who: str, leverage: float, change: float, seconds: int) -> None:
        """An order, a price some seconds later, and its settlement."""
        self.do_resolve(who, "keeper")
        size = self._size(who, leverage)
        if size and self._commit(who, size):
            self.do_tick(change, seconds)
            self.do_resolve(who, "keeper")

    def do_reduce(self, who: str, share: float) -> None:
        self.do_resolve(who, "keeper")
        size = -int(self.world.size(who) * share)
        if size and self._commit(who, size):
            self.do_tick(0.0, 30)
            self.do_resolve(who, "keeper")

    # -- keepers ------------------------------------------------------------------------------------------------------

    def do_resolve(self, who: str, by: str) -> None:
        """Settle an order in flight at its benchmark, or cancel it, if either can be done."""
        perp, account = self.world.perp, self.world.account(who)
        if perp.call("pendingSize", account) == 0:
            return
        order = self.laws.order_of(who)
        hint = self.world.feed.call("roundAt", order.benchmark_time - 1) + 1
        allowed = set() if order.index else {"TooEarly", "UnknownRound"}
        settled = self._try("settle", allowed, self._send(perp, "settle", account, hint, by=by))
        if settled:
            self.laws.judge_settlement(who, settled, order)
        elif self._try("cancel", {"CannotCancelYet"}, self._send(perp, "cancel", account, by=by)):
            self.laws.judge_cancel(order)

    def do_snatch(self, who: str, by: str, offset: int) -> None:
        """Settle at a round that is not the benchmark, or cancel what has one: never."""
        perp, account = self.world.perp, self.world.account(who)
        if perp.call("pendingSize", account) == 0:
            return
        order = self.laws.order_of(who)
        hint = self.world.feed.call("roundAt", order.benchmark_time - 1) + 1 + offset
        refusals = {"TooEarly", "UnknownRound", "NotFirstRoundAfter"}
        if offset and hint > 0:
            done = self._try("snatch", refusals, self._send(perp, "settle", account, hint, by=by))
            self.laws.hold("I-10 nobody chooses the round", done is None, (hint, order))
        elif self._try("cancel", {"CannotCancelYet", "BenchmarkExists"}, self._send(perp, "cancel", account, by=by)):
            self.laws.judge_cancel(order)

    def do_liquidate(self, who: str, by: str) -> None:
        fresh = self.laws.is_fresh()
        liquidatable, before = self.laws.is_liquidatable(who), self.laws.look().accounts[who]
        allowed: set[str] = set() if liquidatable and fresh else {"NotLiquidatable", "PriceTooOld"}
        done = self._try("liquidate", allowed, lambda: self.world.liquidate(who, by))
        if done:
            self.laws.judge_liquidation(who, done, liquidatable, before)

    def do_clear(self, by: str) -> None:
        """Whoever can be liquidated is, as far as one call goes."""
        for who in self.traders():
            if self.laws.is_liquidatable(who) and self.laws.is_fresh():
                self.do_liquidate(who, by)

    def do_ambush(self, who: str, change: float, by: str) -> None:
        """The price jumps while orders are in flight that have no benchmark yet, and whoever falls is liquidated."""
        for each in TRADERS:
            self._commit(each, WAD if each == who else -WAD)
        self.do_tick(change, 1)
        self.do_clear(by)

    def do_finish(self, who: str) -> None:
        """What if everybody did what they can for this account, at this price? Undone at the end."""
        if not self.laws.is_liquidatable(who) or not self.laws.is_fresh():
            return
        price, calls = self.world.price() / WAD, self.laws.calls_to_the_end(who)
        with self.world.evm.rolled_back():
            self.world.deposit("rescuer", 100_000_000)
            while self.laws.is_liquidatable(who) and calls:
                calls -= 1
                _, next_at = self.world.liquidate(who, "keeper").result
                if self.laws.in_auction(who):
                    self.world.bid(who, 1.0, 1e9, "rescuer")
                elif next_at > self.world.evm.timestamp:
                    self.world.move(price, next_at - self.world.evm.timestamp)
            ill = self.laws.is_liquidatable(who)
        self._count("finish")
        self.laws.hold("I-6 liquidation comes to an end within a bounded number of calls", not ill, who)

    def do_bid(self, who: str, by: str, share: float) -> None:
        """A bid for an account in auction: the one named, or whichever there is."""
        if self.world.auction is None:
            return
        if not self.laws.in_auction(who) and self.laws.is_liquidatable(who):
            self.do_liquidate(who, by)
        open_ = [each for each in (who, *self.traders()) if self.laws.in_auction(each)]
        who = open_[0] if open_ else who
        refusals = {"NoAuction", "NotLiquidatable", "OwnAuction", "InsufficientMargin", "PriceTooOld", "PaysTooMuch"}
        refusals |= {"BadFraction", "WrongEngine", "OrderDecided", "DeficitTooLarge", "SettlementDue", "TooManySeries"}
        sale = self.laws.before_bid(who, by)
        done = self._try("bid", refusals, lambda: self.world.bid(who, share, 1e9, by))
        if done:
            self.laws.judge_bid(done, sale)

    def do_adl(self, by: str, first: int, count: int) -> None:
        """Candidates from `first` on in rank order, as a keeper would send them."""
        ranked = self.laws.ranked(self.traders())[first : first + count]
        if not ranked:
            return
        before = self.laws.look()
        refusals = {"NothingToDeleverage", "PriceTooOld"}
        done = self._try("adl", refusals, lambda: self.world.adl(*ranked, keeper=by))
        if done:
            self.laws.judge_adl(done, before)

    def do_review(self, who: str) -> None:
        """Anyone has the waterfall look at an account."""
        review = self._send(self.world.waterfall, "review", self.world.account(who), by="keeper")
        if self._try("review", {"PriceTooOld"}, review):
            worth = self.laws.values(self.laws.look(), who)
            known = self.world.account(who) in self.laws.insolvent
            self.laws.hold("who is held against withdrawals is insolvent", not known or worth < 0, (who, worth))

    def do_settle_deficit(self, patience: int) -> None:
        """What is still open is taken from the pool and from everybody, sometimes once the window is over."""
        if patience and self.laws.now.bad_debt:
            self.do_tick(0.0, patience)
        before, was_over, spendable = self.laws.look(), self.laws.window_is_over(), self.laws.ledger.spendable()
        done = self._try("settle deficit", {"AdlWindowOpen", "PriceTooOld"}, self.world.settle_deficit)
        if done:
            self.laws.judge_settle_deficit(done, before, was_over, spendable)

    # -- providers ----------------------------------------------------------------------------------------------------

    def do_provide(self, who: str, dollars: float) -> None:
        refusals = {"DepositMoreThanMax", "PriceTooOld", "ZeroAmount"}
        before = self.laws.share_price()
        done = self._try("provide", refusals, lambda: self.world.provide(who, dollars))
        if done:
            self.laws.judge_deposit(who, done, to_usdc(dollars))
            self.laws.judge_provider(before)

    def do_request_exit(self, who: str, share: float) -> None:
        shares = int(self.world.pool.call("balanceOf", self.world.account(who)) * share)
        if shares:
            self._try("request exit", set(), self._send(self.world.pool, "requestExit", shares, by=who))
            self.laws.note_exit(who, shares)

    def do_leave(self, who: str, share: float) -> None:
        account = self.world.account(who)
        shares = int(self.world.pool.call("balanceOf", account) * share)
        if shares:
            redeem = self._send(self.world.pool, "redeem", shares, account, account, by=who)
            before = self.laws.share_price()
            if self._try("leave", POOL | {"ZeroAmount"}, redeem):
                self.laws.judge_exit(who, shares)
                self.laws.judge_provider(before)

    def do_exit(self, who: str, share: float) -> None:
        """A provider who asks, waits, and leaves while it may."""
        self.do_request_exit(who, share)
        self.do_tick(0.0, int(self.world.pool.call("COOLDOWN")) + 1)
        self.do_leave(who, share)

    # -- the admin ----------------------------------------------------------------------------------------------------

    def do_propose(self, change: int) -> None:
        proposal = parameters(**CHANGES[change])
        send = self._send(self.world.perp, "proposeParameters", proposal, by="admin")
        if self._try("propose", {"BadParameter"}, send):
            self.proposal = proposal

    def do_apply(self, patient: int) -> None:
        """Put the announced parameters into force, sometimes after the time that they must wait."""
        if self.proposal is None:
            return
        if patient:
            self.do_tick(0.0, int(self.world.perp.call("PARAMETER_DELAY")))
        safe = self.laws.safe_accounts()
        refusals = {"NotApplicableYet", "ProposalLapsed", "BadParameter", "NotProposed"}
        send = self._send(self.world.perp, "applyParameters", self.proposal, by="admin")
        if self._try("apply", refusals, send):
            self.proposal = None
            self.laws.hold("new parameters make nobody liquidatable at once", safe <= self.laws.safe_accounts(), "")

    def do_reduce_only(self, on: int) -> None:
        self._try("reduce only", set(), self._send(self.world.perp, "setReduceOnly", bool(on), by="admin"))

    def do_usurp(self, who: str, what: int) -> None:
        """A stranger at the doors that are not for him."""
        world, account = self.world, self.world.account(who)
        doors: tuple[tuple[Contract, str, tuple[Any, ...]], ...] = (
            (world.feed, "publish", (WAD,)),
            (world.house, "move", (world.pool.address, account, WAD, b"gift")),
            (world.house, "lock", ()),
            (world.house, "socialise", (WAD,)),
            (world.house, "recordBadDebt", (account,)),
            (world.house, "coverBadDebt", (world.pool.address, WAD)),
            (world.perp, "closePosition", (account, -WAD, WAD)),
            (world.perp, "transferPosition", (account, account, WAD, WAD)),
            (world.perp, "deleverage", (account, -WAD, WAD)),
            (world.perp, "dropOrder", (account,)),
            (world.perp, "proposeParameters", (parameters(),)),
            (world.perp, "setReduceOnly", (True,)),
            (world.waterfall, "absorb", (account, world.perp.address, WAD, WAD)),
            (world.fund, "cover", (WAD, WAD)),
            (world.pool, "cover", (WAD, WAD)),
            (world.house, "unlock", ()),
            (world.waterfall, "absorbPart", (account, world.perp.address, WAD, WAD, WAD)),
            (world.perp, "applyParameters", (parameters(),)),
        )
        contract, function, args = doors[what]
        try:
            contract.send(function, *args, sender=account)
        except Revert:
            return
        raise Broken("doors are closed to strangers", f"{function} by {who}")
