"""The live loop: every role is a task of its own that is shown every newest head, until it is time to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Sequence
from typing import Final

from keeper.chain.reader import as_head
from keeper.errors import ChainError, KeeperError
from keeper.execution.executor import JournaledExecutor
from keeper.state.ports import Head, Reader, Role
from keeper.state.snapshot import Block

log = logging.getLogger(__name__)

_FAILURES: Final = 20
_ATTEMPTS: Final = 30


class Heads:
    """The newest block, for everybody who waits for the next one. Blocks nobody waited for are skipped."""

    def __init__(self) -> None:
        self._newest = Head(-1, 0, 0)
        self._arrived = asyncio.Condition()

    async def announce(self, head: Head) -> None:
        """Wake all who wait."""
        async with self._arrived:
            self._newest = head
            self._arrived.notify_all()

    async def after(self, number: int) -> Head:
        """The newest head, as soon as it is beyond block ``number``."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: self._newest.number > number)
            return self._newest


async def run_live(
    roles: Sequence[Role],
    reader: Reader,
    executor: JournaledExecutor,
    stop: asyncio.Event,
    poll: float = 0.2,
    last_block: int | None = None,
) -> None:
    """Reconcile the journal, then follow the chain until ``stop`` is set or ``last_block`` has come.

    Each role is its own task and sees every newest head; what it does about one head it finishes before it looks at
    the next. Stopping lets every role finish what it is doing.
    """
    executor.observe(as_head(await reader.head()))
    for result in await executor.reconcile():
        log.warning("left over from an earlier run: %s is %s", result.key, result.status)
    heads = Heads()
    tasks = [asyncio.create_task(_follow(role, heads, stop)) for role in roles]
    tasks.append(asyncio.create_task(_watch(reader, executor, heads, stop, poll, last_block)))
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
    finally:
        stop.set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _watch(
    reader: Reader, executor: JournaledExecutor, heads: Heads, stop: asyncio.Event, poll: float, last_block: int | None
) -> None:
    """Announce every new head, and look after orders whose answer got lost."""
    number = -1
    while not stop.is_set():
        block = await _newest(reader, stop)
        if block is not None and block.number != number:
            number = block.number
            head = as_head(block)
            executor.observe(head)
            await executor.follow_up()
            await heads.announce(head)
            if last_block is not None and number >= last_block:
                stop.set()
        await _pause(stop, poll)


async def _follow(role: Role, heads: Heads, stop: asyncio.Event) -> None:
    """Show one role every newest head. An error is told and the next head tried; too many in a row end the run."""
    number, failures = -1, 0
    while not stop.is_set():
        head = await _unless(stop, heads.after(number))
        if head is None:
            return
        number = head.number
        try:
            await role.on_head(head)
            failures = 0
        except KeeperError as error:
            failures += 1
            log.warning("%s: %s", role.name, error)
            if failures >= _FAILURES:
                raise


async def _newest(reader: Reader, stop: asyncio.Event) -> Block | None:
    """The newest block; a node that does not answer is asked again for half a minute."""
    for attempt in range(_ATTEMPTS):
        try:
            return await reader.head()
        except ChainError as error:
            if attempt == _ATTEMPTS - 1:
                raise
            log.warning("%s; trying again", error)
            await _pause(stop, 1.0)
            if stop.is_set():
                return None
    return None


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    """Sleep, but wake up when it is time to stop."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)


async def _unless(stop: asyncio.Event, wanted: Awaitable[Head]) -> Head | None:
    """What is wanted, or None when it is time to stop first."""
    coming, stopping = asyncio.ensure_future(wanted), asyncio.ensure_future(stop.wait())
    await asyncio.wait([coming, stopping], return_when=asyncio.FIRST_COMPLETED)
    head = coming.result() if coming.done() else None
    coming.cancel()
    stopping.cancel()
    return head
