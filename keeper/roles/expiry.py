"""What is left to do once an option has expired: fix its price, let shorts pay in, then let longs claim."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Protocol

from keeper.state.decision import Call
from keeper.state.ports import Head
from keeper.state.snapshot import Snapshot

log = logging.getLogger(__name__)

AVERAGING: Final = 1_800
"""Seconds before expiry over which the settlement price is averaged."""

Submit = Callable[[str, Call, str, tuple[object, ...], Head], Awaitable[None]]
"""Asks the option market for something: what for (part of the key), which call, function, arguments, at which head."""


class Rounds(Protocol):
    """Price rounds by time."""

    async def round_in_force(self, time: int) -> int | None:
        """The price round in force at a time."""
        ...


async def settle_expired(
    vaults: Mapping[str, Snapshot], addresses: Mapping[str, str], rounds: Rounds, submit: Submit, head: Head
) -> bool:
    """Take the next step for every expired series that these vaults hold; false when they hold none."""
    expired = [
        (held.size, name, held)
        for name, snapshot in vaults.items()
        for held in snapshot.holdings
        if held.expiry <= head.timestamp
    ]
    for expiry in sorted({held.expiry for _, _, held in expired if held.settlement_price == 0.0}):
        await _fix(expiry, rounds, submit, head)
    for _, name, held in sorted(expired, key=lambda each: each[0]):  # shorts come first
        if held.settlement_price > 0.0:
            arguments = (addresses[name], held.series_id)
            await submit(f"settle:{name}:{held.series_id}", Call.SETTLE_SERIES, "settle", arguments, head)
    return bool(expired)


async def _fix(expiry: int, rounds: Rounds, submit: Submit, head: Head) -> None:
    start = await rounds.round_in_force(expiry - AVERAGING)
    end = await rounds.round_in_force(expiry)
    if start is None or end is None:
        log.warning("the expiry %d cannot be fixed: no price is known from half an hour before it", expiry)
        return
    await submit(f"fix:{expiry}", Call.FIX_EXPIRY, "fix", (expiry, start, end), head)
