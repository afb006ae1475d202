"""What the surface allows when, who is bounded how: states, the action table, the clamp, reporters that are off."""

from __future__ import annotations

import math

import pytest
from refusals import refusal
from surface_world import (
    DEGRADED,
    FRESH,
    FROZEN,
    HEARTBEAT,
    QUORUM,
    REPORTERS,
    STALE,
    deploy_feed,
    signed_by,
    submit,
)

from keeper.chain import accounts
from keeper.chain.abi import Revert
from keeper.chain.contract import Contract
from keeper.chain.deploy_config import SurfaceLimits, as_tuple
from keeper.chain.evm import Evm
from keeper.chain.reports import Report, submission
from keeper.market.surface import slice_for
from keeper.units import SECONDS_PER_DAY, SECONDS_PER_YEAR, WAD, to_wad

LIMITS = SurfaceLimits(max_rise=2.0, max_fall=1.0, max_deviation=0.05, max_misses=3, exclusion=7_200)
ALWAYS, TRADING = {FRESH, DEGRADED, STALE, FROZEN}, {FRESH, DEGRADED}
TABLE: dict[str, set[int]] = {
    "quote": TRADING,
    "open": TRADING,
    "close": TRADING,
    "deposit": TRADING,
    "hedge": {FRESH},
    "hedge stressed": {FRESH, DEGRADED, STALE},
    "redeem": ALWAYS,
    "deleverage": ALWAYS,
    "liquidate": ALWAYS,
    "settle": ALWAYS,
    "withdraw": ALWAYS,
}
"""Which states allow which action, in the contract's order."""


@pytest.fixture
def evm() -> Evm:
    return Evm()


@pytest.fixture
def feed(evm: Evm) -> Contract:
    return deploy_feed(evm, as_tuple(LIMITS))


def report(evm: Evm, expiry: int, vol: float, **shape: float) -> Report:
    return Report.of(expiry, evm.timestamp, *slice_for(vol, (expiry - evm.timestamp) / SECONDS_PER_YEAR, **shape))


def month(evm: Evm) -> int:
    return evm.timestamp + 30 * SECONDS_PER_DAY


def test_action_table_is_what_is_written_here_in_every_cell(evm: Evm) -> None:
    harness = evm.deploy("SurfaceHarness")
    for action, states in enumerate(TABLE.values()):
        assert {state for state in range(4) if harness.call("allows", action, state)} == states
    with pytest.raises(Revert):
        harness.call("allows", len(TABLE), FRESH)


def test_action_that_a_state_allows_is_allowed_by_every_better_one() -> None:
    for states in TABLE.values():
        assert states == set(range(len(states)))


@pytest.mark.parametrize(("up", "speed"), [(True, 2.0), (False, 1.0)])
@pytest.mark.parametrize("elapsed", [1, 60, 1_200, 5_000])
def test_vol_moves_no_faster_than_the_clamp_and_as_fast(
    evm: Evm, feed: Contract, up: bool, speed: float, elapsed: int
) -> None:
    expiry = month(evm)
    submit(evm, feed, [report(evm, expiry, 0.8)] * QUORUM)
    before = feed.call("volatility", expiry, WAD, WAD) / WAD
    evm.advance(elapsed)
    [event] = submit(evm, feed, [report(evm, expiry, 3.0 if up else 0.1)] * QUORUM)
    moved = abs(math.log(feed.call("volatility", expiry, WAD, WAD) / WAD / before))
    assert moved == pytest.approx(speed * math.sqrt(elapsed / SECONDS_PER_DAY), rel=1e-5)
    assert event["blend"] < WAD
    # it last agreed at the first report
    assert feed.call("state", expiry) == (DEGRADED if elapsed <= 2 * HEARTBEAT else STALE)


def test_slice_that_stays_short_of_the_reports_grows_old_and_then_starts_anew(evm: Evm, feed: Contract) -> None:
    expiry, states = month(evm), []
    submit(evm, feed, [report(evm, expiry, 0.3)] * QUORUM)
    for _ in range(12):
        evm.advance(HEARTBEAT)
        states.append(feed.call("state", expiry))
        submit(evm, feed, [report(evm, expiry, 4.0)] * QUORUM)
    assert states == [FRESH, DEGRADED, STALE, STALE, STALE, STALE, STALE, STALE, FROZEN, FRESH, FRESH, FRESH]
    assert feed.call("volatility", expiry, WAD, WAD) / WAD == pytest.approx(4.0)


def test_reporter_that_misses_too_often_is_out_until_time_or_the_admin_brings_it_back(evm: Evm, feed: Contract) -> None:
    expiry, liar = month(evm), accounts.address_of(REPORTERS[0])
    names, misses = REPORTERS[:4], []
    for _ in range(3):
        evm.advance(HEARTBEAT)
        reports = [report(evm, expiry, vol) for vol in (0.9, 0.8, 0.801, 0.799)]
        receipt = feed.send("submit", *submission(signed_by(evm, feed, reports, names)))
        misses += [(event["reporter"], event["misses"]) for event in receipt.events("ReporterMissed")]
    assert misses == [(liar, 1), (liar, 2), (liar, 3)]
    until = evm.timestamp + LIMITS.exclusion
    assert [event["until"] for event in receipt.events("ReporterExcluded")] == [until]
    evm.advance(60)
    again = [report(evm, expiry, 0.8)] * 4
    assert refusal(lambda: submit(evm, feed, again, names)) == ("ReporterIsExcluded", liar, until)
    assert submit(evm, feed, again, REPORTERS[1:4])
    with evm.rolled_back():
        evm.timestamp = until
        assert submit(evm, feed, [report(evm, expiry, 0.8)] * 4, names)
    assert refusal(lambda: feed.send("readmit", liar))[0] == "AccessControlUnauthorizedAccount"
    feed.send("readmit", liar, sender=evm.account("admin"))
    evm.advance(1)
    assert submit(evm, feed, [report(evm, expiry, 0.8)] * 4, names)


