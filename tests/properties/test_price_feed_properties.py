"""Laws of the price feed over random sequences of answers, quarrels and pulls, with sources that do what they like.

    P-1  times of rounds strictly increase, and a round once written never changes
    P-2  the average over any window is the brute-force one, to the wei
    P-3  every time has at most one benchmark, the first round at or after it, and one hint that is accepted
    P-4  every round was an answer of the source, inside the range, and no older than the round after it
    P-5  a live price is the newest round, at most a heartbeat old, and nothing is held
    P-6  from any state the feed is live again once its sources have been sane for the longest delay
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from price_world import CHECKS, HEARTBEAT, MODES, PriceWorld

from keeper.chain.abi import Revert
from keeper.chain.evm import Evm
from keeper.units import to_wad

PRICES = st.one_of(st.floats(1_700, 2_300), st.sampled_from([-1.0, 0.0, 0.5, 1.0, 500.0, 1e5, 1e6, 1e30]))
TIMES = st.sampled_from([0, 0, 0, 0, -1, -30, -5_000, 1, 2**40, 2**80])
WAITS = st.sampled_from([1, 5, 60, 300, 301, 1_300, HEARTBEAT, HEARTBEAT + 1, CHECKS.dispute_delay])
STEPS = st.one_of(
    st.tuples(st.just("answer"), PRICES, TIMES),
    st.tuples(st.just("answer"), st.floats(1_950, 2_050), st.just(0)),
    st.tuples(st.just("say"), PRICES, TIMES),
    st.tuples(st.just("say"), st.floats(1_950, 2_050), st.just(0)),
    st.tuples(st.just("wait"), WAITS),
    st.tuples(st.just("pull")),
    st.tuples(st.just("pull")),
    st.tuples(st.just("cross check")),
    st.tuples(st.just("break"), st.booleans(), st.sampled_from(MODES)),
    st.tuples(st.just("replace"), st.integers(0, 3), st.integers(0, 6)),
    st.tuples(st.just("publish"), PRICES),
)
UNREADABLE = {"Error", "Empty"}
EXPECTED = {
    "pull": {"NoSource", "PriceFromFuture", "PriceNotNewer", "PriceNotPositive", "PriceTooOld", *UNREADABLE},
    "cross check": {"UnknownRound", "NoSecondSource"},
    "publish": {"PriceOutOfRange", "PriceOutOfBounds", "PriceNotNewer", "SourceSet", "PriceNotPositive"},
}


@dataclass
class Machine:
    """A world, what its source ever answered, and the rounds at the last look."""

    world: PriceWorld
    answered: set[tuple[int, int]] = field(default_factory=set)
    seen: list[tuple[int, int]] = field(default_factory=list)

    def play(self, step: tuple[object, ...]) -> None:
        what, *how = step
        world, evm = self.world, self.world.evm
        if what == "answer" and world.source is not None:
            price, offset = how
            time = max(evm.timestamp + offset, 0)
            world.answer(price, time)
            self.answered.add((time, round(price * 10**8) * 10**10))
        elif what == "say" and world.second is not None:
            price, offset = how
            world.say(price, max(evm.timestamp + offset, 0))
        elif what == "wait":
            evm.advance(how[0])
        elif what == "break":
            is_source, mode = how
            broken = world.source if is_source else world.second
            # a source that burns all gas ends the pull, slowly, and tells nothing
            if broken is not None and not (is_source and mode == "BURNS"):
                world.misbehave(broken, mode)
        elif what == "replace" and world.source is not None:
            world.newest = (how[0] << 64) + how[1]
        elif what in EXPECTED:
            self._send(what, how)
        self.check()

    def _send(self, what: str, how: list[object]) -> None:
        feed, evm = self.world.feed, self.world.evm
        try:
            if what == "publish":
                price = max(to_wad(how[0]), 0)
                self.answered.add((evm.timestamp, price))
                feed.send("publish", price, sender=evm.account("reporter"))
            else:
                feed.send("pull" if what == "pull" else "crossCheck", sender=evm.account("trader"))
        except Revert as revert:
            if revert.name not in EXPECTED[what]:
                raise

    def check(self) -> None:
        rounds = self.world.rounds
        assert rounds[: len(self.seen)] == self.seen
        for earlier, later in pairwise(rounds):
            assert earlier[0] < later[0]
        for time, price in rounds[len(self.seen) :]:
            assert (time, price) in self.answered
            assert time <= self.world.evm.timestamp
            assert to_wad(CHECKS.min_price) < price < to_wad(CHECKS.max_price)
        self.seen = rounds
        self._check_live()

    def _check_live(self) -> None:
        feed, state = self.world.feed, self.world.state
        try:
            price, time = feed.call("price")
        except Revert:
            assert state != "LIVE"
        else:
            assert state == "LIVE"
            assert (time, price) == self.seen[-1]
            assert self.world.evm.timestamp - time <= HEARTBEAT

    def check_history(self, data: st.DataObject) -> None:
        """Benchmarks and averages at times of the test's choice."""
        feed, rounds, now = self.world.feed, self.seen, self.world.evm.timestamp
        for _ in range(3):
            asked = data.draw(st.integers(rounds[0][0] - 2, now + 2))
            accepted = [hint for hint in range(len(rounds) + 2) if self._is_benchmark(asked, hint)]
            first = next((number for number, (time, _) in enumerate(rounds, 1) if time >= asked), None)
            assert accepted == ([] if first is None else [first])
        if now > rounds[0][0]:
            start = data.draw(st.integers(rounds[0][0], now - 1))
            end = data.draw(st.integers(start + 1, now))
            hints = feed.call("roundAt", start), feed.call("roundAt", end)
            assert feed.call("twap", start, end, *hints) == brute_force(rounds, start, end)

    def _is_benchmark(self, time: int, hint: int) -> bool:
        try:
            found = self.world.feed.call("benchmark", time, hint)
        except Revert:
            return False
        assert found == self.seen[hint - 1][::-1]
        return True

    def recover(self) -> None:
        """Sane sources, asked every five minutes, for the longest delay there is."""
        world = self.world
        for each in (world.source, world.second):
            if each is not None:
                world.misbehave(each, "HONEST")
        world.newest = 9 << 64
        for _ in range(0, CHECKS.jump_delay + HEARTBEAT + 600, 300):
            world.evm.advance(300)
            if world.second is not None:
                world.say(2_000)
            if world.source is not None:
                self.play(("answer", 2_000.0, 0))
                self.play(("pull",))
            else:
                self.play(("publish", 2_000.0))


