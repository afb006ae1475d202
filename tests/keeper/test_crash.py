"""The parametric crash: the shape of 12 March 2020 whatever is drawn, and proper bars."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.errors import InputError
from keeper.market.crash import crash_bars
from keeper.state.bars import Bars

START = 1_583_625_600
DAY, HOUR = 86_400, 3_600


def worst_fall(bars: Bars, seconds: int) -> float:
    """The largest fall from a close to a later one at most so many seconds apart."""
    spans = range(1, seconds // bars.step + 1)
    return min(float(np.min(bars.close[span:] / bars.close[:-span])) for span in spans) - 1.0


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), days=st.sampled_from([2.0, 3.4, 9.0]), step=st.sampled_from([300, 720, 3600]))
def test_every_crash_has_the_shape(seed: int, days: float, step: int) -> None:
    bars = crash_bars(np.random.default_rng(seed), START, days, step, spot=1_000.0)
    assert len(bars) == round(days * DAY / step)
    assert bars.times.tolist() == list(range(START, START + len(bars) * step, step))
    assert bars.open[0] == pytest.approx(1_000.0, rel=1e-12)
    assert np.all((bars.low <= np.minimum(bars.open, bars.close)) & (bars.high >= np.maximum(bars.open, bars.close)))
    assert np.array_equal(bars.open[1:], bars.close[:-1])
    assert -0.7 < worst_fall(bars, DAY) < -0.5 + 1e-9
    assert -0.4 < worst_fall(bars, HOUR) < -0.23
    assert bars.close[-1] == pytest.approx(490.0, rel=1e-9)
    assert bars.close[-1] > 1.1 * bars.low.min()


def test_vol_is_many_times_higher_in_the_crash_and_clusters() -> None:
    bars = crash_bars(np.random.default_rng(1), START)
    squares = np.diff(np.log(bars.close)) ** 2
    daily = np.sqrt(squares[: 8 * 288].reshape(8, 288).sum(axis=1) * 365)
    assert daily.max() > 4.0 * daily.min()
    sizes = np.sqrt(squares)
    assert np.corrcoef(sizes[:-1], sizes[1:])[0, 1] > 0.25


def test_same_generator_same_crash() -> None:
    one, same, other = (crash_bars(np.random.default_rng(seed), START) for seed in (1, 1, 2))
    assert np.array_equal(one.close, same.close)
    assert not np.array_equal(one.close, other.close)


@pytest.mark.parametrize(("days", "step", "spot"), [(1.9, 300, 230.0), (9.0, 7, 230.0), (9.0, 0, 230.0), (9.0, 300, 0)])
def test_crash_that_cannot_be_is_refused(days: float, step: int, spot: float) -> None:
    with pytest.raises(InputError, match="a crash needs"):
        crash_bars(np.random.default_rng(1), START, days, step, spot)
