"""A price feed with all around it that can go wrong: a source, a second source and a sequencer, each hostile."""

from __future__ import annotations

from keeper.chain.contract import Contract, Receipt
from keeper.chain.deploy_config import PriceChecks, price_limits, price_sources
from keeper.chain.evm import Evm
from keeper.units import to_wad

HEARTBEAT = 3_600
SECOND_HEARTBEAT = 1_200
MAX_MOVE = 0.1
CHECKS = PriceChecks(
    second_heartbeat=SECOND_HEARTBEAT,
    grace_period=600,
    jump_delay=300,
    dispute_delay=7_200,
    min_price=1.0,
    max_price=1e6,
    max_deviation=0.05,
)
STATES = ("LIVE", "EMPTY", "OLD", "JUMPED", "DISPUTED", "OUT_OF_RANGE", "SEQUENCER_DOWN", "SEQUENCER_STARTING")
MODES = ("HONEST", "REVERTS", "SHORT", "LONG", "BURNS")


class PriceWorld:
    """Prices in USD; the source has 8 decimals, the second source 18. Parts that are not asked for are not there."""

    def __init__(self, evm: Evm, source: bool = True, second: bool = False, sequencer: bool = False) -> None:
        self.evm = evm
        self.source = evm.deploy("HostileAggregator", 8) if source else None
        self.second = evm.deploy("HostileAggregator", 18) if second else None
        self.sequencer = evm.deploy("HostileAggregator", 0) if sequencer else None
        parts = [part.address if part is not None else None for part in (self.source, self.second, self.sequencer)]
        limits = price_limits(HEARTBEAT, MAX_MOVE, CHECKS)
        self.feed = evm.deploy("PriceFeed", evm.account("admin"), price_sources(*parts), limits)
        self.feed.send("grantRole", self.feed.call("REPORTER"), evm.account("reporter"), sender=evm.account("admin"))
        self.newest = 0

    def answer(self, price: float, at: int | None = None) -> None:
        """The source's next round."""
        self.newest += 1
        time = self.evm.timestamp if at is None else at
        part(self.source).send("set", self.newest, round(price * 10**8), time, time)

    def say(self, price: float, at: int | None = None) -> None:
        """What the second source says."""
        time = self.evm.timestamp if at is None else at
        part(self.second).send("set", 1, to_wad(price), time, time)

    def sequence(self, is_up: bool, since: int) -> None:
        """What the uptime feed says."""
        part(self.sequencer).send("set", 1, 0 if is_up else 1, since, self.evm.timestamp)

    def misbehave(self, broken: Contract | None, how: str) -> None:
        """Let a part do something that no aggregator does."""
        part(broken).send("setMode", MODES.index(how))

    def pull(self) -> Receipt:
        return self.feed.send("pull", sender=self.evm.account("trader"))

    def step(self, price: float, seconds: int = 60) -> Receipt:
        """Time passes, the source answers, somebody pulls."""
        self.evm.advance(seconds)
        self.answer(price)
        return self.pull()

    @property
    def state(self) -> str:
        return STATES[self.feed.call("state")]

    @property
    def rounds(self) -> list[tuple[int, int]]:
        """(time, price in wad) of every round."""
        many = self.feed.call("latestRound")
        found = [self.feed.call("getRoundData", number) for number in range(1, many + 1)]
        return [(each[3], each[1]) for each in found]


def part(contract: Contract | None) -> Contract:
    """A part that this world has."""
    assert contract is not None, "this world was made without it"
    return contract
