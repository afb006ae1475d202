"""Every position and the funding of a perp market in exact arithmetic, from its events, prices and parameters: what
each event says of profit, funding, fees, fills and rewards must be what comes out here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

from venue_ledger import Hold, Told, reason_of
from venue_world import PARAMETERS, VenueWorld

from keeper.units import WAD

DAY = 86_400


@dataclass(frozen=True, slots=True)
class Held:
    """A position: size, entry price, funding per coin at entry; wad."""

    size: int = 0
    entry: int = 0
    funding: int = 0


def wad_floor(value: int) -> int:
    return value // WAD


class Positions:
    """A perp market's books. Flat when it starts."""

    def __init__(self, hold: Hold, world: VenueWorld) -> None:
        self.hold, self.world = hold, world
        self.parameters = dict(zip(PARAMETERS, world.perp.call("parameters"), strict=True))
        self.held: defaultdict[str, Held] = defaultdict(Held)
        self.rate = self.per_coin = 0
        self.accrued_at = world.evm.timestamp
        self.skew = 0
        self._realised: defaultdict[tuple[str, str], int] = defaultdict(int)

    def follow(self, events: Iterable[Told], latest: int) -> None:
        """Book what one receipt says, `latest` being the newest price."""
        events = list(events)
        self._realised.clear()
        fees = {"fee": 0, "insured": 0}
        for by, name, said in events:
            if by != self.world.perp.address:
                continue
            if name == "FundingUpdated":
                self._accrue(said["fundingRatePerDay"], said["fundingPerCoin"], said["price"], latest)
            elif name == "ParametersSet":
                self.parameters = dict(zip(PARAMETERS, _values(said["parameters"]), strict=True))
                cap = self.parameters["fundingRateCap"]
                self.rate = max(-cap, min(cap, self.rate))
            elif name in ("OrderSettled", "PositionClosed"):
                self._fill(said, latest if name == "PositionClosed" else said["index"])
                fees["fee"] += said["fee"]
                fees["insured"] += wad_floor(said["fee"] * self.parameters["insuranceShare"])
                if name == "PositionClosed":
                    self.hold("liquidations close at the newest price", said["index"] == latest, (said, latest))
            elif name == "PositionDeleveraged":
                self._close_part(said["account"], said["sizeDelta"], said["price"], said, latest)
            elif name == "PositionMoved":
                self._close_part(said["from"], -said["size"], said["price"], said, latest)
                self._realise(said["to"], said["price"])
                self._open(said["to"], said["size"], said["price"])
        self._payments([event for event in events if event.name == "CashMoved"], fees)

    def unrealised(self, account: str, price: int) -> Fraction:
        """What a position is worth at a price, funding as of the last accrual."""
        held = self.held[account]
        return Fraction(held.size * (price - held.entry + self.per_coin - held.funding), WAD)

    def exact_fill(self, size: int, index: int) -> Fraction:
        """Index at the mean of the skew before and after."""
        return max(Fraction(0), index * (1 + (self.skew + Fraction(size, 2)) / self.parameters["skewScale"]))

    def gas(self, units: str, index: int) -> int:
        """What the venue pays back for so many units of gas, wad."""
        return wad_floor(self.parameters[units] * min(self.world.evm.base_fee, self.parameters["maxBaseFee"]) * index)

    def liquidation_reward(self, coins: int, index: int) -> int:
        notional = -(-coins * index // WAD)
        return wad_floor(notional * self.parameters["liquidationFee"]) + self.gas("liquidationGas", index)

    # -- one event ----------------------------------------------------------------------------------------------------

    def _fill(self, said: dict[str, int], index: int) -> None:
        account, size = str(said["account"]), said["sizeDelta"]
        fill = self.exact_fill(size, index)
        rounded = ceil(fill) if size > 0 else floor(fill)
        self.hold(
            "I-9 a fill is the skew's price, rounded against the trader", said["fill"] == rounded, (said, rounded)
        )
        self.hold("a fee is maker and taker of its parts", said["fee"] == self._fee(size, said["fill"]), said)
        if "reward" in said:
            self.hold("settling pays back its gas", said["reward"] == self.gas("settlementGas", index), said)
        self._realise(account, said["fill"], said)
        self._open(account, size, said["fill"])

    def _fee(self, size: int, fill: int) -> int:
        """The part that brings the skew towards zero is maker's, the rest taker's."""
        maker = min(abs(size), abs(self.skew)) if size * self.skew < 0 else 0
        parts = maker * self.parameters["makerFee"] + (abs(size) - maker) * self.parameters["takerFee"]
        return ceil(Fraction(parts * fill, WAD * WAD))

    def _realise(self, account: str, price: int, said: dict[str, int] | None = None, part: int | None = None) -> None:
        held = self.held[account]
        size = held.size if part is None else part
        pnl, funded = wad_floor(size * (price - held.entry)), wad_floor(size * (self.per_coin - held.funding))
        if said is not None:
            self.hold("I-2 profit is size times the move", said["pnl"] == pnl, (said, pnl))
            self.hold("I-8 funding is size times funding per coin", said["funding"] == funded, (said, funded))
        self._realised[account, "perp pnl"] += pnl
        self._realised[account, "funding"] += funded

    def _open(self, account: str, change: int, price: int) -> None:
        size = self.held[account].size + change
        self.held[account] = Held(size, price, self.per_coin) if size else Held()
        self.skew += change

    def _close_part(self, account: str, change: int, price: int, said: dict[str, int], latest: int) -> None:
        """At index, without impact or fee; what is left keeps its entry."""
        self.hold("positions move and are deleveraged at the newest price", price == latest, (said, latest))
        held = self.held[account]
        self.hold("what is taken was there", held.size * change < 0 and abs(change) <= abs(held.size), (said, held))
        self._realise(account, price, said, -change)
        left = held.size + change
        self.held[account] = Held(left, held.entry, held.funding) if left else Held()
        self.skew += change

    def _payments(self, moves: Iterable[Told], fees: dict[str, int]) -> None:
        """What was realised was paid by or to the pool, and fees were shared."""
        pool, fund = self.world.pool.address, self.world.fund.address
        paid = {"fee": 0, "insured": 0}
        for event in moves:
            reason, amount = reason_of(event), event.said["amount"]
            if reason in ("perp pnl", "funding"):
                inward = event.said["from"] == pool
                trader = event.said["to" if inward else "from"]
                self._realised[trader, reason] -= amount if inward else -amount
            elif reason == "fee":
                paid["fee"] += amount
                paid["insured"] += amount if event.said["to"] == fund else 0
        wrong = {key: gap for key, gap in self._realised.items() if gap and key[0] != pool}
        self.hold("I-4, I-8 the pool pays what traders win", not wrong, wrong)
        self.hold("fees go to the pool and the fund", paid == fees, (paid, fees))

    # -- funding ------------------------------------------------------------------------------------------------------

    def _accrue(self, rate: int, per_coin: int, price: int, latest: int) -> None:
        """The rate runs towards the skew and stops at its cap; everybody is charged its area at the newest price."""
        self.hold("I-8 funding accrues at the newest price", price == latest, (price, latest))
        days = Fraction(self.world.evm.timestamp - self.accrued_at, DAY)
        end, area = self._path(days)
        wei = self.parameters["maxFundingVelocity"] // WAD + 2  # of velocity, from one of the skew's proportion
        self.hold("I-8 the funding rate follows the skew", abs(rate - end) <= 2 + wei * days, (rate, float(end)))
        exact = self.per_coin - area * price / WAD
        dust = (price // WAD + 1) * (4 + wei * (days + 1) ** 2)
        self.hold("I-8 funding is the area under its rate", abs(per_coin - exact) <= dust, (per_coin, float(exact)))
        self.rate, self.per_coin, self.accrued_at = rate, per_coin, self.world.evm.timestamp

    def _path(self, days: Fraction) -> tuple[Fraction, Fraction]:
        """The rate after so many days, and the area under it on the way."""
        p = self.parameters
        cap = p["fundingRateCap"]
        flat = abs(self.skew) * WAD // p["skewScale"] < p["fundingDeadBand"]
        lean = max(Fraction(-1), min(Fraction(1), Fraction(self.skew, p["skewScale"])))
        velocity = Fraction(0) if flat else lean * p["maxFundingVelocity"]
        free = self.rate + velocity * days
        end = max(Fraction(-cap), min(Fraction(cap), free))
        climbing = days if end == free else (end - self.rate) / velocity
        return end, (self.rate + end) / 2 * climbing + end * (days - climbing)


def _values(parameters: object) -> list[int]:
    return list(parameters.values() if isinstance(parameters, dict) else parameters)  # type: ignore[call-overload]
