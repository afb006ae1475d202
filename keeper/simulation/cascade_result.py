"""What a run of the liquidation laboratory measures: a stopwatch while it goes on, and the accounts at its end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import numpy as np

from keeper.risk.liquidation import Seen, is_due
from keeper.simulation.cascade_world import VENUE, CascadeWorld, Holdings
from keeper.simulation.inprocess import Ledger
from keeper.simulation.population import Style
from keeper.state.accounts import Sight
from keeper.units import SECONDS_PER_HOUR, WAD

_Key = tuple[str, str]  # house, account
_REWARDS: Final = ("liquidation reward", "keeper reward")


@dataclass(frozen=True, slots=True)
class Delay:
    """Seconds from the first block in which an account was below maintenance margin to the first in which it no longer
    was: closed, reduced far enough, or saved by the price. Over ``times`` such spells of ``accounts`` accounts."""

    accounts: int
    times: int
    mean: float
    p95: float
    most: float

    @classmethod
    def of(cls, spells: Sequence[tuple[_Key, int]]) -> Delay:
        """Statistics of (account, seconds)."""
        seconds = np.array([each[1] for each in spells] or [0])
        accounts = len({each[0] for each in spells})
        return cls(
            accounts, len(spells), float(seconds.mean()), float(np.percentile(seconds, 95)), float(seconds.max())
        )


@dataclass(frozen=True, slots=True)
class CascadeResult:
    """What one venue went through. USD; leverage is notional over what a trader brought; delays in seconds.

    ``perps`` are delays of accounts without options, ``options`` of accounts with some; ``unresolved`` accounts are
    below maintenance margin at the end. ``bad_debt`` is all that accounts could not pay, and who paid it:
    ``insurance``, ``adl_haircut``, ``pool``, ``socialised``; ``open_debt`` nobody yet. The keeper's profit is what it
    was paid in ``keeper_rewards``, what bids and what came of them made at index and mid, ``keeper_trading``, less
    ``keeper_gas``.
    """

    margin: str
    liquidation: str
    traders: int
    leverage: float
    writer_leverage: float
    accounts: int
    breached: int
    perps: Delay
    options: Delay
    unresolved: int
    bad_debt: float
    insurance: float
    adl_notional: float
    adl_haircut: float
    pool: float
    socialised: float
    open_debt: float
    pool_change: float
    keeper_profit: float
    keeper_rewards: float
    keeper_trading: float
    keeper_gas: float
    transactions: dict[str, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For printing."""
        return asdict(self)


class Stopwatch:
    """When each account fell below maintenance margin, and when it no longer was."""

    def __init__(self) -> None:
        self._seen: dict[_Key, Seen] = {}
        self._since: dict[_Key, tuple[int, bool]] = {}  # with options?
        self.spells: dict[bool, list[tuple[_Key, int]]] = {False: [], True: []}

    def has_spell_since(self, time: int) -> bool:
        """Whether anybody is below maintenance margin who was not before ``time``."""
        return any(since >= time for since, _ in self._since.values())

    @property
    def breached(self) -> int:
        """How many accounts ever were."""
        return len({key for spells in self.spells.values() for key, _ in spells} | set(self._since))

    @property
    def unresolved(self) -> int:
        """How many still are."""
        return len(self._since)

    def must_look(self, house: str, account: str, price: float, now: int) -> bool:
        """Whether an account is in breach, or may be."""
        key = (house, account)
        seen = self._seen.get(key)
        if seen is None or key in self._since:
            return True
        return is_due(seen, price, now, VENUE.funding_rate_cap, SECONDS_PER_HOUR)

    def forget(self, house: str, accounts: Iterable[str]) -> None:
        """These accounts have changed."""
        for account in accounts:
            self._seen.pop((house, account), None)

    def note(self, house: str, sight: Sight) -> None:
        """Start and stop what this sight says."""
        now = sight.house.timestamp
        for view in sight.accounts:
            key = (house, view.address)
            self._seen[key] = Seen(view, sight.house.price, now)
            if view.is_liquidatable:
                self._since.setdefault(key, (now, view.option_units > 0.0))
            elif key in self._since:
                since, has_options = self._since.pop(key)
                self.spells[has_options].append((key, now - since))


def result_of(world: CascadeWorld, ledger: Ledger, stopwatch: Stopwatch, before: Holdings) -> CascadeResult:
    """Everything that the table shows."""
    after = world.holdings()
    recorded = _sum(each.told["amount"] for each in ledger.events("BadDebtRecorded"))
    direct = _moved(ledger, "insurance")  # an auction's option part: paid before it was ever recorded
    adl = [each.told for each in ledger.events("Deleveraged")]
    rewards = sum(_moved(ledger, reason, world.keeper) for reason in _REWARDS)
    earned = after.keeper - before.keeper
    return CascadeResult(
        margin=world.config.margin,
        liquidation=world.config.liquidation,
        traders=len(world.opened),
        leverage=_leverage(world, (Style.LONG, Style.SHORT)),
        writer_leverage=_leverage(world, (Style.WRITER,)),
        accounts=len(world.traders) * len(world.houses),
        breached=stopwatch.breached,
        perps=Delay.of(stopwatch.spells[False]),
        options=Delay.of(stopwatch.spells[True]),
        unresolved=stopwatch.unresolved,
        bad_debt=recorded + direct,
        insurance=_covered(world, ledger, "InsuranceFund") + direct,
        adl_notional=sum(abs(each["sizeDelta"]) * each["price"] for each in adl) / WAD**2,
        adl_haircut=_sum(each["haircut"] for each in adl),
        pool=_covered(world, ledger, "LiquidityPool"),
        socialised=_sum(each.told["amount"] for each in ledger.events("BadDebtSocialised")),
        open_debt=world.bad_debt() / WAD,
        pool_change=after.pool - before.pool,
        keeper_profit=earned - ledger.gas,
        keeper_rewards=rewards,
        keeper_trading=earned - rewards,
        keeper_gas=ledger.gas,
        transactions=ledger.sent,
        refused=ledger.refused,
    )


def _sum(amounts: Iterable[int]) -> float:
    return sum(amounts) / WAD


def _moved(ledger: Ledger, reason: str, to: str | None = None) -> float:
    """Cash moved for a reason."""
    label = reason.encode().ljust(32, b"\0")
    moves = (each.told for each in ledger.events("CashMoved"))
    return _sum(each["amount"] for each in moves if each["reason"] == label and to in (None, each["to"]))


def _covered(world: CascadeWorld, ledger: Ledger, part: str) -> float:
    """What the houses' funds or pools have paid of recorded bad debt."""
    payers = {address for name, address in world.deployment.contracts.items() if name.split("/")[-1] == part}
    return _sum(each.told["amount"] for each in ledger.events("BadDebtCovered") if each.told["payer"] in payers)


def _leverage(world: CascadeWorld, styles: tuple[Style, ...]) -> float:
    """Mean leverage of the traders of some styles who could open anything."""
    found = [world.opened[each.name] for each in world.traders if each.style in styles and each.name in world.opened]
    return float(np.mean(found)) if found else 0.0
