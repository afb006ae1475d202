"""The laws of a venue whose accounts hold options as well as perps: books of every series from the log, pots, and what
an auction of options may cost whom."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from option_world import OptionWorld
from venue_laws import Look
from venue_ledger import reason_of, told
from venue_verdicts import ROUNDING, Sale, Verdicts

from keeper.chain.contract import Contract, Receipt
from keeper.units import WAD, to_wad

WINDOW = 1_800


class MixedLaws(Verdicts):
    """Judges a venue with an option market. `series` maps each listed series to (expiry, strike, is call)."""

    world: OptionWorld

    def __init__(self, world: OptionWorld, roles: Sequence[str], engine: str) -> None:
        super().__init__(world, roles, engine)
        self.options: defaultdict[tuple[str, int], int] = defaultdict(int)  # positions by account and series
        self.series: dict[int, tuple[int, int, bool]] = {}
        self.settled = 0
        self._moved = False

    def products(self) -> list[Contract]:
        return [self.world.market]

    def values(self, look: Look, role: str) -> int:
        """With options at mid, longs too; of now, so `look` must be."""
        mid = self.world.market.call("greeksOf", self.world.account(role), look.price)[0]
        return super().values(look, role) + int(mid)

    def settlement_due(self, role: str) -> bool:
        return bool(self.world.market.call("surfaceOf", self.world.account(role))[1])

    def is_flat(self, role: str) -> bool:
        return super().is_flat(role) and self.is_perp_only(role)

    def is_perp_only(self, role: str) -> bool:
        return bool(self.world.market.call("isFlat", self.world.account(role)))

    def must_take(self, role: str, size: int) -> bool:
        """A perp that hedges options is not reduced where that makes the whole liquidatable."""
        alone = self.world.margin_kind == "IsolatedMargin" or self.is_perp_only(role)
        return alone and super().must_take(role, size)

    # -- books --------------------------------------------------------------------------------------------------------

    def note(self, receipt: Receipt) -> None:
        super().note(receipt)
        for by, name, said in told(receipt):
            if by != self.world.market.address:
                continue
            if name == "Traded":
                self._change(said["taker"], said["seriesId"], said["size"])
                self._change(said["maker"], said["seriesId"], -said["size"])
                self.hold("nobody trades an option better than at mid", said["premium"] >= said["mid"], said)
            elif name == "SeriesSettled":
                self._change(said["account"], said["seriesId"], -said["size"])
                self._judge_settled(said)
            elif name == "TakenOver":
                self._take_over(said["from"], said["to"], said["fraction"])

    def _change(self, account: str, series: int, size: int) -> None:
        self.options[account, series] += size
        self._moved = True

    def _take_over(self, seller: str, buyer: str, fraction: int) -> None:
        """The same fraction of each position, rounded toward zero."""
        for (account, series), size in list(self.options.items()):
            if account == seller:
                part = abs(size) * fraction // WAD * (1 if size > 0 else -1)
                self._change(seller, series, -part)
                self._change(buyer, series, part)

    def _judge_settled(self, said: Mapping[str, Any]) -> None:
        """A long receives its payoff at most, a short pays its own at most."""
        expiry, strike, is_call = self.series[said["seriesId"]]
        price = self.world.market.call("settlementPrice", expiry)
        payoff = Fraction(max(price - strike if is_call else strike - price, 0), WAD)
        most = said["size"] * payoff
        fits = said["amount"] * most >= 0 and abs(said["amount"]) <= abs(most) + 1
        self.hold("an option settles for its payoff at most", fits, (said, float(most)))
        self.settled += 1

    def check(self) -> None:
        super().check()
        for part in (self.world.auction, self.world.engine):
            cash = self.world.cash(part.address) if part is not None else 0
            self.hold("engines keep nothing", cash == 0, (part, cash))
        pots = self.now.accounts[self.world.market.address].cash
        self.hold("an option market owes nobody", pots >= 0, pots)
        if self._moved:
            self._moved = False
            self._positions_agree()

    def _positions_agree(self) -> None:
        """V-6: what accounts hold is what was traded, and every series sums to zero until it is settled."""
        market, shorts = self.world.market, defaultdict(int)
        for (account, series), size in list(self.options.items()):
            held = market.call("positionOf", account, series)
            self.hold("V-6 options are what was traded", held == size, (account, series, held, size))
            shorts[self.series[series][0]] += max(-size, 0)
            if not size:
                del self.options[account, series]
        for expiry, short in shorts.items():
            self.hold("V-6 shorts are counted", market.call("openShorts", expiry) == short, (expiry, short))
        for series, (expiry, *_) in self.series.items():
            if market.call("settlementPrice", expiry) == 0:
                total = sum(size for (_, each), size in self.options.items() if each == series)
                self.hold("V-6 a series sums to zero", total == 0, (series, total))

    # -- actions ------------------------------------------------------------------------------------------------------

    def judge_bid(self, receipt: Receipt, sale: Sale) -> None:
        super().judge_bid(receipt, sale)
        (bid,) = receipt.events("AuctionBid")
        moves = [event for event in told(receipt) if event.name == "CashMoved"]
        insured = sum(event.said["amount"] for event in moves if reason_of(event) == "insurance")
        self.hold("insurance for options stays within its cap", insured <= to_wad(self.world.max_per_event), insured)
        if not sale.seller.size and not sale.seller.pending:
            self.hold("bad debt of options reaches neither the pool nor traders", not self.ledger.claims, bid)
        after = self.values(self.look(), sale.account)
        if not sale.has_order:
            self.hold("nobody gains by being liquidated", after <= max(sale.value, 0) + ROUNDING, (sale, after))

    def judge_fix(self, expiry: int, price: int) -> None:
        """Options settle at the time-weighted average of the last half hour."""
        start, total = expiry - WINDOW, Fraction(0)
        for place, (time, value) in enumerate(self.prices):
            until = self.prices[place + 1][0] if place + 1 < len(self.prices) else expiry
            total += value * max(min(until, expiry) - max(time, start), 0)
        near = abs(total / WINDOW - price) <= 1
        self.hold("options settle at the average of the last half hour", near, (price, total))

    def judge_expired(self, expiry: int) -> None:
        """Nobody holds a settled series any more, and its pot is paid out."""
        left = {key: size for key, size in self.options.items() if size and self.series[key[1]][0] == expiry}
        self.hold("an expiry can be settled to the end", not left, left)
        dust = self.look().accounts[self.world.market.address].cash
        self.hold("pots are paid out", 0 <= dust <= (self.settled + 1) * 10**5, (dust, self.settled))
