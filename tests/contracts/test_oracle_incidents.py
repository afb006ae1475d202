"""What has gone wrong at other oracles, as regression tests of ours; `docs/incidents.md` names them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from option_world import OptionWorld, straddle_world
from refusals import refusal
from surface_world import (
    FRESH,
    FROZEN,
    HEARTBEAT,
    QUORUM,
    REPORTERS,
    STALE,
    UNBOUNDED,
    deploy_feed,
    domain_of,
    sign_quickly,
    signed_by,
    submit,
)

from keeper.chain import accounts
from keeper.chain.contract import Contract
from keeper.chain.evm import Evm
from keeper.chain.reports import Report, submission
from keeper.market.surface import slice_for
from keeper.units import SECONDS_PER_DAY, SECONDS_PER_YEAR, WAD


@pytest.fixture
def evm() -> Evm:
    return Evm()


@pytest.fixture
def feed(evm: Evm) -> Contract:
    return deploy_feed(evm)


def report(evm: Evm, vol: float = 0.8, expiry: int | None = None) -> Report:
    expiry = evm.timestamp + 30 * SECONDS_PER_DAY if expiry is None else expiry
    return Report.of(expiry, evm.timestamp, *slice_for(vol, (expiry - evm.timestamp) / SECONDS_PER_YEAR))


def test_incident_26_report_from_the_future_out_of_order_or_from_elsewhere_counts_nowhere(
    evm: Evm, feed: Contract
) -> None:
    now = report(evm)
    future = replace(now, timestamp=evm.timestamp + 1)
    assert refusal(lambda: submit(evm, feed, [now, now, future]))[0] == "ReportFromFuture"
    submit(evm, feed, [now] * QUORUM)
    assert refusal(lambda: submit(evm, feed, [now] * QUORUM)) == ("ReportTooOld", now.timestamp, now.timestamp)
    evm.advance(10)
    older = replace(now, timestamp=now.timestamp - 1)
    assert refusal(lambda: submit(evm, feed, [older] * QUORUM))[0] == "ReportTooOld"
    twin = deploy_feed(evm)
    for domain in (domain_of(evm.chain_id, twin.address), domain_of(evm.chain_id + 1, feed.address)):
        signed = [sign_quickly(report(evm), accounts.key_of(name), domain) for name in REPORTERS[:QUORUM]]
        assert refusal(lambda signed=signed: feed.send("submit", *submission(signed)))[0] == "NotReporter"


def test_incident_30_stolen_aggregator_with_one_key_moves_nothing_and_is_noticed(evm: Evm) -> None:
    feed = deploy_feed(evm, (*UNBOUNDED[:2], WAD // 20, 3, 3_600, UNBOUNDED[5]))
    true, lie = report(evm), report(evm, 3.0)
    # the carrier makes up what it likes; without a quorum of keys that each sign a value of their own nothing counts
    assert refusal(lambda: submit(evm, feed, [lie])) == ("QuorumNotMet", 1, QUORUM)
    one = signed_by(evm, feed, [lie])[0]
    assert refusal(lambda: feed.send("submit", *submission([one] * QUORUM)))[0] == "ReportersNotAscending"
    receipt = feed.send("submit", *submission(signed_by(evm, feed, [lie, true, true])))
    assert feed.call("slice", true.expiry)[0] == true.theta
    assert [event["reporter"] for event in receipt.events("ReporterMissed")] == [accounts.address_of(REPORTERS[0])]


def test_incident_33_breaker_traps_nobody_and_ends_by_itself(evm: Evm) -> None:
    world = straddle_world()
    guardian = world.account("guardian")
    world.surface.send("grantRole", world.surface.call("GUARDIAN"), guardian, sender=world.admin)
    world.surface.send("halt", sender=guardian)
    expiry = world.expiries[0]
    assert world.surface.call("state", expiry) == STALE
    assert_exits_are_open(world)
    # nobody reports any more: worse than any halt, and still no trap
    world.move(world.price() / WAD, 9 * 3_600)
    assert world.surface.call("state", expiry) == FROZEN
    assert_exits_are_open(world)
    # the halt is over by now, and the first report opens everything again
    world.report()
    assert world.surface.call("state", expiry) == FRESH


def assert_exits_are_open(world: OptionWorld) -> None:
    """Shares and free cash can leave, and a halt or a frozen surface moves nobody's money elsewhere."""
    shares = world.underwriter.call("balanceOf", world.account("depositor")) // 10
    before = world.usdc("depositor")
    assert world.redeem(world.underwriter, "depositor", shares) > 0
    assert world.usdc("depositor") > before


def test_incident_33_guardian_can_halt_and_nothing_else(evm: Evm, feed: Contract) -> None:
    guardian, role = evm.account("guardian"), feed.call("GUARDIAN")
    feed.send("grantRole", role, guardian, sender=evm.account("admin"))
    feed.send("halt", sender=guardian)
    for call in (("readmit", guardian), ("grantRole", role, guardian), ("revokeRole", feed.call("REPORTER"), guardian)):
        assert refusal(lambda call=call: feed.send(*call, sender=guardian))[0] == "AccessControlUnauthorizedAccount"
    # reports are taken all the while, so the halt leaves no gap behind
    evm.advance(HEARTBEAT)
    assert submit(evm, feed, [report(evm)] * QUORUM)


def test_incident_33_adversary_cannot_hold_a_slice_back_for_longer_than_it_takes_to_freeze(evm: Evm) -> None:
    feed = deploy_feed(evm, (10**16, 10**16, *UNBOUNDED[2:]))  # a clamp of 1% per square root of a day
    expiry = evm.timestamp + 30 * SECONDS_PER_DAY
    feed.send("submit", *submission(signed_by(evm, feed, [report(evm, 0.2, expiry)] * QUORUM)))
    evm.advance(8 * HEARTBEAT + 1)
    assert feed.call("state", expiry) == FROZEN
    [event] = submit(evm, feed, [report(evm, 2.0, expiry)] * QUORUM)
    assert (event["blend"], feed.call("state", expiry)) == (WAD, FRESH)