def test_misses_of_one_heartbeat_count_once_and_old_ones_are_forgotten(evm: Evm, feed: Contract) -> None:
    liar, expiries = accounts.address_of(REPORTERS[0]), [month(evm) + day * SECONDS_PER_DAY for day in range(6)]

    def miss(expiry: int) -> None:
        submit(evm, feed, [report(evm, expiry, vol) for vol in (0.9, 0.8, 0.8)])

    for expiry in expiries:
        miss(expiry)
        evm.advance(10)
    assert feed.call("reporterOf", liar)[1] == 1
    evm.advance(HEARTBEAT)
    miss(expiries[0])
    assert feed.call("reporterOf", liar)[1] == 2
    evm.advance(8 * HEARTBEAT + 1)
    miss(expiries[0])
    assert feed.call("reporterOf", liar)[1] == 1


def test_nobody_is_excluded_whom_the_quorum_needs(evm: Evm) -> None:
    feed = deploy_feed(evm, as_tuple(LIMITS), REPORTERS[:3])
    expiry, liar = month(evm), accounts.address_of(REPORTERS[0])
    for _ in range(8):
        evm.advance(HEARTBEAT)
        assert submit(evm, feed, [report(evm, expiry, vol) for vol in (2.0, 0.8, 0.8)])
    assert feed.call("reporterOf", liar)[3] == 0
    feed.send("grantRole", feed.call("REPORTER"), accounts.address_of(REPORTERS[3]), sender=evm.account("admin"))
    evm.advance(HEARTBEAT)
    submit(evm, feed, [report(evm, expiry, vol) for vol in (2.0, 0.8, 0.8)])
    assert feed.call("reporterOf", liar)[3] == evm.timestamp + LIMITS.exclusion


def test_honest_report_that_was_kept_back_while_vol_moved_is_no_miss(evm: Evm, feed: Contract) -> None:
    expiry = month(evm)
    kept = report(evm, expiry, 0.8)
    evm.advance(HEARTBEAT // 2)
    receipt = feed.send("submit", *submission(signed_by(evm, feed, [kept, *[report(evm, expiry, 1.0)] * 2])))
    assert receipt.events("ReporterMissed") == []


def test_revoked_reporter_keeps_its_exclusion_and_its_place_is_free(evm: Evm, feed: Contract) -> None:
    admin, role = evm.account("admin"), feed.call("REPORTER")
    first, last = (accounts.address_of(REPORTERS[place]) for place in (0, -1))
    feed.send("revokeRole", role, first, sender=admin)
    assert feed.call("reporters") == (last, *(accounts.address_of(name) for name in REPORTERS[1:-1]))
    reports = [report(evm, month(evm), 0.8)] * QUORUM
    assert refusal(lambda: submit(evm, feed, reports)) == ("NotReporter", first)
    for number in range(10):
        feed.send("grantRole", role, accounts.address_of(f"new-{number}"), sender=admin)
    assert refusal(lambda: feed.send("grantRole", role, first, sender=admin)) == ("TooManyReporters", 16)


@pytest.mark.parametrize(
    ("ratio", "age", "broken", "want"),
    [
        (1.0, 0, False, FRESH),
        (2.99, 0, False, FRESH),
        (3.01, 0, False, DEGRADED),
        (1 / 2.99, 0, False, FRESH),
        (1 / 3.01, 0, False, DEGRADED),
        (100.0, 8 * HEARTBEAT, False, DEGRADED),
        (100.0, 8 * HEARTBEAT + 1, False, FRESH),  # too old to say anything
        (100.0, 0, True, FRESH),
        (1e9, 0, False, DEGRADED),
    ],
)
def test_surface_far_from_a_live_realised_vol_is_degraded(
    evm: Evm, ratio: float, age: int, broken: bool, want: int
) -> None:
    mock = evm.deploy("RealizedMock")
    feed = deploy_feed(evm, as_tuple(LIMITS), realized=mock.address)
    expiry = month(evm)
    submit(evm, feed, [report(evm, expiry, 0.8)] * QUORUM)
    mock.send("set", to_wad(0.8 * ratio), evm.timestamp - age, broken)
    assert feed.call("state", expiry) == want


def test_guardian_halts_the_surface_for_a_time_and_not_again_at_once(evm: Evm, feed: Contract) -> None:
    expiry, guardian = month(evm), evm.account("guardian")
    assert refusal(lambda: feed.send("halt", sender=guardian))[0] == "AccessControlUnauthorizedAccount"
    feed.send("grantRole", feed.call("GUARDIAN"), guardian, sender=evm.account("admin"))
    feed.send("halt", sender=guardian)
    end = evm.timestamp + 8 * HEARTBEAT
    for _ in range(8):
        submit(evm, feed, [report(evm, expiry, 0.8)] * QUORUM)
        assert feed.call("state", expiry) == STALE
        evm.advance(HEARTBEAT)
    assert (evm.timestamp, feed.call("state", expiry)) == (end, FRESH)
    assert refusal(lambda: feed.send("halt", sender=guardian)) == ("HaltedTooSoon", end + 8 * HEARTBEAT)
    evm.timestamp = end + 8 * HEARTBEAT
    feed.send("halt", sender=guardian)
