"""The policy kernels: when they trade, how much, and what they never do."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.errors import InputError
from keeper.hedging.bands import optimal_interval, whalley_wilmott_half_width
from keeper.hedging.policies import (
    Policy,
    PolicyConfig,
    ReasonCode,
    decide,
    fixed_band,
    fixed_time,
    none,
    whalley_wilmott,
)
from keeper.state.decision import Reason

coins = st.floats(-1e6, 1e6)
widths = st.floats(0.0, 1e3)


def ask(policy: int, target: float, position: float, **inputs: float) -> tuple[float, float, float, int]:
    """The dispatcher with everything else at a plain value."""
    plain = {
        "elapsed": math.inf, "spot": 2000.0, "gamma": 0.001, "time_to_expiry": 0.02, "rate": 0.0, "interval": 3600.0,
        "half_width": 0.5, "cost": 5e-4, "risk_aversion": 1e-3, "to_centre": 0.0,
    } | inputs  # fmt: skip
    *numbers, to_centre = plain.values()
    return decide(policy, target, position, *numbers, bool(to_centre))


@settings(deadline=None)  # the first call compiles
@given(coins, coins)
def test_none_never_trades(target: float, position: float) -> None:
    assert none(target, position) == (0.0, -math.inf, math.inf, ReasonCode.POLICY_NONE)


@pytest.mark.parametrize(
    ("elapsed", "trade", "reason"),
    [
        (3599.0, 0.0, ReasonCode.INTERVAL_NOT_DUE),
        (3600.0, 3.0, ReasonCode.INTERVAL_DUE),
        (math.inf, 3.0, ReasonCode.INTERVAL_DUE),
    ],
)
def test_fixed_time_trades_to_the_target_when_the_interval_has_passed(
    elapsed: float, trade: float, reason: ReasonCode
) -> None:
    answer = fixed_time(5.0, 2.0, elapsed, 3600.0)
    assert (answer[0], answer[3]) == (trade, reason)


@pytest.mark.parametrize(
    ("position", "trade", "reason"),
    [
        (10.5, 0.0, ReasonCode.INSIDE_BAND),
        (9.5, 0.0, ReasonCode.INSIDE_BAND),
        (10.75, -0.25, ReasonCode.OUTSIDE_BAND),
        (9.0, 0.5, ReasonCode.OUTSIDE_BAND),
    ],
)
def test_fixed_band_trades_to_the_nearest_edge(position: float, trade: float, reason: ReasonCode) -> None:
    assert fixed_band(10.0, position, 0.5, False) == (trade, 9.5, 10.5, reason)


def test_fixed_band_to_centre_trades_to_the_target() -> None:
    assert fixed_band(10.0, 10.75, 0.5, True)[0] == -0.75
    assert fixed_band(10.0, 10.25, 0.5, True)[0] == 0.0


@settings(deadline=None)  # the first call compiles
@given(coins, coins, widths)
def test_fixed_band_leaves_the_position_at_most_a_half_width_from_its_target(
    target: float, position: float, half_width: float
) -> None:
    trade, lower, upper, reason = fixed_band(target, position, half_width, False)
    slack = 1e-9 * (1.0 + abs(target) + abs(position))
    assert lower - slack <= position + trade <= upper + slack
    assert (trade != 0.0) == (reason == ReasonCode.OUTSIDE_BAND)
    assert trade * (target - position) >= 0.0  # never away from the target
    assert abs(trade) <= abs(target - position)  # never past it


@settings(deadline=None)  # the first call compiles
@given(coins, coins, st.floats(0.01, 1e5), st.floats(-10.0, 10.0), st.floats(0.0, 2.0))
def test_whalley_wilmott_is_a_fixed_band_of_its_half_width(
    target: float, position: float, spot: float, gamma: float, time_to_expiry: float
) -> None:
    half_width = whalley_wilmott_half_width(spot, gamma, time_to_expiry, 0.05, 5e-4, 1e-3)
    answer = whalley_wilmott(target, position, spot, gamma, time_to_expiry, 0.05, 5e-4, 1e-3)
    assert answer == fixed_band(target, position, half_width, False)


def test_whalley_wilmott_band_scales_as_the_cube_root_says() -> None:
    width = whalley_wilmott_half_width(2000.0, 0.001, 0.02, 0.0, 5e-4, 1e-3)
    assert width == pytest.approx((1.5 * 5e-4 * 2000.0 * 1e-6 / 1e-3) ** (1 / 3), rel=1e-14)
    assert whalley_wilmott_half_width(2000.0, 0.001, 0.02, 0.0, 8 * 5e-4, 1e-3) == pytest.approx(2 * width)
    assert whalley_wilmott_half_width(2000.0, -0.001, 0.02, 0.0, 5e-4, 8e-3) == pytest.approx(width / 2)
    assert whalley_wilmott_half_width(2000.0, 0.001, 0.02, 0.0, 0.0, 1e-3) == 0.0


def test_optimal_interval_grows_with_cost_and_shrinks_with_risk_aversion() -> None:
    interval = optimal_interval(2000.0, 0.001, 0.8, 5e-4, 1e-3)
    assert optimal_interval(2000.0, 0.001, 0.8, 8 * 5e-4, 1e-3) == pytest.approx(4 * interval)
    assert optimal_interval(2000.0, 0.001, 0.8, 5e-4, 8e-3) == pytest.approx(interval / 4)


def test_decide_answers_as_the_policy_it_names() -> None:
    assert ask(Policy.NONE, 5.0, 2.0) == none(5.0, 2.0)
    assert ask(Policy.FIXED_TIME, 5.0, 2.0) == fixed_time(5.0, 2.0, math.inf, 3600.0)
    assert ask(Policy.FIXED_BAND, 5.0, 2.0) == fixed_band(5.0, 2.0, 0.5, False)
    assert ask(Policy.FIXED_BAND, 5.0, 2.0, to_centre=1.0) == fixed_band(5.0, 2.0, 0.5, True)
    assert ask(Policy.WHALLEY_WILMOTT, 5.0, 2.0) == whalley_wilmott(5.0, 2.0, 2000.0, 0.001, 0.02, 0.0, 5e-4, 1e-3)
    assert ask(99, 5.0, 2.0)[0] == 0.0


@pytest.mark.parametrize("policy", list(Policy))
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("where", ["target", "position"])
def test_every_policy_holds_when_delta_is_not_a_number(policy: Policy, bad: float, where: str) -> None:
    target, position = (bad, 2.0) if where == "target" else (5.0, bad)
    trade, _, _, reason = ask(policy, target, position)
    assert (trade, reason) == (0.0, ReasonCode.NOT_A_NUMBER)


@pytest.mark.parametrize(
    ("policy", "inputs"),
    [
        (Policy.FIXED_TIME, {"elapsed": math.nan}),
        (Policy.FIXED_BAND, {"half_width": math.nan}),
        (Policy.WHALLEY_WILMOTT, {"gamma": math.nan}),
        (Policy.WHALLEY_WILMOTT, {"gamma": math.inf}),
        (Policy.WHALLEY_WILMOTT, {"spot": math.nan}),
        (Policy.WHALLEY_WILMOTT, {"cost": -1.0}),
    ],
)
def test_a_policy_holds_when_its_own_input_is_not_a_number(policy: Policy, inputs: dict[str, float]) -> None:
    trade, _, _, reason = ask(policy, 5.0, 2.0, **inputs)
    assert (trade, reason) == (0.0, ReasonCode.NOT_A_NUMBER)


def test_labels_parse_back_to_their_policy() -> None:
    assert [Policy.parse(policy.label) for policy in Policy] == list(Policy)
    assert Policy.parse("whalley-wilmott") is Policy.WHALLEY_WILMOTT


def test_unknown_policy_names_the_choices() -> None:
    with pytest.raises(InputError, match=r"'hope'.*none, fixed-time, fixed-band, whalley-wilmott"):
        Policy.parse("hope")


def test_reasons_carry_the_names_of_live_decisions() -> None:
    shared = {code.name for code in ReasonCode} - {"NOT_A_NUMBER"}
    assert shared <= {reason.name for reason in Reason}


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("interval", 0.0, "interval is 0.0 s"),
        ("interval", math.nan, "interval is nan"),
        ("half_width", -0.1, "half-width is -0.1"),
        ("cost", -0.001, "cost is -0.001"),
        ("cost", 1.0, "cost is 1.0"),
        ("risk_aversion", 0.0, "risk aversion is 0.0"),
    ],
)
def test_bad_parameters_are_refused_with_their_value(field: str, value: float, message: str) -> None:
    with pytest.raises(InputError, match=message):
        PolicyConfig(Policy.FIXED_BAND, **{field: value})
