"""Orders become transactions here, each at most once, whatever crashes in between.

    submit:     key known? -> what became of it.  Else nonce, sign, write, send, write.
    on_receipt: what the chain said, written down.
    reconcile:  at start, every order without an end is looked up by its hash; if the chain has never heard of it, the
                same signed bytes are sent again while they are young, so nothing can happen twice.

A transaction whose answer got lost counts as sent: its bytes may be in the pool. Only the chain says otherwise. One
that the node refused is looked up before it is given up, for a refusal may speak of bytes that have arrived.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Mapping
from typing import Any, Final, Protocol

from keeper.chain.abi import interface_of
from keeper.chain.deployment import Deployment
from keeper.errors import AnswerLost, ChainError, InputError, NodeUnreachable
from keeper.execution.journal import OPEN, Journal, JournaledOrder
from keeper.execution.senders import Receipt, Sender
from keeper.execution.transactions import Fees, Signer, Transaction, sign
from keeper.state.decision import Order, OrderResult, OrderStatus
from keeper.state.ports import Head

log = logging.getLogger(__name__)

RESEND_WITHIN: Final = 120
"""Seconds after its decision in which an order that never reached the chain is sent again; later the world is another
one, and whoever wanted it decides anew. The next order takes its nonce, so the old one can never come after it."""

LOST_RACES: Final = frozenset({
    "NoOrder", "AlreadyFixed", "NothingToSettle", "PriceNotNewer", "ReportTooOld", "OrderInFlight", "OrderPending",
    "NotLiquidatable", "WrongEngine", "NoAuction", "PaysTooMuch", "NothingToDeleverage", "NotRanked", "NotOnItsWay",
})  # fmt: skip
"""Refusals that mean that somebody else was first. They cost gas and are no errors."""

IN_THE_POOL: Final = ("already known", "already imported")
"""How nodes say that they have the same bytes already."""


class Chain(Protocol):
    """What the executor asks a chain about its own transactions; `keeper.execution.lookup` has it for a node."""

    def nonce(self, address: str) -> int:
        """Transactions of the account that are mined."""
        ...

    def receipt(self, tx_hash: str) -> Receipt | None:
        """The receipt, if the transaction is mined."""
        ...

    def knows(self, tx_hash: str) -> bool:
        """Whether the transaction is mined or in the pool."""
        ...

    def reason(self, transaction: Transaction) -> str:
        """Why a mined transaction reverted, as far as can be told."""
        ...


class JournaledExecutor:
    """Implements the port `keeper.state.ports.Executor` over a journal, one signer for each role, and a sender."""

    def __init__(
        self,
        journal: Journal,
        deployment: Deployment,
        signers: Mapping[str, Signer],
        sender: Sender,
        chain: Chain,
        fees: Fees | None = None,
    ) -> None:
        self._journal = journal
        self._signers = signers
        self._sender = sender
        self._chain = chain
        self._chain_id = deployment.chain_id
        self._names = {address.lower(): name for address, name in deployment.interfaces().items()}
        self._fees = fees or Fees()
        self._head = Head(0, 0, 0)
        self._mined: dict[str, int] = {}  # transactions of each account that are on the chain
        self._open: dict[str, JournaledOrder] = {o.transaction.order.key: o for o in journal.orders(*OPEN)}
        self._key_of = {order.transaction.hash: key for key, order in self._open.items()}

    def observe(self, head: Head) -> None:
        """Tell the executor of a new head: its base fee is what fees are made from, its time what is written down."""
        self._head = head

    async def submit(self, order: Order) -> OrderResult:
        """Write the order down and send it, unless its key is known already: then say what became of it."""
        signer = self._signer(order.role)
        known = self._journal.order(order.key)
        if known is not None:
            return known.result
        return await self._send(self._prepare(order, signer))  # nothing else runs between the look and the writing

    def in_flight(self, prefix: str) -> tuple[Order, ...]:
        """Orders whose key starts with ``prefix`` and whose end is not known."""
        return tuple(o.transaction.order for key, o in self._open.items() if key.startswith(prefix))

    def on_receipt(self, tx_hash: str, receipt: Receipt | None) -> OrderResult:
        """Write down what became of a sent transaction; None: it was dropped and can never be mined."""
        journaled = self._open[self._key_of[tx_hash]]
        if receipt is None:
            return self._give_up(journaled, "dropped before it was mined")
        sender, nonce = journaled.transaction.sender, journaled.transaction.nonce
        if sender in self._mined:
            self._mined[sender] = max(self._mined[sender], nonce + 1)
        mined = int(receipt["status"], 16) == 1
        return self._mark(
            journaled,
            OrderStatus.CONFIRMED if mined else OrderStatus.REVERTED,
            receipt,
            "" if mined else self._chain.reason(journaled.transaction),
        )

    async def reconcile(self) -> list[OrderResult]:
        """Find out what became of every order without an end. Orders that the chain has never heard of leave again."""
        self._mined.clear()
        return [await self._look_up(journaled) for journaled in list(self._open.values())]

    async def follow_up(self) -> list[OrderResult]:
        """Ask again about orders that were sent and whose end is not known."""
        sent = [order for order in self._open.values() if order.result.status is OrderStatus.SENT]
        return [await self._look_up(order) for order in sent]

    def _signer(self, role: str) -> Signer:
        if role not in self._signers:
            raise InputError(f"no key for the role {role}: give one with KEEPER_KEY_{role.upper().replace('-', '_')}")
        return self._signers[role]

    def _prepare(self, order: Order, signer: Signer) -> JournaledOrder:
        """Sign the order and write it down."""
        data = interface_of(self._names[order.to.lower()]).function(order.function, len(order.arguments))
        nonce = self._next_nonce(signer.address)
        transaction = sign(
            order, data.encode(order.arguments), signer, nonce, self._chain_id, self._head.base_fee, self._fees
        )
        result = OrderResult(order.key, OrderStatus.INTENDED, transaction.hash, 0, 0, 0, 0)
        self._journal.intend(transaction, self._head.timestamp)
        journaled = JournaledOrder(transaction, self._head.timestamp, result)
        self._open[order.key] = journaled
        self._key_of[transaction.hash] = order.key
        return journaled

    async def _send(self, journaled: JournaledOrder) -> OrderResult:
        transaction = journaled.transaction
        try:
            receipt = await self._sender.send(transaction)
        except AnswerLost as error:
            log.warning("%s: %s; it counts as sent until the chain says otherwise", transaction.order.key, error)
            return self._mark(journaled, OrderStatus.SENT)
        except NodeUnreachable as error:
            return self._give_up(journaled, str(error))
        except ChainError as error:
            return self._doubt(journaled, str(error))
        if receipt is None:
            return self._mark(journaled, OrderStatus.SENT)
        return self.on_receipt(transaction.hash, receipt)

    def _doubt(self, journaled: JournaledOrder, error: str) -> OrderResult:
        """The node refused: given up only if the chain has not got it all the same."""
        tx_hash = journaled.transaction.hash
        if any(words in error.lower() for words in IN_THE_POOL):
            return self._mark(journaled, OrderStatus.SENT)
        try:
            receipt = self._chain.receipt(tx_hash)
            known = receipt is not None or self._chain.knows(tx_hash)
        except ChainError as silence:
            log.warning("%s: %s, then %s; it counts as sent", journaled.transaction.order.key, error, silence)
            return self._mark(journaled, OrderStatus.SENT)
        if receipt is not None:
            return self.on_receipt(tx_hash, receipt)
        return self._mark(journaled, OrderStatus.SENT) if known else self._give_up(journaled, error)

    def _give_up(self, journaled: JournaledOrder, error: str) -> OrderResult:
        """It will never be mined: its nonce is free, or taken by another, which the chain will tell."""
        self._mined.pop(journaled.transaction.sender, None)
        return self._mark(journaled, OrderStatus.REFUSED, error=error)

    async def _look_up(self, journaled: JournaledOrder) -> OrderResult:
        transaction = journaled.transaction
        receipt = self._chain.receipt(transaction.hash)
        if receipt is not None:
            return self.on_receipt(transaction.hash, receipt)
        if self._chain.nonce(transaction.sender) > transaction.nonce:
            return self._give_up(journaled, "another transaction took its nonce")
        if self._chain.knows(transaction.hash):
            return self._mark(journaled, OrderStatus.SENT)
        if self._head.timestamp - journaled.decided_at > RESEND_WITHIN:
            return self._give_up(journaled, "it never reached the chain and is too old to be sent again")
        log.warning("%s never reached the chain; sending the same bytes again", transaction.order.key)
        return await self._send(journaled)

    def _next_nonce(self, address: str) -> int:
        """The lowest that neither the chain nor an open order has used, so that no gap can hold up what comes later.

        The chain is asked once; after that its count is kept here, until a refusal says that it may be wrong.
        """
        if address not in self._mined:
            self._mined[address] = self._chain.nonce(address)
        used = {o.transaction.nonce for o in self._open.values() if o.transaction.sender == address}
        return next(nonce for nonce in itertools.count(self._mined[address]) if nonce not in used)

    def _mark(
        self, journaled: JournaledOrder, status: OrderStatus, receipt: Receipt | None = None, error: str = ""
    ) -> OrderResult:
        transaction = journaled.transaction
        key, mined = transaction.order.key, receipt or {}
        result = OrderResult(
            key,
            status,
            transaction.hash,
            _integer(mined, "blockNumber"),
            self._time_of(mined),
            _integer(mined, "gasUsed"),
            _integer(mined, "effectiveGasPrice"),
            error,
        )
        self._journal.mark(result)
        if status in OPEN:
            self._open[key] = JournaledOrder(transaction, journaled.decided_at, result)
        else:
            self._open.pop(key, None)
            self._key_of.pop(transaction.hash, None)
        return result

    def _time_of(self, mined: Mapping[str, Any]) -> int:
        """The block's time: from a log that tells it, else the head's."""
        for entry in mined.get("logs", ()):
            if entry.get("blockTimestamp"):
                return int(entry["blockTimestamp"], 16)
        return self._head.timestamp if mined else 0


def lost_race(result: OrderResult) -> bool:
    """Whether an order failed only because somebody else was first."""
    return result.status == OrderStatus.REVERTED and result.error.split("(")[0] in LOST_RACES


def _integer(mined: Mapping[str, Any], name: str) -> int:
    return int(mined[name], 16) if mined.get(name) else 0
