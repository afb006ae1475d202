"""Options, vaults, mandates and lens on top of the venue's world, on the in-process EVM."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from surface_world import UNBOUNDED
from venue_world import BUY_AT_ANY_PRICE, SELL_AT_ANY_PRICE, VenueWorld

from keeper.chain import accounts, reports
from keeper.chain.contract import Contract, Receipt
from keeper.market.surface import slice_for
from keeper.units import SECONDS_PER_DAY, SECONDS_PER_YEAR, WAD, to_usdc, to_wad

WEEK = 7 * SECONDS_PER_DAY
VOL = 0.8
VOL_HEARTBEAT = 3_600
CLOSING_SPREAD = 0.02
HALF_SPREAD = 0.02
MIN_SPREAD = 0.0005
SHARE_LOCK = 3_600
ANY_PREMIUM = 2**255 - 1
ZERO_ADDRESS = "0x" + "00" * 20

QUOTING: dict[str, Any] = {
    "active": True,
    "halfSpread": to_wad(HALF_SPREAD),
    "vegaSkew": to_wad(1e-7),
    "maxVega": to_wad(1_000_000),
    "maxShort": to_wad(100_000),
    "minSpread": to_wad(MIN_SPREAD),
    "marginBuffer": to_wad(1.5),
}
LIMITS: dict[str, int] = {
    "deltaTolerance": to_wad(0.5),
    "maxOrderSize": to_wad(200),
    "minOrderSize": to_wad(0.01),
    "maxSlippage": to_wad(0.02),
    "marginBuffer": to_wad(1.2),
    "budgetPerDay": to_wad(1_000),
    "cooldown": 0,
}


@dataclass
class OptionWorld(VenueWorld):
    """A venue, an option market, a surface, and (after `open_vaults`) a scalper and an underwriter vault."""

    vol: float = VOL
    expiries: list[int] = field(default_factory=list)

    def products(self) -> list[str]:
        admin = self.admin
        self.surface = self.evm.deploy("VolatilityFeed", admin, VOL_HEARTBEAT, 1, ZERO_ADDRESS, UNBOUNDED)
        self.surface.send("grantRole", self.surface.call("REPORTER"), accounts.address_of("reporter"), sender=admin)
        self.market = self.evm.deploy(
            "OptionMarket", self.house.address, self.surface.address, to_wad(CLOSING_SPREAD), admin
        )
        self.market.send("grantRole", self.market.call("LISTER"), admin, sender=admin)
        return [self.perp.address, self.market.address]

    def options(self) -> str:
        return self.market.address

    def freeze(self) -> None:
        """Takes the clearinghouse's lock and keeps it: a transaction stopped half-way."""
        self.module.send("run", self.house.address, self.house.encode("lock"))

    # -- surface and series -------------------------------------------------------------------------------------------

    def report(self, vol: float | None = None) -> None:
        """Fresh slices for all live expiries, in an order that keeps them admissible, and a second to trade in."""
        rising = vol is not None and vol > self.vol
        self.vol = self.vol if vol is None else vol
        now = self.evm.timestamp
        for expiry in sorted((each for each in self.expiries if each > now), reverse=rising):
            theta, rho, psi = slice_for(self.vol, (expiry - now) / SECONDS_PER_YEAR)
            report = reports.Report.of(expiry, now, theta, rho, psi)
            signed = reports.sign(report, accounts.key_of("reporter"), self.evm.chain_id, self.surface.address)
            self.surface.send("submit", *reports.submission([signed]))
        self.evm.advance(1)

    def list_series(self, strike: float, is_call: bool, expiry: int | None = None) -> int:
        expiry = self.evm.timestamp + WEEK if expiry is None else expiry
        if expiry not in self.expiries:
            self.expiries.append(expiry)
            self.evm.advance(1)
            self.report()
        self.market.send("list", expiry, to_wad(strike), is_call, sender=self.admin)
        return int(self.market.call("seriesId", expiry, to_wad(strike), is_call))

    def later(self, seconds: int, price: float | None = None, vol: float | None = None) -> None:
        """Time passes, then price and surface are reported."""
        self.move(self.price() / WAD if price is None else price, seconds)
        self.report(vol)

    def slice_of(self, expiry: int) -> tuple[int, int, int]:
        theta, rho_psi, psi, _ = self.surface.call("slice", expiry)
        return int(theta), int(rho_psi), int(psi)

    # -- trading ------------------------------------------------------------------------------------------------------

    def make(self, role: str, **changes: Any) -> Receipt:
        """Lets an account quote."""
        return self.market.send("setQuoting", tuple((QUOTING | changes).values()), sender=self.account(role))

    def quote(self, maker: str, series: int, size: float) -> tuple[int, int, int]:
        premium, mid, vol = self.market.call("quote", self.account(maker), series, to_wad(size))
        return int(premium), int(mid), int(vol)

    def buy(self, taker: str, maker: str, series: int, size: float, limit: int = ANY_PREMIUM) -> Receipt:
        """A trade of the taker; a negative size sells."""
        args = (self.account(maker), series, to_wad(size), limit)
        return self.market.send("trade", *args, sender=self.account(taker))

    def position(self, role: str, series: int) -> int:
        return int(self.market.call("positionOf", self.account(role), series))

    def fix(self, expiry: int) -> int:
        rounds = [self.feed.call("roundAt", time) for time in (expiry - 1_800, expiry)]
        return int(self.market.send("fix", expiry, *rounds).result)

    def settle_series(self, role: str, series: int) -> int:
        return int(self.market.send("settle", self.account(role), series).result)

    def expire(self, expiry: int, price: float) -> int:
        """One price all through the last half hour; returns the settlement price."""
        self.move(price, expiry - 1_800 - self.evm.timestamp)
        self.move(price, 1_801)
        return self.fix(expiry)

    # -- vaults -------------------------------------------------------------------------------------------------------

    def open_vaults(self, budget: float = 0.1, max_edge: float = 0.1) -> None:
        house, market, venues = self.house.address, self.market.address, [self.perp.address]
        admin = self.admin
        self.underwriter = self.evm.deploy("UnderwriterVault", house, market, venues, "Underwriter", "UW", admin)
        self.scalper = self.evm.deploy(
            "ScalperVault", house, market, venues, "Scalper", "SC", admin,
            self.underwriter.address, to_wad(budget), SECONDS_PER_DAY, to_wad(max_edge),
        )  # fmt: skip
        self.scalper.send("grantRole", self.scalper.call("ROLLER"), self.account("roller"), sender=admin)
        self.underwriter.send("setQuoting", tuple(QUOTING.values()), sender=admin)
        self.mandates = {vault.address: self._mandate(vault) for vault in (self.underwriter, self.scalper)}
        self.lens = self.evm.deploy("VaultLens")

    def _mandate(self, vault: Contract) -> Contract:
        mandate = self.evm.deploy("HedgeMandate", vault.address, self.admin, tuple(LIMITS.values()))
        mandate.send("grantRole", mandate.call("HEDGER"), self.account("hedger"), sender=self.admin)
        vault.send("setMandate", mandate.address, sender=self.admin)
        return mandate

    def invest(self, vault: Contract, role: str, dollars: float) -> int:
        """Deposits into a vault; returns the shares."""
        account = self.account(role)
        before = int(vault.call("balanceOf", account))
        vault.send("deposit", self._mint(account, vault, dollars), account, sender=account)
        return int(vault.call("balanceOf", account)) - before

    def unlock_shares(self) -> None:
        """Waits until all shares may leave."""
        self.move(self.price() / WAD, SHARE_LOCK)
        self.report()

    def redeem(self, vault: Contract, role: str, shares: int) -> int:
        account = self.account(role)
        return int(vault.send("redeem", shares, account, account, sender=account).result)

    def roll(self, strike: float, size: float, expiry: int, max_premium: float = 1e9) -> Receipt:
        args = (expiry, to_wad(strike), to_wad(size), to_wad(max_premium))
        return self.scalper.send("roll", *args, sender=self.account("roller"))

    def hedge(self, vault: Contract, size: float, limit: int | None = None, role: str = "hedger") -> Receipt:
        """Sends a hedge through the vault's mandate, by default at the loosest price that it allows."""
        if limit is None:
            limit = self.price() * (102 if size > 0 else 98) // 100
        args = (self.perp.address, to_wad(size), limit, self.evm.timestamp + 60)
        return self.mandates[vault.address].send("hedge", *args, sender=self.account(role))

    def settle_hedge(self, vault: Contract) -> Receipt:
        hint = self.move(self.price() / WAD, 2)
        return self.settle(vault.address, hint)

    def net_delta(self, vault: Contract) -> float:
        return float(vault.call("netDelta", self.price())[0] / WAD)

    def usdc(self, role: str) -> int:
        return int(self.token.call("balanceOf", self.account(role)))


def straddle_world(size: float = 40.0, evm: Any = None) -> OptionWorld:
    """Both vaults funded, and the scalper long a one-week straddle at 2000 against the underwriter."""
    world = OptionWorld() if evm is None else OptionWorld(evm=evm)
    world.open_vaults()
    world.invest(world.scalper, "depositor", 1_000_000)
    world.invest(world.underwriter, "depositor", 5_000_000)
    world.unlock_shares()
    expiry = world.evm.timestamp + WEEK
    for is_call in (True, False):
        world.list_series(2_000.0, is_call, expiry)
    if size:
        world.roll(2_000.0, size, expiry)
    return world


__all__ = ["ANY_PREMIUM", "BUY_AT_ANY_PRICE", "SELL_AT_ANY_PRICE", "OptionWorld", "straddle_world", "to_usdc"]
