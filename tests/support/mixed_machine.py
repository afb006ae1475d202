"""The perp venue of `venue_machine` with an option market beside it: accounts hold options and perps, the surface
jumps, series expire and are settled, and whoever holds options is liquidated by auction."""

from __future__ import annotations

from dataclasses import dataclass

from mixed_laws import MixedLaws
from option_world import ANY_PREMIUM, OptionWorld
from venue_choice import A_KEEPER, DRAWS, WEIGHTS, Draws, chooser, one, real
from venue_machine import TRADERS, VenueMachine, settings_of

from keeper.chain.abi import Revert
from keeper.units import SECONDS_PER_DAY, WAD, to_wad

MAKER = "maker"
HOLDERS = (*TRADERS, MAKER)
NO_TRADE = {"InsufficientMargin", "MakerMargin", "MakerLimit", "MakerShortLimit", "SizeTooSmall", "SurfaceJustMoved"}
NO_TRADE |= {"TradingClosed", "SurfaceNotTradable", "PriceTooOld", "SeriesExpired", "OrderDecided", "TooManySeries"}
NO_TRADE |= {"ClosingOnly"}


@dataclass
class MixedMachine(VenueMachine):
    """Plays actions on a venue with options."""

    laws: MixedLaws = None  # type: ignore[assignment]
    world: OptionWorld = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        super().__post_init__()
        self._deposit(MAKER, 400_000)
        self.world.make(MAKER)
        self._list()

    def build(self) -> OptionWorld:
        funds = {"insurance_cash": 60_000, "max_per_event": 15_000}  # options have no other backstop
        return OptionWorld(**settings_of(self.engine, self.margin) | funds)

    def referee(self) -> MixedLaws:
        return MixedLaws(self.world, self.roles(), self.engine)

    def roles(self) -> tuple[str, ...]:
        return (*super().roles(), MAKER)

    def traders(self) -> tuple[str, ...]:
        return HOLDERS

    def _list(self) -> None:
        """A call and a put at the money and a little out of it, for a day."""
        self.expiry = self.world.evm.timestamp + SECONDS_PER_DAY
        near = max(round(self.world.price() / WAD / 50) * 50, 50)
        self.listed: list[int] = []
        for strike, is_call in ((near, True), (near, False), (near * 1.1, True), (near * 0.9, False)):
            terms = (self.expiry, to_wad(strike), is_call)
            self.listed.append(self.world.list_series(strike, is_call, self.expiry))
            self.laws.series[self.listed[-1]] = terms

    # -- options ------------------------------------------------------------------------------------------------------

    def _option(self, who: str, series: int, size: int) -> None:
        maker = self.world.account(MAKER)
        trade = self._send(self.world.market, "trade", maker, series, size, ANY_PREMIUM, by=who)
        if self._try("option", NO_TRADE, trade):
            self.laws.judge_margin("an option trade", who)

    def do_option(self, who: str, which: int, leverage: float) -> None:
        """Buys or sells options on so many times its equity."""
        size = self._size(who, leverage)
        if size:
            self._option(who, self.listed[which], size)

    def do_close_option(self, who: str, share: float) -> None:
        """Trades back a share of the first position held."""
        held = [(series, self.world.position(who, series)) for series in self.listed]
        for series, size in held:
            if size:
                self._option(who, series, -size if share > 0.8 else -int(size * share))
                return

    def do_report(self, vol: float) -> None:
        """A new surface; volatility may jump."""
        try:
            self.world.report(vol)
        except Revert as revert:
            self._count(f"report: {revert.name}")
        else:
            self._count("report")

    def do_expire(self, first: float, second: float, backwards: int) -> None:
        """The last half hour at a moving price, the fix, and everybody's settlement; then new series."""
        left = self.expiry - 1_800 - self.world.evm.timestamp
        if left > 0:
            self.do_tick(first, left)
        left = self.expiry - self.world.evm.timestamp
        for part in (left // 2, left - left // 2 + 1) if left > 1 else (1 + max(left, 0),):
            self.do_tick(second, part)
        market, feed = self.world.market, self.world.feed
        rounds = [feed.call("roundAt", time) for time in (self.expiry - 1_800, self.expiry)]
        fix = self._send(market, "fix", self.expiry, *rounds, by="keeper")
        done = self._try("fix", {"PriceSilent"}, fix)
        if done is None:
            self.do_tick(0.0, SECONDS_PER_DAY)
            done = fix()
        self.laws.judge_fix(self.expiry, done.result)
        held = [(who, series) for who in (*self.laws.roles, "rescuer") for series in self.listed]
        held = [each for each in held if self.world.position(*each)]
        held = sorted(held[:: -1 if backwards else 1], key=lambda each: self.world.position(*each) > 0)
        for who, series in held:
            settle = self._send(market, "settle", self.world.account(who), series, by="keeper")
            self._try("option settle", {"NothingToSettle"}, settle)
        self.laws.judge_expired(self.expiry)
        self._list()

    def do_finish(self, who: str) -> None:
        """Options may have to wait for their expiry; what only perps need ends at once."""
        if self.laws.is_perp_only(who):
            super().do_finish(who)


A_HOLDER = one(*HOLDERS)
MIXED_DRAWS: dict[str, Draws] = {
    **DRAWS,
    "option": {"who": one(*TRADERS), "which": one(0, 1, 2, 3), "leverage": one(-8, -5, -3, -1, 1, 3, 8)},
    "close_option": {"who": one(*TRADERS), "share": real(0.05, 1.0)},
    "report": {"vol": real(0.3, 2.0)},
    "expire": {"first": one(-0.15, -0.04, 0.0, 0.04, 0.15), "second": one(-0.05, 0.0, 0.05), "backwards": one(0, 1)},
    "liquidate": {"who": A_HOLDER, "by": A_KEEPER},
    "bid": {**DRAWS["bid"], "who": A_HOLDER},
}
MIXED_WEIGHTS = {
    **WEIGHTS, "option": 20, "close_option": 4, "report": 7, "expire": 2.5, "bid": 14, "wait": 1, "exit": 0.4,
}  # fmt: skip

choose_mixed = chooser(MIXED_DRAWS, MIXED_WEIGHTS)
