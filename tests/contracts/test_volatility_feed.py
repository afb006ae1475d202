"""The volatility feed: medians within the honest range, no arbitrage in the surface, ageing, states."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refusal
from surface_world import DEGRADED, FRESH, FROZEN, HEARTBEAT, QUORUM, STALE, deploy_feed, signed_by, submit

from keeper.chain.contract import Contract
from keeper.chain.deploy_config import SurfaceLimits, as_tuple
from keeper.chain.evm import Evm
from keeper.chain.reports import Report, submission
from keeper.market.surface import report_order, slice_for
from keeper.pricing import essvi
from keeper.units import SECONDS_PER_DAY, SECONDS_PER_YEAR, WAD, to_wad


def word(text: str) -> bytes:
    return text.encode().ljust(32, b"\0")


@pytest.fixture(scope="module")
def evm() -> Evm:
    return Evm()


@pytest.fixture(scope="module")
def feed(evm: Evm) -> Contract:
    return deploy_feed(evm)


def report_vol(evm: Evm, feed: Contract, expiry: int, vol: float, **shape: float) -> Report:
    """All reporters of a quorum agree on one slice of the model surface, now."""
    slice_ = slice_for(vol, (expiry - evm.timestamp) / SECONDS_PER_YEAR, **shape)
    report = Report.of(expiry, evm.timestamp, *slice_)
    submit(evm, feed, [report] * QUORUM)
    return report


def median(values: Sequence[int]) -> int:
    ordered = sorted(values)
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) // 2


def toward_zero(numerator: int, denominator: int) -> int:
    return numerator // denominator if numerator >= 0 else -(-numerator // denominator)


def aged(report: Report, now: int) -> tuple[int, int, int]:
    """(theta, rho psi, psi) of a report as the feed should tell it at `now`."""
    left, whole = report.expiry - now, report.expiry - report.timestamp
    rho_psi = toward_zero(report.rho * report.psi, WAD)
    return -(-report.theta * left // whole), toward_zero(rho_psi * left, whole), report.psi * left // whole


@st.composite
def honest_reports(draw: st.DrawFn, count: int) -> list[tuple[float, float, float]]:
    """Slices that honest reporters may hold of one expiry a week ahead: like, but not the same."""
    vol = draw(st.floats(0.3, 2.0))
    return [
        slice_for(vol * draw(st.floats(0.95, 1.05)), 7 / 365, draw(st.floats(-0.6, 0.2)), draw(st.floats(0.4, 1.2)))
        for _ in range(count)
    ]


lies = st.tuples(st.integers(1, 100 * WAD), st.integers(-WAD + 1, WAD - 1), st.integers(0, 4 * WAD - 1))


@settings(max_examples=60, deadline=None)
@given(data=st.data(), liars=st.integers(1, 3))
def test_median_stays_within_the_honest_range_whatever_f_of_2f_plus_1_report(
    evm: Evm, feed: Contract, data: st.DataObject, liars: int
) -> None:
    with evm.rolled_back():
        expiry, now = evm.timestamp + 7 * SECONDS_PER_DAY, evm.timestamp
        honest = [Report.of(expiry, now, *each) for each in data.draw(honest_reports(liars + 1))]
        lying = [Report(expiry, now, *data.draw(lies)) for _ in range(liars)]
        order = data.draw(st.permutations([*honest, *lying]))
        variables = [aged(report, now) for report in [*honest, *lying]]
        want = tuple(median(column) for column in zip(*variables, strict=True))
        for value, column in zip(want, zip(*variables[: liars + 1], strict=True), strict=True):
            assert min(column) <= value <= max(column)
        [event] = submit(evm, feed, order)
        # the first slice of a feed comes from a flat smile at the median's variance
        blend = event["blend"]
        shrunk = (want[0], toward_zero(want[1] * blend, WAD), want[2] * blend // WAD)
        assert (event["theta"], event["rhoPsi"], event["psi"]) == shrunk
        assert feed.call("slice", expiry) == (*shrunk, now)
        assert blend == WAD or not essvi.butterfly_ok(*(value / WAD for value in want))


@settings(max_examples=25, deadline=None)
@given(data=st.data(), count=st.integers(3, 7))
def test_median_of_honest_reports_is_stored_in_any_order_and_number(
    evm: Evm, feed: Contract, data: st.DataObject, count: int
) -> None:
    with evm.rolled_back():
        expiry, now = evm.timestamp + 7 * SECONDS_PER_DAY, evm.timestamp
        reports = [Report.of(expiry, now, *each) for each in data.draw(honest_reports(count))]
        outcomes = []
        for order in (reports, data.draw(st.permutations(reports))):
            with evm.rolled_back():
                [event] = submit(evm, feed, order)
                outcomes.append((event["theta"], event["rhoPsi"], event["psi"], event["reporters"]))
        want = tuple(median(column) for column in zip(*(aged(report, now) for report in reports), strict=True))
        assert outcomes == [(*want, count)] * 2


def test_reports_of_different_times_are_aged_to_the_median_time(evm: Evm, feed: Contract) -> None:
    with evm.rolled_back():
        expiry = evm.timestamp + SECONDS_PER_DAY
        times = [evm.timestamp - age for age in (900, 60, 0)]
        # the same vol seen at three times: aged to one moment, all three must say the same
        reports = [Report.of(expiry, time, *slice_for(0.9, (expiry - time) / SECONDS_PER_YEAR)) for time in times]
        [event] = submit(evm, feed, reports)
        assert event["timestamp"] == times[1]
        left = (expiry - evm.timestamp) / SECONDS_PER_YEAR
        assert event["theta"] / WAD == pytest.approx(0.81 * left, rel=1e-12)
        vol = feed.call("volatility", expiry, 2000 * WAD, 2000 * WAD) / WAD
        assert vol == pytest.approx(0.9, rel=1e-12)


@pytest.mark.parametrize("strike", [1600, 1800, 2000, 2200, 2400])
def test_volatility_of_the_golden_slice_at_report_time_and_later(evm: Evm, feed: Contract, strike: int) -> None:
    golden = {1600: 0.612403, 1800: 0.527637, 2000: 0.461429, 2200: 0.440330, 2400: 0.458115}
    with evm.rolled_back():
        expiry = evm.timestamp + 30 * SECONDS_PER_DAY
        submit(evm, feed, [Report.of(expiry, evm.timestamp, 0.0175, -0.30, 0.12)] * QUORUM)
        for elapsed in (0, SECONDS_PER_DAY, 29 * SECONDS_PER_DAY - 61):
            evm.advance(elapsed)
            vol = feed.call("volatility", expiry, strike * WAD, 2000 * WAD) / WAD
            assert vol == pytest.approx(golden[strike], abs=6e-7)


def test_slice_shrinks_with_the_time_left(evm: Evm, feed: Contract) -> None:
    with evm.rolled_back():
        expiry = evm.timestamp + 10 * SECONDS_PER_DAY
        report = report_vol(evm, feed, expiry, 0.8)
        for elapsed in (1, 12_345, 5 * SECONDS_PER_DAY, 0):
            evm.advance(elapsed)
            assert feed.call("slice", expiry) == (*aged(report, evm.timestamp), report.timestamp)
        evm.timestamp = expiry + 5
        assert feed.call("slice", expiry) == (0, 0, 0, report.timestamp)


def test_slice_that_was_never_reported_is_refused(evm: Evm, feed: Contract) -> None:
    assert refusal(lambda: feed.call("slice", 1_800_000_000)) == ("NoSlice", 1_800_000_000)


@pytest.mark.parametrize(
    ("age", "want"),
    [(0, FRESH), (1, FRESH), (1.001, DEGRADED), (2, DEGRADED), (2.001, STALE), (8, STALE), (8.001, FROZEN)],
)
def test_state_follows_the_age_in_heartbeats(evm: Evm, feed: Contract, age: float, want: int) -> None:
    with evm.rolled_back():
        expiry = evm.timestamp + SECONDS_PER_DAY
        report_vol(evm, feed, expiry, 0.8)
        evm.advance(math.ceil(age * HEARTBEAT))
        assert feed.call("state", expiry) == want


def test_state_between_expiries_is_the_worse_and_beyond_the_last_or_after_expiry_frozen(
    evm: Evm, feed: Contract
) -> None:
    with evm.rolled_back():
        near, far = (evm.timestamp + days * SECONDS_PER_DAY for days in (1, 3))
        report_vol(evm, feed, far, 0.8)
        evm.advance(2 * HEARTBEAT)
        report_vol(evm, feed, near, 0.8)
        assert [feed.call("state", at) for at in (near - 60, near, near + 60, far, far + 1)] == [
            FRESH, FRESH, DEGRADED, DEGRADED, FROZEN,
        ]  # fmt: skip
        evm.timestamp = near
        assert feed.call("state", near) == FROZEN


@settings(max_examples=25, deadline=None)
@given(
    share=st.floats(0.0, 1.0), near_vol=st.floats(0.4, 1.5), more=st.floats(1.0, 1.3), moneyness=st.floats(-0.5, 0.5)
)
def test_volatility_between_expiries_is_linear_in_the_three_variables(
    evm: Evm, feed: Contract, share: float, near_vol: float, more: float, moneyness: float
) -> None:
    with evm.rolled_back():
        near, far = (evm.timestamp + days * SECONDS_PER_DAY for days in (2, 9))
        report_vol(evm, feed, far, near_vol * more)
        report_vol(evm, feed, near, near_vol)
        evm.advance(HEARTBEAT // 2)
        asked = round(near + share * (far - near))
        times = [(expiry - evm.timestamp) / SECONDS_PER_YEAR for expiry in (asked, near, far)]
        edges = [[value / WAD for value in feed.call("slice", expiry)[:3]] for expiry in (near, far)]
        between = essvi.interpolate(times[0], times[1], *edges[0], times[2], *edges[1])
        want = essvi.implied_vol(2000.0, 2000.0 * math.exp(moneyness), times[0], *between)
        got = feed.call("volatility", asked, to_wad(2000.0 * math.exp(moneyness)), 2000 * WAD) / WAD
        assert got == pytest.approx(want, rel=1e-9)


def test_volatility_before_the_first_expiry_is_that_of_the_first_at_the_money(evm: Evm, feed: Contract) -> None:
    with evm.rolled_back():
        first = evm.timestamp + 5 * SECONDS_PER_DAY
        report_vol(evm, feed, first, 0.75)
        vol = feed.call("volatility", evm.timestamp + SECONDS_PER_DAY, 2000 * WAD, 2000 * WAD) / WAD
        assert vol == pytest.approx(0.75, rel=1e-12)


def test_volatility_beyond_the_last_expiry_or_at_a_passed_one_is_refused(evm: Evm, feed: Contract) -> None:
    with evm.rolled_back():
        last = evm.timestamp + 5 * SECONDS_PER_DAY
        report_vol(evm, feed, last, 0.75)
        assert refusal(lambda: feed.call("volatility", last + 1, WAD, WAD)) == ("NoSlice", last + 1)
        evm.timestamp = last
        assert refusal(lambda: feed.call("volatility", last, WAD, WAD)) == ("ExpiryPassed", last)


@pytest.mark.parametrize(
    ("theta", "rho", "psi", "condition"),
    [
        (0.0, 0.0, 0.0, "theta"),
        (101.0, 0.0, 0.1, "theta"),
        (0.01, -1.0, 0.1, "rho"),
        (0.01, 1.0, 0.1, "rho"),
        (0.01, 0.0, 4.0, "psi"),
    ],
)
def test_report_outside_the_domain_is_refused_by_name(
    evm: Evm, feed: Contract, theta: float, rho: float, psi: float, condition: str
) -> None:
    expiry = evm.timestamp + SECONDS_PER_DAY
    report = Report.of(expiry, evm.timestamp, theta, rho, psi)
    assert refusal(lambda: submit(evm, feed, [report] * QUORUM)) == ("NotAdmissible", expiry, word(condition))


@pytest.mark.parametrize(
    ("theta", "rho", "psi"),
    [(0.01, -0.3, 0.18), (90.0, 0.5, 2.7)],  # (psi + |rho psi| / 2)^2 > 4 theta; psi + |rho psi| > 4
)
def test_slice_with_a_butterfly_is_stored_as_far_as_it_has_none_and_flagged(
    evm: Evm, feed: Contract, theta: float, rho: float, psi: float
) -> None:
    with evm.rolled_back():
        expiry = evm.timestamp + SECONDS_PER_DAY
        [event] = submit(evm, feed, [Report.of(expiry, evm.timestamp, theta, rho, psi)] * QUORUM)
        stored_psi, bound = event["psi"] / WAD, min(4.0 / (1 + abs(rho)), 2 * math.sqrt(theta) / (1 + abs(rho) / 2))
        assert event["theta"] == to_wad(theta, "up")
        assert stored_psi == pytest.approx(bound, rel=2e-6)
        assert stored_psi <= bound
        assert event["blend"] / WAD == pytest.approx(bound / psi, rel=2e-6)


def three_slices(evm: Evm, feed: Contract) -> tuple[int, int, int]:
    near, middle, far = (evm.timestamp + days * SECONDS_PER_DAY for days in (2, 4, 8))
    for expiry in (far, middle, near):
        report_vol(evm, feed, expiry, 0.8)
    evm.advance(60)
    return near, middle, far


@pytest.mark.parametrize(
    ("vol", "bound"),
    [(0.5, 2), (1.2, 8)],  # 0.5^2 x 4 days is less variance than 0.8^2 x 2 days; 1.2^2 x 4 is more than 0.8^2 x 8
)
def test_slice_goes_as_far_as_its_neighbours_let_it_and_moves_neither(
    evm: Evm, feed: Contract, vol: float, bound: int
) -> None:
    with evm.rolled_back():
        near, middle, far = three_slices(evm, feed)
        neighbours = [feed.call("slice", expiry) for expiry in (near, far)]
        edge = neighbours[0] if bound == 2 else neighbours[1]
        [event] = submit(evm, feed, [Report.of(middle, evm.timestamp, *model(evm, middle, vol))] * QUORUM)
        assert event["blend"] < WAD
        # either theta meets its neighbour's, or another condition stopped it before
        reached = abs(event["theta"] / edge[0] - 1)
        surface = [[value / WAD for value in feed.call("slice", expiry)[:3]] for expiry in (near, middle, far)]
        assert reached < 2e-6 or essvi_slack(surface) < 2e-6
        assert [feed.call("slice", expiry) for expiry in (near, far)] == neighbours


def model(evm: Evm, expiry: int, vol: float) -> tuple[float, float, float]:
    return slice_for(vol, (expiry - evm.timestamp) / SECONDS_PER_YEAR)


def essvi_slack(surface: list[list[float]]) -> float:
    """Distance of the middle slice from the nearest calendar condition, relative to its size."""
    slacks = []
    for (theta1, rho_psi1, psi1), (theta2, rho_psi2, psi2) in ((surface[0], surface[1]), (surface[1], surface[2])):
        slacks += [theta2 / theta1 - 1, (psi2 - psi1 - abs(rho_psi2 - rho_psi1)) / psi2]
        slacks += [1 - psi2 / theta2 * theta1 / psi1]
    return min(slacks)


def test_a_frozen_neighbour_does_not_veto(evm: Evm, feed: Contract) -> None:
    with evm.rolled_back():
        near, middle, far = (evm.timestamp + days * SECONDS_PER_DAY for days in (2, 3, 4))
        report_vol(evm, feed, far, 0.5)
        report_vol(evm, feed, middle, 0.5)
        report = Report.of(near, evm.timestamp, *model(evm, near, 2.0))
        [event] = submit(evm, feed, [report] * QUORUM)
        assert event["blend"] < WAD
        evm.advance(8 * HEARTBEAT + 1)
        report = Report.of(near, evm.timestamp, *model(evm, near, 2.0))
        [event] = submit(evm, feed, [report] * QUORUM)
        assert event["blend"] == WAD
        # middle is still frozen, but near is alive, and far starts above it
        [event] = submit(evm, feed, [Report.of(far, evm.timestamp, *model(evm, far, 0.5))] * QUORUM)
        assert event["blend"] < WAD
        assert event["theta"] >= feed.call("slice", near)[0]


def test_slice_that_cannot_move_is_held_and_grows_old(evm: Evm, feed: Contract) -> None:
    with evm.rolled_back():
        near, far = (evm.timestamp + days * SECONDS_PER_DAY for days in (2, 4))
        flat = Report.of(near, evm.timestamp, 0.01, 0.0, 0.0)
        submit(evm, feed, [flat] * QUORUM)
        submit(evm, feed, [replace(flat, expiry=far, theta=to_wad(0.02))] * QUORUM)
        evm.advance(HEARTBEAT)
        before = feed.call("stored", near)
        # psi can only grow together with the later slice's, which is flat
        smile = Report.of(near, evm.timestamp, 0.01, 0.0, 0.1)
        receipt = feed.send("submit", *submission(signed_by(evm, feed, [smile] * QUORUM)))
        assert [event["timestamp"] for event in receipt.events("SliceHeld")] == [evm.timestamp]
        assert (receipt.events("SliceUpdated"), feed.call("stored", near)) == ([], before)
        evm.advance(1)
        assert feed.call("state", near) == DEGRADED
        # nor the later one's, whose psi / theta may not exceed the earlier's: both wait until they leave the surface
        assert submit(evm, feed, [replace(smile, expiry=far, theta=to_wad(0.02))] * QUORUM) == []
        evm.advance(7 * HEARTBEAT)
        for expiry, theta in ((near, 0.01), (far, 0.02)):
            assert feed.call("state", expiry) == FROZEN
            [event] = submit(evm, feed, [Report.of(expiry, evm.timestamp, theta, 0.0, 0.1)] * QUORUM)
            assert (event["blend"], feed.call("state", expiry)) == (WAD, FRESH)


@settings(max_examples=20, deadline=None)
@given(vols=st.lists(st.floats(0.2, 3.0), min_size=2, max_size=5))
def test_model_surface_is_admissible_through_any_vol_moves_in_report_order(
    evm: Evm, feed: Contract, vols: list[float]
) -> None:
    with evm.rolled_back():
        expiries = [evm.timestamp + days * SECONDS_PER_DAY for days in (1, 7, 14)]
        previous = 0.0
        for vol in vols:
            for expiry in report_order(expiries, vol_is_rising=vol > previous):
                report_vol(evm, feed, expiry, vol)
            previous = vol
            evm.advance(HEARTBEAT // 2)
        surface = [[value / WAD for value in feed.call("slice", expiry)[:3]] for expiry in expiries]
        assert all(essvi.butterfly_ok(*slice_) for slice_ in surface)
        assert essvi.calendar_ok(*surface[0], *surface[1])
        assert essvi.calendar_ok(*surface[1], *surface[2])


def test_expiries_are_sorted_unique_and_drop_those_that_passed(evm: Evm, feed: Contract) -> None:
    with evm.rolled_back():
        a, b, c, d = (evm.timestamp + days * SECONDS_PER_DAY for days in (1, 2, 3, 4))
        for expiry in (d, b, c, a):
            report_vol(evm, feed, expiry, 0.8)
        evm.advance(12)
        report_vol(evm, feed, b, 0.8)
        assert feed.call("expiries") == (a, b, c, d)
        evm.timestamp = b
        assert feed.call("expiries") == (c, d)
        e = d + 100
        report_vol(evm, feed, d, 0.8)
        report_vol(evm, feed, e, 0.8)
        assert feed.call("expiries") == (c, d, e)
        report = Report.of(a, evm.timestamp, 0.01, 0.0, 0.1)
        assert refusal(lambda: submit(evm, feed, [report] * QUORUM)) == ("ExpiryPassed", a)


def test_more_than_sixteen_live_expiries_are_refused_until_one_passes(evm: Evm, feed: Contract) -> None:
    with evm.rolled_back():
        expiries = [evm.timestamp + days * SECONDS_PER_DAY for days in range(1, 18)]
        for expiry in expiries[:16]:
            report_vol(evm, feed, expiry, 0.8)
        assert refusal(lambda: report_vol(evm, feed, expiries[16], 0.8)) == ("TooManyExpiries", 16)
        evm.timestamp = expiries[0]
        report_vol(evm, feed, expiries[16], 0.8)
        assert feed.call("expiries") == tuple(expiries[1:])


@pytest.mark.parametrize(("heartbeat", "quorum", "why"), [
    (0, 3, ("HeartbeatOutOfRange", 0)), (60, 0, ("QuorumOutOfRange", 0, 16)), (60, 17, ("QuorumOutOfRange", 17, 16)),
])  # fmt: skip
def test_a_feed_that_could_not_work_is_refused(evm: Evm, heartbeat: int, quorum: int, why: tuple[Any, ...]) -> None:
    assert refusal(lambda: deploy_feed(evm, heartbeat=heartbeat, quorum=quorum)) == why


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("maxRise", 0), ("maxRise", 10**24 + 1), ("maxFall", 0), ("maxFall", 10**24 + 1), ("maxDeviation", 0),
        ("maxDeviation", WAD + 1), ("maxMisses", 0), ("maxMisses", 256), ("exclusion", 365 * SECONDS_PER_DAY + 1),
        ("maxRealizedRatio", WAD - 1), ("maxRealizedRatio", 10**24 + 1),
    ],
)  # fmt: skip
def test_limits_that_would_bound_nothing_are_refused_by_name(evm: Evm, name: str, value: int) -> None:
    names = ["maxRise", "maxFall", "maxDeviation", "maxMisses", "exclusion", "maxRealizedRatio"]
    limits = [value if each == name else sane for each, sane in zip(names, as_tuple(SurfaceLimits()), strict=True)]
    assert refusal(lambda: deploy_feed(evm, limits)) == ("LimitOutOfRange", word(name), value)
