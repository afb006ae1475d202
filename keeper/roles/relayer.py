"""The relayer: carries messages across a bridge when their time has come, takes back what expired, and has the other
side report home when something changed there, and from time to time.

It chooses the order and the moment and nothing else. `Delays` scripts that choice: how much later than allowed each
message is carried, so that messages overtake each other, and which ones are never carried at all.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np

from keeper.chain.deployment import Deployment
from keeper.chain.messages import Kind, Message, RemoteView
from keeper.errors import InputError
from keeper.execution.executor import lost_race
from keeper.state.decision import Call, Order, OrderStatus
from keeper.state.ports import Executor, Head

log = logging.getLogger(__name__)

PER_HEAD: Final = 16
"""Messages that are carried or taken back, and accounts that are looked at, at one head; the rest wait for the next."""
RETRY: Final = 60
"""Seconds until a message that could not be delivered is tried again."""


class MessageBook(Protocol):
    """What the relayer must see; `keeper.chain.messages.MessageReader` shows it."""

    async def open_messages(self, now: int) -> Mapping[int, Message]:
        """Messages on their way by id, oldest first."""
        ...

    async def accounts(self) -> tuple[str, ...]:
        """Accounts that use the bridge."""
        ...

    async def remote(self, account: str) -> RemoteView | None:
        """An account over there, and what the newest report says of it."""
        ...


@dataclass
class Delays:
    """How the bridge behaves beyond its rules: each message is carried up to ``longest`` seconds later than it could
    be, uniformly, and with probability ``lost`` never.

    One draw of each kind for each message in the order of ids, so the same generator gives the same bridge.
    """

    generator: np.random.Generator
    longest: int = 0
    lost: float = 0.0
    _drawn: list[int | None] = field(default_factory=list, repr=False)

    def __post_init__(self) -> None:
        if self.longest < 0:
            raise InputError(f"the longest extra delay is {self.longest} s: it cannot be negative")
        if not 0.0 <= self.lost <= 1.0:
            raise InputError(f"the part of messages that gets lost is {self.lost}: it must be between 0 and 1")

    def due(self, message: Message) -> int | None:
        """When the message is carried, unix seconds, at most when it expires; None for never."""
        while len(self._drawn) < message.id:
            extra = int(self.generator.integers(0, self.longest, endpoint=True))
            self._drawn.append(None if self.generator.random() < self.lost else extra)
        extra_delay = self._drawn[message.id - 1]
        return None if extra_delay is None else min(message.not_before + extra_delay, message.expires_at)


class Relayer:
    """Serves every account that uses the bridge, or only those of ``accounts``.

    ``report_every`` (seconds) is how old the newest report may grow while the account has anything over there; it must
    be shorter than the bridge's ``maxAge`` less its delay.
    """

    name = "relayer"

    def __init__(
        self,
        book: MessageBook,
        executor: Executor,
        deployment: Deployment,
        report_every: int = 60,
        delays: Delays | None = None,
        accounts: Collection[str] | None = None,
    ) -> None:
        if report_every <= 0:
            raise InputError(f"reports every {report_every} s: it must be at least every second")
        self._book = book
        self._executor = executor
        self._bridge = deployment.address("DelayedBridge")
        self._report_every = report_every
        self._delays = delays
        self._accounts = accounts
        self._wait: dict[int, int] = {}  # message -> when to try again
        self._next_account = 0

    async def on_head(self, head: Head) -> None:
        """Carry, take back and report what is due."""
        messages = await self._book.open_messages(head.timestamp)
        self._wait = {number: time for number, time in self._wait.items() if number in messages}
        for message, call in self._due(messages, head)[:PER_HEAD]:
            await self._end(message, call, head)
        for account in await self._turn():
            await self._report(account, head)

    def _due(self, messages: Mapping[int, Message], head: Head) -> list[tuple[Message, Call]]:
        """What to do now, in the order in which it became due; of an account's reports only the newest that is due."""
        found: list[tuple[int, Message, Call]] = []
        for message in messages.values():
            if self._is_served(message.account) and not self._is_busy(message, head):
                when = self._when(message, head)
                if when is not None:
                    found.append((when[0], message, when[1]))
        reports = [message for _, message, _ in found if message.kind is Kind.REPORT]
        newest = {message.account: message.id for message in reports}  # the books are in the order of ids
        found.sort(key=lambda each: (each[0], each[1].id))
        return [(m, call) for _, m, call in found if m.kind is not Kind.REPORT or newest[m.account] == m.id]

    def _when(self, message: Message, head: Head) -> tuple[int, Call] | None:
        """Since when the message is due, and for what."""
        if head.timestamp > message.expires_at:
            return message.expires_at, Call.EXPIRE_MESSAGE
        due = message.not_before if self._delays is None else self._delays.due(message)
        in_time = due is not None and due <= head.timestamp < message.expires_at  # the next block is later
        return (due, Call.DELIVER) if due is not None and in_time else None

    def _is_busy(self, message: Message, head: Head) -> bool:
        """Whether we are at it, or have failed a moment ago."""
        waiting = self._wait.get(message.id, 0) > head.timestamp
        return waiting or bool(self._executor.in_flight(f"message:{message.id}@"))

    async def _end(self, message: Message, call: Call, head: Head) -> None:
        function = "deliver" if call is Call.DELIVER else "expire"
        key = f"message:{message.id}@{head.number}"
        if not await self._submit(Order(key, self.name, call, self._bridge, function, (message.id,))):
            self._wait[message.id] = head.timestamp + RETRY

    async def _turn(self) -> list[str]:
        """The accounts whose turn it is to be looked at."""
        served = [account for account in await self._book.accounts() if self._is_served(account)]
        if not served:
            return []
        first = self._next_account % len(served)
        turn = (served[first:] + served[:first])[:PER_HEAD]
        self._next_account = first + len(turn)
        return turn

    async def _report(self, account: str, head: Head) -> None:
        """Have the other side report if the newest report no longer tells the position, or is old."""
        if self._executor.in_flight(f"report:{account}:"):
            return
        view = await self._book.remote(account)
        if view is not None and self._is_news(view):
            key = f"report:{account}:{view.newest_report}@{head.number}"
            await self._submit(Order(key, self.name, Call.REPORT_HOME, self._bridge, "report", (account,)))

    def _is_news(self, view: RemoteView) -> bool:
        if not (view.now.received or view.now.last_order):
            return False  # nothing has arrived over there
        if view.now.position != view.told.position:
            return True
        anything = view.now.size or view.now.pending or view.now.equity
        return bool(anything) and view.now.time - view.told.time >= self._report_every

    def _is_served(self, account: str) -> bool:
        return self._accounts is None or account in self._accounts

    async def _submit(self, order: Order) -> bool:
        """False when it failed, other than because somebody else was first."""
        result = await self._executor.submit(order)
        failed = result.status in (OrderStatus.REVERTED, OrderStatus.REFUSED) and not lost_race(result)
        if failed:
            log.warning("cannot %s %s: %s", order.function, order.arguments[0], result.error)
        return not failed