def brute_force(rounds: list[tuple[int, int]], start: int, end: int) -> int:
    """The average of the prices in force, summed piece by piece."""
    total = 0
    for number, (time, price) in enumerate(rounds):
        until = rounds[number + 1][0] if number + 1 < len(rounds) else end
        total += price * max(min(until, end) - max(time, start), 0)
    return total // (end - start)


def run(world: PriceWorld, steps: list[tuple[object, ...]], data: st.DataObject) -> None:
    with world.evm.rolled_back():
        world.newest = 0
        machine = Machine(world)
        for step in steps:
            machine.play(step)
        if machine.seen:
            machine.check_history(data)
        machine.recover()
        assert world.state == "LIVE"
        machine.check_history(data)


COMPARED = PriceWorld(Evm(), second=True)
ALONE = PriceWorld(Evm())
PUBLISHED = PriceWorld(Evm(), source=False, second=True)


@settings(deadline=None)
@given(steps=st.lists(STEPS, min_size=5, max_size=40), data=st.data())
def test_feed_that_compares_two_hostile_sources_keeps_its_laws(
    steps: list[tuple[object, ...]], data: st.DataObject
) -> None:
    run(COMPARED, steps, data)


@settings(deadline=None)
@given(steps=st.lists(STEPS, min_size=5, max_size=40), data=st.data())
def test_feed_that_wraps_one_hostile_source_keeps_its_laws(
    steps: list[tuple[object, ...]], data: st.DataObject
) -> None:
    run(ALONE, steps, data)


@settings(deadline=None)
@given(steps=st.lists(STEPS, min_size=5, max_size=40), data=st.data())
def test_feed_that_is_published_to_beside_a_hostile_source_keeps_its_laws(
    steps: list[tuple[object, ...]], data: st.DataObject
) -> None:
    run(PUBLISHED, steps, data)
