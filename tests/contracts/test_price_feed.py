"""The price feed: rounds without gaps, benchmark and average as a brute force says, bad sources refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refusal

from keeper.chain.contract import Contract
from keeper.chain.deploy_config import price_limits, price_sources
from keeper.chain.evm import Evm
from keeper.units import WAD

HEARTBEAT = 3_600
HALF = WAD // 2

histories = st.lists(st.tuples(st.integers(1, 3 * HEARTBEAT), st.integers(1, 10**24)), min_size=1, max_size=12)


@pytest.fixture(scope="module")
def evm() -> Evm:
    return Evm()


def make_feed(evm: Evm, source: Any = None, max_move: float = 0.0) -> Contract:
    feed = evm.deploy("PriceFeed", evm.account("admin"), price_sources(source), price_limits(HEARTBEAT, max_move))
    feed.send("grantRole", feed.call("REPORTER"), evm.account("reporter"), sender=evm.account("admin"))
    return feed


@pytest.fixture(scope="module")
def empty_feed(evm: Evm) -> Contract:
    return make_feed(evm)


def publish(evm: Evm, feed: Contract, price: int) -> int:
    return feed.send("publish", price, sender=evm.account("reporter")).result


def record(evm: Evm, feed: Contract, history: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Publishes (delay, price) one after the other; the rounds as (time, price)."""
    rounds = []
    for delay, price in history:
        evm.advance(delay)
        publish(evm, feed, price)
        rounds.append((evm.timestamp, price))
    return rounds


def test_publish_makes_rounds_without_gaps_that_every_view_tells_alike(evm: Evm, empty_feed: Contract) -> None:
    with evm.rolled_back():
        assert empty_feed.call("peek") == (0, 0, 0)
        assert refusal(lambda: empty_feed.call("price")) == ("UnknownRound", 0)
        assert refusal(lambda: empty_feed.call("latestRoundData")) == ("UnknownRound", 0)
        rounds = record(evm, empty_feed, [(10, 2000 * WAD), (20, 2010 * WAD), (1, 1990 * WAD)])
        for number, (time, price) in enumerate(rounds, start=1):
            assert empty_feed.call("getRoundData", number) == (number, price, time, time, number)
        time, price = rounds[-1]
        assert empty_feed.call("latestRoundData") == (3, price, time, time, 3)
        assert empty_feed.call("price") == (price, time)
        assert empty_feed.call("peek") == (price, time, 3)
        assert empty_feed.call("decimals") == 18
        assert refusal(lambda: empty_feed.call("getRoundData", 4)) == ("UnknownRound", 4)
        assert refusal(lambda: empty_feed.call("getRoundData", 0)) == ("UnknownRound", 0)


def test_publish_emits_the_round(evm: Evm, empty_feed: Contract) -> None:
    with evm.rolled_back():
        receipt = empty_feed.send("publish", 5 * WAD, sender=evm.account("reporter"))
        assert receipt.result == 1
        assert receipt.events("PricePublished") == [{"roundId": 1, "price": 5 * WAD, "updatedAt": evm.timestamp}]


def test_publish_by_a_stranger_is_refused(evm: Evm, empty_feed: Contract) -> None:
    stranger = evm.account("trader")
    assert refusal(lambda: empty_feed.send("publish", WAD, sender=stranger))[:2] == (
        "AccessControlUnauthorizedAccount",
        stranger,
    )


def test_publish_of_zero_or_twice_in_one_block_is_refused(evm: Evm, empty_feed: Contract) -> None:
    with evm.rolled_back():
        assert refusal(lambda: publish(evm, empty_feed, 0)) == ("PriceNotPositive", 0)
        publish(evm, empty_feed, WAD)
        now = evm.timestamp
        assert refusal(lambda: publish(evm, empty_feed, 2 * WAD)) == ("PriceNotNewer", now, now)


