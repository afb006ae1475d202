"""The volatility feed: medians within the honest range, no arbitrage in the surface, ageing, states."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.chain import accounts
from keeper.chain.abi import Revert
from keeper.chain.contract import Contract
from keeper.chain.evm import Evm
from keeper.chain.reports import Report, SignedReport, sign, submission
from keeper.market.surface import report_order, slice_for
from keeper.pricing import essvi
from keeper.units import SECONDS_PER_DAY, SECONDS_PER_YEAR, WAD, to_wad

HEARTBEAT = 1_200
QUORUM = 3
REPORTERS = [f"reporter-{number}" for number in range(1, 8)]
FRESH, DEGRADED, STALE, FROZEN = range(4)


def refusal(action: Callable[[], Any]) -> tuple[Any, ...]:
    with pytest.raises(Revert) as caught:
        action()
    return (caught.value.name, *caught.value.args)


def word(text: str) -> bytes:
    return text.encode().ljust(32, b"\0")


@pytest.fixture(scope="module")
def evm() -> Evm:
    return Evm()


@pytest.fixture(scope="module")
def feed(evm: Evm) -> Contract:
    admin = evm.account("admin")
    feed = evm.deploy("VolatilityFeed", admin, HEARTBEAT, QUORUM)
    for name in REPORTERS:
        feed.send("grantRole", feed.call("REPORTER"), accounts.address_of(name), sender=admin)
    return feed


def signed_by(evm: Evm, feed: Contract, reports: Sequence[Report]) -> list[SignedReport]:
    """Each report signed by a reporter of its own."""
    return [
        sign(report, accounts.key_of(name), evm.chain_id, feed.address)
        for name, report in zip(REPORTERS, reports, strict=False)
    ]


def submit(evm: Evm, feed: Contract, reports: Sequence[Report]) -> list[dict[str, Any]]:
    return feed.send("submit", *submission(signed_by(evm, feed, reports))).events("SliceUpdated")


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


lies = st.tuples(st.integers(0, 100 * WAD), st.integers(-WAD + 1, WAD - 1), st.integers(0, 4 * WAD - 1))


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
        [event] = submit(evm, feed, order)
        stored = (event["theta"], event["rhoPsi"], event["psi"])
        assert stored == want
        for value, column in zip(stored, zip(*variables[: liars + 1], strict=True), strict=True):
            assert min(column) <= value <= max(column)
        assert feed.call("slice", expiry) == (*want, now)


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
        left = (expiry - times[1]) / SECONDS_PER_YEAR
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
        (0.01, -0.3, 0.18, "butterfly"),  # (psi + |rho psi| / 2)^2 > 4 theta
        (90.0, 0.5, 2.7, "butterfly"),  # psi + |rho psi| > 4
        (0.0, 0.0, 0.0, "butterfly"),
        (0.01, -1.0, 0.1, "rho"),
        (0.01, 1.0, 0.1, "rho"),
        (0.01, 0.0, 4.0, "psi"),
        (101.0, 0.0, 0.1, "theta"),
    ],
)
def test_slice_that_is_not_admissible_is_refused_by_name(
    evm: Evm, feed: Contract, theta: float, rho: float, psi: float, condition: str
) -> None:
    expiry = evm.timestamp + SECONDS_PER_DAY
    report = Report.of(expiry, evm.timestamp, theta, rho, psi)
    assert refusal(lambda: submit(evm, feed, [report] * QUORUM)) == ("NotAdmissible", expiry, word(condition))


def test_calendar_arbitrage_with_either_neighbour_is_refused(evm: Evm, feed: Contract) -> None:
    with evm.rolled_back():
        near, middle, far = (evm.timestamp + days * SECONDS_PER_DAY for days in (2, 4, 8))
        report_vol(evm, feed, near, 0.8)
        report_vol(evm, feed, far, 0.8)
        # 0.5^2 x 4 days is less variance than 0.8^2 x 2 days; 1.2^2 x 4 days is more than 0.8^2 x 8 days
        low = refusal(lambda: report_vol(evm, feed, middle, 0.5))
        assert low == ("NotAdmissible", middle, word("calendarEarlier"))
        high = refusal(lambda: report_vol(evm, feed, middle, 1.2))
        assert high == ("NotAdmissible", middle, word("calendarLater"))
        report_vol(evm, feed, middle, 0.8)
        assert feed.call("expiries") == (near, middle, far)


def test_a_frozen_neighbour_does_not_veto(evm: Evm, feed: Contract) -> None:
    with evm.rolled_back():
        near, middle, far = (evm.timestamp + days * SECONDS_PER_DAY for days in (2, 3, 4))
        report_vol(evm, feed, far, 0.5)
        report_vol(evm, feed, middle, 0.5)
        assert refusal(lambda: report_vol(evm, feed, near, 2.0))[0] == "NotAdmissible"
        evm.advance(8 * HEARTBEAT + 1)
        report_vol(evm, feed, near, 2.0)
        # middle is still frozen, but near is alive, and far is measured against it
        assert refusal(lambda: report_vol(evm, feed, far, 0.5)) == ("NotAdmissible", far, word("calendarEarlier"))


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
    (0, 3, ("ZeroHeartbeat",)), (60, 0, ("QuorumOutOfRange", 0, 16)), (60, 17, ("QuorumOutOfRange", 17, 16)),
])  # fmt: skip
def test_a_feed_that_could_not_work_is_refused(evm: Evm, heartbeat: int, quorum: int, why: tuple[Any, ...]) -> None:
    assert refusal(lambda: evm.deploy("VolatilityFeed", evm.account("admin"), heartbeat, quorum)) == why
