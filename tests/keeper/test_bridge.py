"""Prices inside bars: through open, high, low and close, never outside, the same whoever asks and whenever."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.errors import InputError
from keeper.market.bridge import MIN_STEP, BarBridge, bar_grid, bar_path
from keeper.market.crash import crash_bars
from keeper.state.bars import Bars

START = 1_583_625_600


@st.composite
def some_bars(draw: st.DrawFn, max_bars: int = 4) -> Bars:
    """Bars of any step and shape: flat ones, and ones that open or close at an extreme, included."""
    count = draw(st.integers(1, max_bars))
    step = draw(st.sampled_from([MIN_STEP, 5, 12, 60, 300, 700, 3600]))
    level = st.sampled_from([0.5, 90.0, 99.0, 100.0, 100.0, 101.0, 130.0]) | st.floats(50.0, 200.0)
    rows = []
    for _ in range(count):
        first, last, up, down = (draw(level) for _ in range(4))
        rows.append((first, max(first, last, up), min(first, last, down), last))
    columns = np.array(rows).T.copy()
    return Bars(START + step * np.arange(count), *columns, step=step)


def crash(seed: int = 3, days: float = 9.0) -> Bars:
    return crash_bars(np.random.default_rng(seed), START, days)


@settings(max_examples=150, deadline=None)
@given(bars=some_bars(), seed=st.integers(0, 2**32))
def test_path_touches_open_high_low_and_close_and_stays_between(bars: Bars, seed: int) -> None:
    bridge = BarBridge(bars, seed)
    for bar in range(len(bars)):
        path = bridge.path(bar)
        assert path[0] == bars.open[bar]
        assert path[-1] == bars.close[bar]
        assert path.min() == bars.low[bar]
        assert path.max() == bars.high[bar]


@settings(max_examples=50, deadline=None)
@given(bars=some_bars(), seed=st.integers(0, 2**32), data=st.data())
def test_price_does_not_depend_on_which_times_were_asked_before(bars: Bars, seed: int, data: st.DataObject) -> None:
    times = data.draw(st.lists(st.integers(bars.start, bars.end), min_size=1, max_size=20))
    bridge = BarBridge(bars, seed)
    forward = [bridge.price_at(at) for at in times]
    backward = [BarBridge(bars, seed).price_at(at) for at in reversed(times)]
    assert forward == backward[::-1]
    assert all(bars.low.min() <= price <= bars.high.max() for price in forward)


@settings(max_examples=50, deadline=None)
@given(bars=some_bars())
def test_price_at_the_end_of_a_bar_is_its_close_and_at_the_start_the_first_open(bars: Bars) -> None:
    bridge = BarBridge(bars, 1)
    assert bridge.price_at(bars.start) == bars.open[0]
    assert [bridge.price_at(int(at) + bars.step) for at in bars.times] == bars.close.tolist()


def test_every_second_sees_high_and_low_of_its_bar() -> None:
    bars = crash().between(START + 4 * 86_400, START + 4 * 86_400 + 3 * 3600)
    bridge = BarBridge(bars, 1)
    for bar, opened in enumerate(bars.times.tolist()):
        seen = [bars.open[bar], *(bridge.price_at(opened + second) for second in range(1, bars.step + 1))]
        assert (max(seen), min(seen)) == (bars.high[bar], bars.low[bar])


def test_price_of_a_second_does_not_depend_on_how_the_bars_were_cut() -> None:
    bars = crash()
    part = bars.between(START + 86_400, START + 2 * 86_400)
    whole, cut = BarBridge(bars, 9), BarBridge(part, 9)
    times = range(part.start + 1, part.end, 977)
    assert [cut.price_at(at) for at in times] == [whole.price_at(at) for at in times]


def test_another_seed_gives_another_path_through_the_same_bars() -> None:
    bars = crash()
    one, other = BarBridge(bars, 1), BarBridge(bars, 2)
    differ = [one.price_at(START + at) != other.price_at(START + at) for at in range(150, 86_400, 300)]
    assert sum(differ) > 0.95 * len(differ)


def test_bridge_of_brownian_bars_has_their_variance_at_every_scale_and_follows_their_path() -> None:
    """Bars made of a Brownian motion of variance 1: a bridge that sees only the bars gets close to what was inside."""
    generator = np.random.default_rng(5)
    grid, count, points = bar_grid(300), 1_500, 3_000
    variances: dict[int, list[float]] = {lag: [] for lag in (1, 2, 10, 60, 150)}
    orders, middles = [], []
    for _ in range(count):
        inside = 100.0 + np.append(0.0, np.cumsum(generator.standard_normal(points) / np.sqrt(points)))
        path = bar_path(grid, inside[0], inside.max(), inside.min(), inside[-1], generator)
        for lag, seen in variances.items():
            seen.append(float(np.mean((path[lag:] - path[:-lag]) ** 2)) * 300 / lag)
        orders.append((path.argmin() < path.argmax(), inside.argmin() < inside.argmax()))
        middles.append((path[150], inside[points // 2]))
    for lag, seen in variances.items():  # the variance over a delay is in proportion to the delay
        assert np.mean(seen) == pytest.approx(1.0, abs=0.1), lag
    drawn, true = np.array(orders).T
    assert np.mean(drawn == true) > 0.8  # a coin would get 0.5
    assert np.corrcoef(np.array(middles).T)[0, 1] > 0.7


def test_longer_delay_sees_a_larger_move() -> None:
    bridge = BarBridge(crash(), 4)
    starts = range(START + 1, START + 8 * 86_400, 601)
    moves = [
        np.std([np.log(bridge.price_at(at + delay) / bridge.price_at(at)) for at in starts]) for delay in (2, 12, 60)
    ]
    assert moves[0] < 0.6 * moves[1] < 0.6 * 0.6 * moves[2]


@settings(max_examples=60, deadline=None)
@given(
    bars=some_bars(),
    step=st.integers(1, 400),
    heartbeat=st.integers(1, 1_000),
    deviation=st.floats(1.0, 500.0),
)
def test_events_are_what_a_publisher_sends_that_looks_at_every_step(
    bars: Bars, step: int, heartbeat: int, deviation: float
) -> None:
    bridge = BarBridge(bars, 6)
    expected = [(bars.start, bridge.price_at(bars.start))]
    for opened in bars.times.tolist():
        for look in [*range(opened + step, opened + bars.step, step), opened + bars.step]:
            sent_at, sent = expected[-1]
            price = bridge.price_at(look)
            is_due = look - sent_at >= heartbeat or abs(price / sent - 1.0) >= deviation * 1e-4
            if is_due or look == opened + bars.step:
                expected.append((look, price))
    assert list(bridge.events(step, heartbeat, deviation)) == expected


def test_events_of_nine_days_take_less_than_a_second() -> None:
    bars = crash()
    seconds = []
    for seed in range(3):
        began = time.process_time()
        events = list(BarBridge(bars, seed).events(12, 300, 50.0))
        seconds.append(time.process_time() - began)
    assert min(seconds) < 1.0
    times = [at for at, _ in events]
    assert (times[0], times[-1]) == (bars.start, bars.end)
    assert len(bars) < len(events) < 20 * len(bars)


def test_time_outside_the_bars_is_refused() -> None:
    bridge = BarBridge(crash(days=2.0), 1)
    for outside in (START - 1, START + 2 * 86_400 + 1):
        with pytest.raises(InputError, match=f"there is no price at {outside}"):
            bridge.price_at(outside)


def test_bars_that_cannot_be_bridged_are_refused() -> None:
    bars = crash(days=2.0)
    with pytest.raises(InputError, match="too short"):
        BarBridge(Bars(bars.times, bars.open, bars.high, bars.low, bars.close, MIN_STEP - 1), 1)
    with pytest.raises(InputError, match="no bars"):
        BarBridge(bars.between(0, 1), 1)


@pytest.mark.parametrize(("step", "heartbeat", "deviation"), [(0, 60, 10.0), (12, 0, 10.0), (12, 60, 0.0)])
def test_publisher_that_never_looks_is_refused(step: int, heartbeat: int, deviation: float) -> None:
    with pytest.raises(InputError, match="must all be positive"):
        next(BarBridge(crash(days=2.0), 1).events(step, heartbeat, deviation))
