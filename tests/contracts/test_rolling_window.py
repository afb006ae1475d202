"""The rolling window: exact against a brute-force sum, never above its limit, at a bounded cost."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from node_face import Node
from venue_world import refusal

from keeper.chain.contract import Contract
from keeper.chain.evm import Evm
from keeper.chain.node import Anvil

OVERFLOW = "0x35278d12"  # SafeCastLib.Overflow()


class Step(NamedTuple):
    """What happens next: some seconds pass (none: the same second), then something is added."""

    seconds: int
    amount: int


steps = st.lists(
    st.builds(Step, st.sampled_from([0, 0, 1, 1, 2, 3, 5, 8, 13, 29, 30, 31, 60, 200]), st.integers(0, 10**24)),
    min_size=1,
    max_size=120,
)
lengths = st.sampled_from([1, 2, 3, 7, 30, 60])


def window_of(length: int) -> tuple[Evm, Contract]:
    evm = Evm()
    return evm, evm.deploy("RollingWindowHarness", length)


def brute(events: list[tuple[int, int]], length: int, now: int) -> int:
    """Everything added at times in (now - length, now]."""
    return sum(amount for time, amount in events if now - length < time <= now)


@given(length=lengths, steps=steps)
def test_sum_is_the_brute_force_sum_over_every_event(length: int, steps: list[Step]) -> None:
    evm, window = window_of(length)
    events: list[tuple[int, int]] = []
    for step in steps:
        evm.advance(step.seconds)
        window.send("add", step.amount)
        events.append((evm.timestamp, step.amount))
        assert window.call("sum") == brute(events, length, evm.timestamp)
    for _ in range(length + 1):
        evm.advance(1)
        assert window.call("sum") == brute(events, length, evm.timestamp)
    assert window.call("sum") == 0


@given(length=lengths, steps=steps, limit=st.integers(1, 10**24))
def test_no_window_however_placed_holds_more_than_the_limit(length: int, steps: list[Step], limit: int) -> None:
    evm, window = window_of(length)
    events: list[tuple[int, int]] = []
    for step in steps:
        evm.advance(step.seconds)
        wanted = brute(events, length, evm.timestamp)
        added = window.send("addUpTo", step.amount, limit).result
        assert added == min(step.amount, limit - wanted)
        events.append((evm.timestamp, added))
    assert all(brute(events, length, end) <= limit for time, _ in events for end in range(time, time + length))


@given(length=lengths, steps=steps, wait=st.integers(0, 5))
def test_sum_falls_to_a_limit_exactly_when_it_says(length: int, steps: list[Step], wait: int) -> None:
    """At every limit that the sum passes through, and those one beside it."""
    evm, window = window_of(length)
    events: list[tuple[int, int]] = []
    for step in steps:
        evm.advance(step.seconds)
        window.send("add", step.amount)
        events.append((evm.timestamp, step.amount))
    evm.advance(wait)
    sums = [brute(events, length, evm.timestamp + later) for later in range(length + 1)]
    for limit in {max(each + beside, 0) for each in sums for beside in (-1, 0, 1)}:
        first = next(later for later, each in enumerate(sums) if each <= limit)
        assert window.call("fallsTo", limit) == evm.timestamp + first


@pytest.mark.anvil
def test_cost_is_bounded_when_every_second_of_the_longest_window_is_used() -> None:
    """Something in every second for two minutes and more, so that the ring is full and every slot written before."""
    with Anvil() as anvil:
        node = Node(anvil)
        window = node.deploy("RollingWindowHarness", 60)
        used = []
        for _ in range(140):
            node.advance(1)
            used.append(window.send("addUpTo", 10**18, 10**24).gas_used)
        empty, full = used[0], max(used[-20:])
    print(f"{full:,} gas for a transaction that books in a full ring, {max(used):,} at most, {empty:,} for the first")
    assert full < 60_000
    assert max(used) < 80_000


def test_second_addition_in_a_second_takes_no_new_point() -> None:
    evm, window = window_of(2)
    for second in range(4):
        for amount in (1, 10, 100):
            window.send("add", amount)
        assert window.call("sum") == (111 if second == 0 else 222)
        evm.advance(1)


def test_empty_window_sums_to_nothing_and_is_at_any_limit_now() -> None:
    evm, window = window_of(30)
    assert (window.call("sum"), window.call("fallsTo", 0)) == (0, evm.timestamp)


def test_total_that_would_not_fit_is_refused_not_wrapped() -> None:
    _, window = window_of(30)
    window.send("add", 2**128 - 1)
    assert refusal(window.send, "add", 1).name == OVERFLOW
    assert window.call("sum") == 2**128 - 1
