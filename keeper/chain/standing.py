"""Which reporters the volatility feed listens to now."""

from __future__ import annotations

from typing import Final

from keeper.chain.abi import checksum
from keeper.chain.contract import Backend
from keeper.chain.deployment import Deployment

UNTIL: Final = 3
"""Place of `excludedUntil` in a reporter's record."""


class ReporterStanding:
    """Reads the record that the feed keeps of every reporter."""

    def __init__(self, backend: Backend, deployment: Deployment) -> None:
        self._feed = deployment.contract(backend, "VolatilityFeed")
        self._quorum = int(self._feed.call("quorum"))

    async def barred(self, now: int) -> frozenset[str]:
        """Reporters that are excluded beyond ``now`` (unix seconds); a submission with one of them is refused."""
        reporters = [checksum(each) for each in self._feed.call("reporters")]
        return frozenset(each for each in reporters if self._feed.call("reporterOf", each)[UNTIL] > now)

    def quorum(self) -> int:
        """Fewest reports that make a slice."""
        return self._quorum
