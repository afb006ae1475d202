"""The implied-vol solver in Solidity: round trips, the Python kernel, and refusals outside its domain."""

from __future__ import annotations

import itertools

import mpmath
import pytest
from option_points import DAY, YEAR, Point, corner_points, exact_quote, random_points

from keeper.chain.abi import Revert
from keeper.chain.contract import Contract
from keeper.chain.evm import Evm
from keeper.pricing import black76
from keeper.units import WAD, from_wad, to_wad

LEAST_TIME_VALUE = 1e-9


@pytest.fixture(scope="module")
def solver() -> Contract:
    return Evm().deploy("ImpliedVolHarness")


def solve(solver: Contract, price: int, point: Point, is_call: bool) -> int:
    return int(solver.call("solve", price, point.forward, point.strike, point.time, point.rate, is_call))


def time_value(point: Point, price: mpmath.mpf, is_call: bool) -> mpmath.mpf:
    discount = mpmath.exp(-mpmath.mpf(point.rate) / WAD * point.time / YEAR)
    return price - discount * max((point.forward - point.strike) * (1 if is_call else -1), 0)


def is_invertible(point: Point, price: mpmath.mpf, is_call: bool) -> bool:
    """Time value above 1e-9 of spot, and below its limit by so much that the price, in wei, still says which vol."""
    discount = mpmath.exp(-mpmath.mpf(point.rate) / WAD * point.time / YEAR)
    value, limit = time_value(point, price, is_call), discount * min(point.forward, point.strike)
    return value > LEAST_TIME_VALUE * discount * point.forward and value < limit - 10


def assert_round_trips(solver: Contract, points: list[Point]) -> int:
    """Prices in 50 digits, the vol that each implies, and the price at that vol."""
    solved = 0
    for point, is_call in itertools.product(points, (True, False)):
        exact = exact_quote(point)
        price = exact.call if is_call else exact.put
        if not is_invertible(point, price, is_call):
            continue
        found = solve(solver, round(price), point, is_call)
        again = exact_quote(point._replace(vol=found))
        assert abs((again.call if is_call else again.put) - price) <= 1e-14 * point.forward + 4, (point, is_call, found)
        assert abs(found - point.vol) * exact.vega / WAD <= 1e-14 * point.forward + exact.vega / WAD + 4
        solved += 1
    return solved


def test_solve_corners_of_the_domain_round_trip(solver: Contract) -> None:
    assert assert_round_trips(solver, list(corner_points())) > 400


def test_solve_random_points_round_trip(solver: Contract) -> None:
    assert assert_round_trips(solver, list(random_points(21, 1_000))) > 1_000


@pytest.mark.fuzz
def test_solve_very_many_random_points_round_trip(solver: Contract) -> None:
    assert assert_round_trips(solver, list(random_points(22, 20_000))) > 20_000


def test_solve_random_points_equal_the_python_kernel(solver: Contract) -> None:
    for point in random_points(23, 400):
        exact = exact_quote(point)
        if not is_invertible(point, exact.call, True) or time_value(point, exact.call, True) < 1e-4 * point.forward:
            continue
        args = (from_wad(round(exact.call)), from_wad(point.forward), from_wad(point.strike), point.time / YEAR)
        want = black76.implied_vol(*args, from_wad(point.rate), True)
        slack = 1e-13 * point.forward / float(exact.vega)
        assert from_wad(solve(solver, round(exact.call), point, True)) == pytest.approx(want, abs=slack + 1e-12)


AT_THE_MONEY = Point(2_000 * WAD, 2_000 * WAD, 30 * DAY, 0, 0)


@pytest.mark.parametrize(
    ("price", "change", "is_call", "error"),
    [
        (500 * WAD - 1, {"strike": 1_500 * WAD}, True, "BelowIntrinsic"),
        (500 * WAD - 1, {"strike": 2_500 * WAD}, False, "BelowIntrinsic"),
        (2_000 * WAD, {}, True, "AboveMaximum"),
        (2_000 * WAD, {"strike": 1_500 * WAD}, True, "AboveMaximum"),
        (2_500 * WAD, {"strike": 2_500 * WAD}, False, "AboveMaximum"),
        (2**256 - 1, {}, True, "AboveMaximum"),
        (0, {}, True, "TimeValueTooSmall"),
        (500 * WAD, {"strike": 1_500 * WAD}, True, "TimeValueTooSmall"),
        (1_999 * WAD, {}, True, "VolOutOfRange"),
        (WAD, {}, True, "VolOutOfRange"),
        (WAD, {"strike": 0}, True, "PriceOutOfRange"),
        (WAD, {"time": 59}, True, "TimeOutOfRange"),
        (WAD, {"rate": WAD}, True, "RateOutOfRange"),
    ],
)
def test_solve_outside_the_domain_reverts_with_the_reason(
    solver: Contract, price: int, change: dict[str, int], is_call: bool, error: str
) -> None:
    with pytest.raises(Revert) as caught:
        solve(solver, price, AT_THE_MONEY._replace(**change), is_call)
    assert caught.value.name == error


def test_solve_golden_call_gives_its_vol_back(solver: Contract) -> None:
    found = solve(solver, to_wad(141.361235814757), Point(2_000 * WAD, 2_100 * WAD, 30 * DAY, 0, 0), True)
    assert from_wad(found) == pytest.approx(0.8, abs=1e-11)