def test_price_answers_up_to_the_heartbeat_and_peek_for_ever(evm: Evm, empty_feed: Contract) -> None:
    with evm.rolled_back():
        publish(evm, empty_feed, 7 * WAD)
        published = evm.timestamp
        evm.advance(HEARTBEAT)
        assert empty_feed.call("price") == (7 * WAD, published)
        evm.advance(1)
        assert refusal(lambda: empty_feed.call("price")) == ("PriceTooOld", HEARTBEAT + 1, HEARTBEAT)
        assert empty_feed.call("peek") == (7 * WAD, published, 1)


@settings(max_examples=40, deadline=None)
@given(history=histories, offset=st.integers(-5, 40_000))
def test_benchmark_is_the_first_round_at_or_after_the_time_and_no_other_hint_passes(
    evm: Evm, empty_feed: Contract, history: list[tuple[int, int]], offset: int
) -> None:
    with evm.rolled_back():
        asked = evm.timestamp + offset
        rounds = record(evm, empty_feed, history)
        first = next((number for number, (time, _) in enumerate(rounds, 1) if time >= asked), None)
        assert empty_feed.call("roundAt", asked - 1) + 1 == (first or len(rounds) + 1)
        for hint in range(1, len(rounds) + 1):
            if hint == first:
                time, price = rounds[hint - 1]
                assert empty_feed.call("benchmark", asked, hint) == (price, time)
            else:
                why = refusal(lambda hint=hint: empty_feed.call("benchmark", asked, hint))
                assert why == ("NotFirstRoundAfter", hint, asked)
        for hint in (0, len(rounds) + 1):
            assert refusal(lambda hint=hint: empty_feed.call("benchmark", asked, hint)) == ("UnknownRound", hint)


@settings(max_examples=40, deadline=None)
@given(history=histories, data=st.data())
def test_twap_is_the_average_of_the_prices_in_force_rounded_down(
    evm: Evm, empty_feed: Contract, history: list[tuple[int, int]], data: st.DataObject
) -> None:
    with evm.rolled_back():
        rounds = record(evm, empty_feed, history)
        evm.advance(data.draw(st.integers(1, 2 * HEARTBEAT)))
        start = data.draw(st.integers(rounds[0][0], evm.timestamp - 1))
        end = data.draw(st.integers(start + 1, evm.timestamp))
        changes = sorted({start, end, *(time for time, _ in rounds if start < time < end)})
        in_force = [max(number for number, (time, _) in enumerate(rounds) if time <= at) for at in changes]
        total = sum(
            rounds[number][1] * (later - earlier)
            for number, earlier, later in zip(in_force, changes, changes[1:], strict=False)
        )
        first, last = in_force[0] + 1, in_force[-1] + 1
        assert empty_feed.call("twap", start, end, first, last) == total // (end - start)
        assert (empty_feed.call("roundAt", start), empty_feed.call("roundAt", end)) == (first, last)
        for wrong in {first - 1, first + 1} & set(range(1, len(rounds) + 1)):
            why = refusal(lambda wrong=wrong: empty_feed.call("twap", start, end, wrong, last))
            assert why == ("NotRoundInForce", wrong, start)


def test_twap_of_an_empty_reversed_or_future_window_is_refused(evm: Evm, empty_feed: Contract) -> None:
    with evm.rolled_back():
        [(time, _)] = record(evm, empty_feed, [(1, WAD)])
        assert refusal(lambda: empty_feed.call("twap", time, time, 1, 1)) == ("EmptyWindow", time, time)
        assert refusal(lambda: empty_feed.call("twap", time + 1, time, 1, 1)) == ("EmptyWindow", time + 1, time)
        assert refusal(lambda: empty_feed.call("twap", time, time + 1, 1, 1)) == ("PriceFromFuture", time + 1, time)
        evm.advance(10)
        assert refusal(lambda: empty_feed.call("twap", time - 1, time + 1, 1, 1)) == ("NotRoundInForce", 1, time - 1)


@pytest.mark.parametrize(("price", "accepted"), [(1500, True), (1501, False), (500, True), (499, False)])
def test_move_beyond_the_bound_is_refused_while_the_last_price_is_alive(evm: Evm, price: int, accepted: bool) -> None:
    with evm.rolled_back():
        feed = make_feed(evm, max_move=0.5)
        publish(evm, feed, 1000 * WAD)
        evm.advance(HEARTBEAT)
        if accepted:
            assert publish(evm, feed, price * WAD) == 2
        else:
            why = refusal(lambda: publish(evm, feed, price * WAD))
            assert why == ("PriceOutOfBounds", price * WAD, 1000 * WAD, HALF)


