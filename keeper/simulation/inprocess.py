"""The real roles on the in-process EVM: adapters stand behind their ports, and no journal, signature or node.

What a role submits is carried out in the next block, in the order in which it came. Gas cannot be measured here, so
each call is charged what it uses on Anvil.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from keeper.chain.abi import Revert, decode_event
from keeper.chain.accounts_reader import TOUCHED, AccountsReader, Changes
from keeper.chain.contract import Contract, Receipt
from keeper.chain.evm import Evm
from keeper.state.accounts import AccountView, Probe, Sight
from keeper.state.decision import Call, Order, OrderResult, OrderStatus
from keeper.state.ports import Head
from keeper.units import SECONDS_PER_DAY, WAD

GAS: Final[Mapping[Call, int]] = {
    Call.LIQUIDATE: 210_000,
    Call.BID: 500_000,
    Call.TRADE: 150_000,
    Call.SETTLE: 230_000,
    Call.ADL: 300_000,
    Call.SETTLE_DEFICIT: 150_000,
    Call.REVIEW: 120_000,
}
"""Gas units of the calls that a liquidator makes: whole transactions on Anvil, rounded up to the next ten thousand. Of
bids and deficits there are no receipts to go by: what they use here, and the cold storage of a transaction."""
OPTION_TRADE: Final = 350_000
"""Gas units of an option trade with a maker."""

MEMORY: Final = 600
"""Seconds after which what is remembered of an account with options is read again, however far it is from anything."""
REACH: Final = 1.5
"""How fast equity less maintenance margin can fall with the index, per option and per coin held, at most. For a
scenario that moves the index to (1 + s) of itself, equity less its loss is what the account is worth there: a delta of
at most 1 (1.1 with the skew) times 1.15; a tail of 40% has a weight of 0.4, so 0.6 x 1.1 + 0.4 x 1.1 x 1.4; reserves
are 2% and less. Rules ask less: 1.1 and 9%."""


@dataclass(frozen=True, slots=True)
class Happening:
    """A decoded event: which contract, which event, what it told."""

    contract: str
    name: str
    told: dict[str, Any]

    @property
    def accounts(self) -> set[str]:
        """Accounts that are other than before."""
        return {str(self.told[field_]) for field_ in TOUCHED.get(self.name, ())}


@dataclass
class Ledger:
    """Everything that was carried out for one keeper, and what it paid for gas, USD at the price of the moment."""

    happenings: list[Happening] = field(default_factory=list)
    gas: float = 0.0
    sent: dict[str, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)

    def note(self, receipt: Receipt) -> list[Happening]:
        """Keep what a transaction has done; each log is decoded once, here."""
        decoded = ((log.address, decode_event(log.topics, log.data)) for log in receipt.logs)
        new = [Happening(address, *known) for address, known in decoded if known is not None]
        self.happenings.extend(new)
        return new

    def charge(self, call: str, gas: int, base_fee: int, price: float) -> None:
        """One more transaction; ``base_fee`` wei per gas, ``price`` USD per ether."""
        self.sent[call] = self.sent.get(call, 0) + 1
        self.gas += gas * base_fee / WAD * price

    def events(self, name: str) -> Iterator[Happening]:
        """Every event called `name`, in order."""
        return (each for each in self.happenings if each.name == name)


class InProcessExecutor:
    """`Executor` on the in-process EVM. ``sender`` signs everything; `carry_out` is the next block."""

    def __init__(self, evm: Evm, interfaces: Mapping[str, str], sender: str, ledger: Ledger) -> None:
        self._evm, self._interfaces, self._sender, self._ledger = evm, interfaces, sender, ledger
        self._waiting: list[Order] = []

    async def submit(self, order: Order) -> OrderResult:
        """Keep an order for the next block."""
        self._waiting.append(order)
        return OrderResult(order.key, OrderStatus.SENT, "", self._evm.block_number, self._evm.timestamp, 0, 0)

    def in_flight(self, prefix: str) -> tuple[Order, ...]:
        """Orders that wait for the next block."""
        return tuple(order for order in self._waiting if order.key.startswith(prefix))

    @property
    def idle(self) -> bool:
        """Whether nothing waits."""
        return not self._waiting

    def carry_out(self, price: float) -> list[Happening]:
        """Everything that waits, in the present block; what is refused costs gas all the same. ``price`` of ether."""
        waiting, self._waiting = self._waiting, []
        ledger, happenings = self._ledger, []
        for order in waiting:
            ledger.charge(order.call.value, GAS[order.call], self._evm.base_fee, price)
            try:
                target = Contract.at(self._evm, self._interfaces[order.to], order.to)
                receipt = target.send(order.function, *order.arguments, sender=self._sender)
            except Revert as refusal:
                ledger.refused[refusal.name] = ledger.refused.get(refusal.name, 0) + 1
                continue
            happenings.extend(ledger.note(receipt))
        return happenings


class InProcessWatch:
    """Which accounts there are and which of them were touched, as the receipts of one process tell."""

    def __init__(self, known: Iterable[str]) -> None:
        self.known: dict[str, None] = dict.fromkeys(known)
        self._touched: set[str] = set()

    def touch(self, accounts: Iterable[str]) -> None:
        """Accounts that a transaction has changed."""
        self._touched.update(account for account in accounts if account in self.known)

    def changes(self, head: Head) -> Changes:
        """What was touched since the last look."""
        touched, self._touched = self._touched, set()
        return Changes(frozenset(touched))


@dataclass(frozen=True, slots=True)
class _Remembered:
    view: AccountView
    price: float
    time: int


class SharedSight:
    """One house's accounts, each read once a block whoever looks.

    An account with options changes with the index, the surface, and time. One to which nothing has happened since it
    was read, and which the index cannot have brought near its maintenance margin, is shown as it was then: pricing
    options on chain for everybody at every block is what takes the time. Whoever looks at everybody ranks them, and
    sees them now.
    """

    def __init__(self, reader: AccountsReader, watch: InProcessWatch, never_remembered: str) -> None:
        self._reader, self.watch, self._always = reader, watch, never_remembered
        self._memory: dict[str, _Remembered] = {}
        self._fresh: dict[str, AccountView] = {}
        self._base: Sight | None = None
        self._price, self._time = 0.0, 0

    def turn(self, price: float, time: int) -> None:
        """A new block."""
        self._price, self._time = price, time
        self._fresh, self._base = {}, None

    def forget(self, accounts: Iterable[str] | None = None) -> None:
        """Something has happened to these accounts, or to everybody's options."""
        for account in list(self._memory) if accounts is None else accounts:
            self._memory.pop(account, None)

    async def look(self, accounts: Collection[str]) -> Sight:
        """These accounts at this block, in the order given."""
        everybody = len(accounts) >= len(self.watch.known)
        shown = {} if everybody else {each: far.view for each in accounts if (far := self._far(each)) is not None}
        missing = [each for each in accounts if each not in self._fresh and each not in shown]
        if missing or self._base is None:
            self._base = await self._reader.look(missing)
            for view in self._base.accounts:
                self._fresh[view.address] = view
                self._memory[view.address] = _Remembered(view, self._price, self._time)
        views = tuple(self._fresh.get(each) or shown[each] for each in accounts)
        return Sight(self._base.house, self._base.markets, views)

    def _far(self, account: str) -> _Remembered | None:
        """What is remembered of an account with options, where that is good enough."""
        known = self._memory.get(account)
        if known is None or account == self._always or self._time - known.time >= MEMORY:
            return None
        view = known.view
        if not view.readable or view.option_units == 0.0 or view.auction is not None:
            return None
        if any(position.pending for position in view.positions):
            return None
        reach = REACH * (view.option_units + view.perp_units)
        funding = view.perp_units * known.price * (self._time - known.time) / SECONDS_PER_DAY  # 100% a day and more
        worst = reach * abs(self._price - known.price) + funding
        return known if view.equity - view.maintenance_margin > worst else None

    async def probe(self, to: str, function: str, arguments: Sequence[Any], sender: str) -> Probe:
        """What a transaction would do now."""
        return await self._reader.probe(to, function, arguments, sender)

    async def gas(self, to: str, function: str, arguments: Sequence[Any], sender: str) -> int:
        """Gas that it would use; 0, for the in-process EVM cannot say."""
        return await self._reader.gas(to, function, arguments, sender)
