"""Everybody's cash as the log alone tells it: a second set of books, with which the clearinghouse's must agree."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from keeper.chain.abi import decode_event
from keeper.chain.contract import Receipt

Hold = Callable[[str, bool, object], None]
"""Raises unless a law holds: its name, whether it does, and the numbers."""


class Told(NamedTuple):
    """One event: who told it, its name, and what it says."""

    by: str
    name: str
    said: Mapping[str, Any]


def told(receipt: Receipt) -> list[Told]:
    """The events of a receipt in order."""
    decoded = ((log.address, decode_event(log.topics, log.data)) for log in receipt.logs)
    return [Told(by, *event) for by, event in decoded if event is not None]


def reason_of(event: Told) -> str:
    """Why cash moved."""
    return bytes(event.said["reason"]).rstrip(b"\0").decode()


@dataclass(frozen=True, slots=True)
class Claim:
    """Bad debt as it was recorded: whose, how much (less what had been given for it), what the insurance fund had then
    and paid."""

    account: str
    amount: int
    fund_had: int
    insured: int


class Ledger:
    """Cash of every account, wad, from the events of the clearinghouse."""

    def __init__(self, hold: Hold, cash: Mapping[str, int], house: str, fund: str, spared: Collection[str]) -> None:
        self.hold, self.cash, self.house, self.fund, self.spared = hold, dict(cash), house, fund, spared
        self.haircuts = 0
        self.index = 10**27  # what it says of itself, for how much it rounds
        self.claims: list[Claim] = []  # of the last receipt

    def follow(self, events: Iterable[Told]) -> None:
        """Book what one receipt says."""
        self.claims = []
        for by, name, said in events:
            if by != self.house:
                continue
            if name == "Deposited":
                self._add(said["account"], said["amount"] * 10**12)
            elif name == "Withdrawn":
                self._add(said["account"], -said["amount"] * 10**12)
            elif name == "CashMoved":
                self._move(said["from"], said["to"], said["amount"])
            elif name == "BadDebtRecorded":
                self._move(self.house, said["account"], said["amount"])
                owed = min(said["amount"], max(-self.cash[self.house], 0))
                self.claims.append(Claim(said["account"], owed, max(self.cash[self.fund], 0), 0))
            elif name == "BadDebtCovered":
                self._cover(said["payer"], said["amount"])
            elif name == "BadDebtSocialised":
                self._haircut(said["amount"])
                self.index = said["haircutIndex"]

    def spendable(self) -> int:
        """Positive cash that a haircut reaches."""
        return sum(cash for account, cash in self.cash.items() if cash > 0 and account not in self.spared)

    def agree(self, account: str, cash: int) -> None:
        """The clearinghouse says the same of one account, up to what haircuts have rounded."""
        own = self.cash.get(account, 0)
        dust = 0 if account in self.spared else self.dust(max(own, 0))
        self.hold("I-4 cash is what the log adds up to", abs(own - cash) <= dust, (account, own, cash, dust))

    def dust(self, cash: int) -> int:
        """What haircuts may have rounded so much cash by: a wei each, and a unit of the index."""
        return 2 * self.haircuts * (1 + cash // self.index)

    def _add(self, account: str, change: int) -> None:
        self.cash[account] = self.cash.get(account, 0) + change

    def _move(self, payer: str, receiver: str, amount: int) -> None:
        self._add(payer, -amount)
        self._add(receiver, amount)

    def _cover(self, payer: str, amount: int) -> None:
        self.hold("who pays for bad debt has the cash", 0 < amount <= self.cash[payer], (payer, amount))
        self._move(payer, self.house, amount)
        if payer == self.fund and self.claims:
            last = self.claims[-1]
            self.claims[-1] = Claim(last.account, last.amount, last.fund_had, amount)

    def _haircut(self, amount: int) -> None:
        """Everybody's positive cash shrinks by the same fraction, and by no more than pays for the debt."""
        present = self.spendable()
        owed = -self.cash[self.house]
        self.hold("a haircut takes what is owed at most", 0 < amount <= min(present, owed), (amount, present, owed))
        for account, cash in self.cash.items():
            if cash > 0 and account not in self.spared:
                self.cash[account] = cash * (present - amount) // present
        self._add(self.house, amount)
        self.haircuts += 1
