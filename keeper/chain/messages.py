"""Messages on a bridge and what the other side would tell, read through the bridge's own views.

Nothing is remembered but which messages are still open: a new reader walks all ids once, and from then on asks for the
open ones and for those that were sent since.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from keeper.chain.abi import Revert
from keeper.chain.contract import Backend
from keeper.chain.deployment import Deployment

PAGE: Final = 256
"""Messages in one call."""
PAGES: Final = 8
"""Pages of messages never seen before that are read at one look; what is newer comes with the next looks."""
REPORTS: Final = 4
"""Open reports of one account that are watched: the oldest, which arrive first, and the newest, which knows most."""


class Kind(IntEnum):
    """`IDelayedBridge.Kind`."""

    COLLATERAL = 0
    ORDER = 1
    CANCEL = 2
    RECALL = 3
    RETURN = 4
    REPORT = 5


class Status(IntEnum):
    """`IDelayedBridge.Status`."""

    NONE = 0
    SENT = 1
    DELIVERED = 2
    FAILED = 3
    EXPIRED = 4


@dataclass(frozen=True, slots=True)
class Message:
    """A message on its way. Times are unix seconds."""

    id: int
    kind: Kind
    account: str
    not_before: int
    expires_at: int


@dataclass(frozen=True, slots=True)
class RemoteState:
    """`IDelayedBridge.Report` in the integers of the chain: what one side says of an account at a time."""

    time: int
    last_fill_time: int
    last_order: int
    size: int
    pending: int
    equity: int
    received: int
    returned: int

    @property
    def position(self) -> tuple[int, ...]:
        """All that changes by an act of somebody, and not with the price alone."""
        return self.last_fill_time, self.last_order, self.size, self.pending, self.received, self.returned


@dataclass(frozen=True, slots=True)
class RemoteView:
    """An account over there as it is now, and as the newest report that has left tells it (id 0: none has)."""

    newest_report: int
    told: RemoteState
    now: RemoteState


class MessageReader:
    """Shows the relayer its bridge, on any engine."""

    def __init__(self, backend: Backend, deployment: Deployment) -> None:
        self._bridge = deployment.contract(backend, "DelayedBridge")
        self._open: dict[int, Message] = {}
        self._seen = 0
        self._accounts: dict[str, None] = {}

    async def open_messages(self, now: int) -> Mapping[int, Message]:
        """Messages on their way at the newest block by id, oldest first; ``now`` is its time.

        Those that expired and carried nothing are left out: nobody has to take them back.
        """
        found: dict[int, Message] = {}
        for message in self._read(list(self._open)):
            found[message.id] = message
        for message in self._new():
            found[message.id] = message
            self._accounts.setdefault(message.account)
        carrying = (Kind.COLLATERAL, Kind.ORDER, Kind.RETURN)
        alive = [m for m in found.values() if m.expires_at >= now or m.kind in carrying]
        self._open = {message.id: message for message in _few_reports(alive)}
        return self._open

    async def accounts(self) -> tuple[str, ...]:
        """Every account of which an open message was ever seen, in the order of their first."""
        return tuple(self._accounts)

    async def remote(self, account: str) -> RemoteView | None:
        """An account over there; None while nobody may look because the house there is locked."""
        try:
            now = RemoteState(*self._bridge.call("reportNow", account))
        except Revert:
            return None
        newest, told = self._bridge.call("newestReport", account)
        return RemoteView(newest, RemoteState(*told), now)

    def _new(self) -> Iterator[Message]:
        """Messages since the last look that are still on their way."""
        last = int(self._bridge.call("lastMessage"))
        for _ in range(PAGES):
            page = list(range(self._seen + 1, min(last, self._seen + PAGE) + 1))
            if not page:
                return
            yield from self._read(page)
            self._seen = page[-1]

    def _read(self, ids: list[int]) -> Iterator[Message]:
        for start in range(0, len(ids), PAGE):
            page = ids[start : start + PAGE]
            for number, raw in zip(page, self._bridge.call("messages", page), strict=True):
                if raw[1] == Status.SENT:
                    yield _message(number, raw)


def _message(number: int, raw: tuple[Any, ...]) -> Message:
    kind, _, account, not_before, _, expires_at, *_ = raw
    return Message(number, Kind(kind), account, not_before, expires_at)


def _few_reports(messages: list[Message]) -> Iterator[Message]:
    """All messages, but of each account's reports no more than `REPORTS`, so that nobody fills the list with them."""
    reports: dict[str, list[int]] = {}
    for message in messages:
        if message.kind is Kind.REPORT:
            reports.setdefault(message.account, []).append(message.id)
    kept = {number for numbers in reports.values() for number in (*numbers[: REPORTS - 1], numbers[-1])}
    return (message for message in messages if message.kind is not Kind.REPORT or message.id in kept)