def test_move_beyond_the_bound_is_accepted_once_the_last_price_is_stale(evm: Evm) -> None:
    with evm.rolled_back():
        feed = make_feed(evm, max_move=0.5)
        publish(evm, feed, 1000 * WAD)
        evm.advance(HEARTBEAT + 1)
        assert publish(evm, feed, 10 * WAD) == 2


@pytest.fixture(scope="module")
def wrapped(evm: Evm) -> tuple[Contract, Contract]:
    """A test aggregator, and a feed that wraps it."""
    aggregator = evm.deploy("TestAggregator", "ETH / USD")
    return aggregator, make_feed(evm, source=aggregator)


def test_pull_copies_the_newest_source_round_to_18_decimals_and_own_round_ids(
    evm: Evm, wrapped: tuple[Contract, Contract]
) -> None:
    aggregator, feed = wrapped
    with evm.rolled_back():
        aggregator.send("push", 2000_12345678)
        pushed = evm.timestamp
        evm.advance(30)
        assert feed.send("pull", sender=evm.account("trader")).result == 1
        assert feed.call("peek") == (2000_12345678 * 10**10, pushed, 1)
        assert feed.call("description") == "ETH / USD"
        aggregator.send("startPhase")
        aggregator.send("push", 1999_00000000)
        assert aggregator.call("latestRoundData")[0] == (2 << 64) + 1
        assert feed.send("pull").result == 2
        assert feed.call("price") == (1999 * WAD, evm.timestamp)


def test_pull_of_a_round_that_is_not_newer_is_refused(evm: Evm, wrapped: tuple[Contract, Contract]) -> None:
    aggregator, feed = wrapped
    with evm.rolled_back():
        aggregator.send("push", 2000_00000000)
        feed.send("pull")
        now = evm.timestamp
        assert refusal(lambda: feed.send("pull")) == ("PriceNotNewer", now, now)
        aggregator.send("pushAt", 2001_00000000, now - 1)
        assert refusal(lambda: feed.send("pull")) == ("PriceNotNewer", now - 1, now)


@pytest.mark.parametrize("answer", [0, -1, -(10**12)])
def test_pull_of_an_answer_that_is_not_positive_is_refused(
    evm: Evm, wrapped: tuple[Contract, Contract], answer: int
) -> None:
    aggregator, feed = wrapped
    with evm.rolled_back():
        aggregator.send("push", answer)
        assert refusal(lambda: feed.send("pull")) == ("PriceNotPositive", answer)


def test_pull_of_a_stale_or_future_round_is_refused(evm: Evm, wrapped: tuple[Contract, Contract]) -> None:
    aggregator, feed = wrapped
    with evm.rolled_back():
        now = evm.timestamp
        aggregator.send("pushAt", 2000_00000000, now - HEARTBEAT - 1)
        assert refusal(lambda: feed.send("pull")) == ("PriceTooOld", HEARTBEAT + 1, HEARTBEAT)
        aggregator.send("pushAt", 2000_00000000, now + 1)
        assert refusal(lambda: feed.send("pull")) == ("PriceFromFuture", now + 1, now)
        aggregator.send("pushAt", 2000_00000000, now - HEARTBEAT)
        assert feed.send("pull").result == 1


def test_a_feed_has_one_source_of_rounds(evm: Evm, empty_feed: Contract, wrapped: tuple[Contract, Contract]) -> None:
    _, feed = wrapped
    assert refusal(lambda: publish(evm, feed, WAD)) == ("SourceSet",)
    assert refusal(lambda: empty_feed.send("pull")) == ("NoSource",)


def test_a_feed_without_heartbeat_is_refused(evm: Evm) -> None:
    admin = evm.account("admin")
    assert refusal(lambda: evm.deploy("PriceFeed", admin, price_sources(), price_limits(0))) == ("ZeroHeartbeat",)
