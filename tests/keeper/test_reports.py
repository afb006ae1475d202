"""Signed volatility reports: the feed takes what reporters signed for it, now, in order, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest
from eth_utils.crypto import keccak
from refusals import refusal
from surface_world import UNBOUNDED

from keeper.chain import accounts
from keeper.chain.abi import encode
from keeper.chain.contract import Contract
from keeper.chain.deploy_config import NO_ADDRESS
from keeper.chain.evm import Evm
from keeper.chain.reports import Report, SignedReport, sign, submission
from keeper.units import SECONDS_PER_DAY, WAD

HEARTBEAT = 1_200
QUORUM = 2
REPORTERS = sorted(("reporter-1", "reporter-2", "reporter-3"), key=lambda name: int(accounts.address_of(name), 16))


@pytest.fixture(scope="module")
def evm() -> Evm:
    return Evm()


def make_feed(evm: Evm) -> Contract:
    admin = evm.account("admin")
    feed = evm.deploy("VolatilityFeed", admin, HEARTBEAT, QUORUM, NO_ADDRESS, UNBOUNDED)
    for name in REPORTERS:
        feed.send("grantRole", feed.call("REPORTER"), accounts.address_of(name), sender=admin)
    return feed


@pytest.fixture(scope="module")
def feed(evm: Evm) -> Contract:
    return make_feed(evm)


@pytest.fixture
def report(evm: Evm) -> Report:
    return Report.of(evm.timestamp + 7 * SECONDS_PER_DAY, evm.timestamp, 0.0175, -0.3, 0.12)


def signed(evm: Evm, feed: Contract, report: Report, names: list[str] | None = None) -> list[SignedReport]:
    who = REPORTERS[:QUORUM] if names is None else names
    return [sign(report, accounts.key_of(name), evm.chain_id, feed.address) for name in who]


def test_report_of_plain_numbers_rounds_toward_admissible(evm: Evm) -> None:
    report = Report.of(2, 1, 1 / 3, -1 / 3, 1 / 3)
    assert report == Report(2, 1, 333333333333333300, -333333333333333300, 333333333333333300)
    fine = Report.of(2, 1, 1.0000000000000002e-3, 0.5, 1.0000000000000002e-3)
    assert (fine.theta, fine.psi) == (1000000000000001, 1000000000000000)


def test_feed_takes_what_reporters_signed(evm: Evm, feed: Contract, report: Report) -> None:
    with evm.rolled_back():
        receipt = feed.send("submit", *submission(signed(evm, feed, report)), sender=evm.account("trader"))
        [event] = receipt.events("SliceUpdated")
        assert event == {
            "expiry": report.expiry, "theta": report.theta, "rhoPsi": -36 * 10**15, "psi": report.psi,
            "timestamp": report.timestamp, "reporters": QUORUM, "blend": WAD,
        }  # fmt: skip


def test_digest_is_that_of_the_standard(evm: Evm, feed: Contract, report: Report) -> None:
    """The EIP-712 digest put together by hand, as the contract tells it."""
    domain = keccak(text="EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
    kind = keccak(text="Report(uint64 expiry,uint64 timestamp,uint256 theta,int256 rho,uint256 psi)")
    separator = keccak(
        encode(
            ["bytes32", "bytes32", "bytes32", "uint256", "address"],
            [domain, keccak(text="VolatilityFeed"), keccak(text="1"), evm.chain_id, feed.address],
        )
    )
    values = (report.expiry, report.timestamp, report.theta, report.rho, report.psi)
    struct = keccak(encode(["bytes32", "uint64", "uint64", "uint256", "int256", "uint256"], [kind, *values]))
    assert feed.call("digest", values) == keccak(b"\x19\x01" + separator + struct)


def test_submission_sorts_by_signer(evm: Evm, feed: Contract, report: Report) -> None:
    reports = [replace(report, psi=report.psi + number) for number in range(3)]
    mixed = [signed(evm, feed, each, [name])[0] for name, each in zip(REPORTERS, reports, strict=True)]
    assert submission(mixed[::-1]) == submission(mixed)
    assert [values[4] for values in submission(mixed[::-1])[0]] == [each.psi for each in reports]


@pytest.mark.parametrize("change", ["expiry", "timestamp", "theta", "rho", "psi"])
def test_tampered_value_is_refused(evm: Evm, feed: Contract, report: Report, change: str) -> None:
    reports, signatures = submission(signed(evm, feed, replace(report, **{change: getattr(report, change) - 1})))
    values = (report.expiry, report.timestamp, report.theta, report.rho, report.psi)
    assert refusal(lambda: feed.send("submit", [values] * QUORUM, signatures))[0] == "NotReporter"
    assert reports != [values] * QUORUM


def test_report_for_another_chain_is_refused(evm: Evm, feed: Contract, report: Report) -> None:
    foreign = [sign(report, accounts.key_of(name), evm.chain_id + 1, feed.address) for name in REPORTERS[:QUORUM]]
    assert refusal(lambda: feed.send("submit", *submission(foreign)))[0] == "NotReporter"


def test_report_for_another_contract_is_refused(evm: Evm, feed: Contract, report: Report) -> None:
    with evm.rolled_back():
        other = make_feed(evm)
        assert refusal(lambda: other.send("submit", *submission(signed(evm, feed, report))))[0] == "NotReporter"
        other.send("submit", *submission(signed(evm, other, report)))


def test_signer_who_is_no_reporter_is_refused(evm: Evm, feed: Contract, report: Report) -> None:
    arguments = submission(signed(evm, feed, report, [REPORTERS[0], "trader"]))
    assert refusal(lambda: feed.send("submit", *arguments)) == ("NotReporter", accounts.address_of("trader"))


def test_reporter_who_was_removed_is_refused(evm: Evm, feed: Contract, report: Report) -> None:
    with evm.rolled_back():
        removed = accounts.address_of(REPORTERS[0])
        feed.send("revokeRole", feed.call("REPORTER"), removed, sender=evm.account("admin"))
        arguments = submission(signed(evm, feed, report))
        assert refusal(lambda: feed.send("submit", *arguments)) == ("NotReporter", removed)


def test_one_reporter_twice_or_signers_out_of_order_are_refused(evm: Evm, feed: Contract, report: Report) -> None:
    first, second = REPORTERS[:2]
    for names in ([first, first], [second, first]):
        reports = signed(evm, feed, report, names)
        arguments = [submission([each])[part][0] for part in (0, 1) for each in reports]
        why = refusal(lambda arguments=arguments: feed.send("submit", arguments[:2], arguments[2:]))
        assert why == ("ReportersNotAscending", accounts.address_of(first))


def test_fewer_reports_than_the_quorum_are_refused(evm: Evm, feed: Contract, report: Report) -> None:
    arguments = submission(signed(evm, feed, report, REPORTERS[:1]))
    assert refusal(lambda: feed.send("submit", *arguments)) == ("QuorumNotMet", 1, QUORUM)
    assert refusal(lambda: feed.send("submit", [], [])) == ("QuorumNotMet", 0, QUORUM)


def test_reports_without_their_signatures_or_too_many_are_refused(evm: Evm, feed: Contract, report: Report) -> None:
    reports, signatures = submission(signed(evm, feed, report))
    assert refusal(lambda: feed.send("submit", reports, signatures[:1])) == ("SignaturesMissing", QUORUM, 1)
    assert refusal(lambda: feed.send("submit", reports[:1] * 17, signatures[:1] * 17)) == ("TooManyReports", 17, 16)


def test_malformed_signature_is_refused(evm: Evm, feed: Contract, report: Report) -> None:
    reports, signatures = submission(signed(evm, feed, report))
    short = [signatures[0], signatures[1][:-1]]
    assert refusal(lambda: feed.send("submit", reports, short)) == ("ECDSAInvalidSignatureLength", 64)


def test_signature_with_its_other_root_is_refused(evm: Evm, feed: Contract, report: Report) -> None:
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    reports, signatures = submission(signed(evm, feed, report))
    r, s, v = signatures[0][:32], int.from_bytes(signatures[0][32:64]), signatures[0][64]
    other = r + (order - s).to_bytes(32) + bytes([55 - v])
    assert refusal(lambda: feed.send("submit", reports, [other, signatures[1]]))[0] == "ECDSAInvalidSignatureS"


def test_reports_of_two_expiries_are_refused(evm: Evm, feed: Contract, report: Report) -> None:
    other = replace(report, expiry=report.expiry + 60)
    pair = signed(evm, feed, report, REPORTERS[:1]) + signed(evm, feed, other, REPORTERS[1:2])
    assert refusal(lambda: feed.send("submit", *submission(pair))) == ("MixedExpiries", report.expiry, other.expiry)


def test_report_from_the_future_is_refused(evm: Evm, feed: Contract, report: Report) -> None:
    early = replace(report, timestamp=evm.timestamp + 1)
    why = refusal(lambda: feed.send("submit", *submission(signed(evm, feed, early))))
    assert why == ("ReportFromFuture", evm.timestamp + 1, evm.timestamp)


def test_report_older_than_the_heartbeat_is_refused(evm: Evm, feed: Contract, report: Report) -> None:
    with evm.rolled_back():
        arguments = submission(signed(evm, feed, report))
        evm.advance(HEARTBEAT + 1)
        why = refusal(lambda: feed.send("submit", *arguments))
        assert why == ("ReportTooOld", report.timestamp, report.timestamp + 1)
        evm.advance(-1)
        feed.send("submit", *arguments)


def test_replayed_or_older_report_is_refused(evm: Evm, feed: Contract, report: Report) -> None:
    with evm.rolled_back():
        arguments = submission(signed(evm, feed, report))
        feed.send("submit", *arguments)
        now = evm.timestamp
        assert refusal(lambda: feed.send("submit", *arguments)) == ("ReportTooOld", now, now)
        older = submission(signed(evm, feed, replace(report, timestamp=now - 1)))
        assert refusal(lambda: feed.send("submit", *older)) == ("ReportTooOld", now - 1, now)
        evm.advance(1)
        newer = replace(report, timestamp=now + 1)
        feed.send("submit", *submission(signed(evm, feed, newer)))
        assert feed.call("slice", report.expiry)[3] == now + 1
        # one old report among new ones is enough to be refused
        mixed = signed(evm, feed, replace(newer, timestamp=now), REPORTERS[:1])
        mixed += signed(evm, feed, replace(newer, timestamp=now + 1), REPORTERS[1:2])
        assert refusal(lambda: feed.send("submit", *submission(mixed))) == ("ReportTooOld", now, now + 1)


def test_every_admissible_corner_survives_the_way_through_storage(evm: Evm, feed: Contract) -> None:
    """The widest values that the conditions admit come back as they went in."""
    expiry, now = evm.timestamp + SECONDS_PER_DAY, evm.timestamp
    widest = 100 * WAD
    corners = [(widest, 0, 4 * WAD - 1), (widest, WAD - 1, 2 * WAD), (widest, 1 - WAD, 2 * WAD), (1, 0, 1)]
    for theta, rho, psi in corners:
        with evm.rolled_back():
            feed.send("submit", *submission(signed(evm, feed, Report(expiry, now, theta, rho, psi))))
            truncated = abs(rho) * psi // WAD
            assert feed.call("slice", expiry) == (theta, truncated if rho > 0 else -truncated, psi, now)
