"""A volatility feed with reporters, and what the tests of it share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple
from functools import cache
from typing import Any

from coincurve import PrivateKey
from eth_utils.crypto import keccak

from keeper.chain import accounts
from keeper.chain.abi import checksum
from keeper.chain.contract import Contract
from keeper.chain.deploy_config import NO_ADDRESS, SurfaceLimits, as_tuple
from keeper.chain.reports import Report, SignedReport, sign, submission

HEARTBEAT = 1_200
QUORUM = 3
REPORTERS = [f"reporter-{number}" for number in range(1, 8)]
FRESH, DEGRADED, STALE, FROZEN = range(4)
UNBOUNDED = as_tuple(
    SurfaceLimits(max_rise=1e6, max_fall=1e6, max_deviation=1.0, max_misses=255, max_realized_ratio=1e6)
)
"""Limits that nothing reaches: for tests of something else."""


def deploy_feed(
    evm: Any,
    limits: Sequence[int] = UNBOUNDED,
    reporters: Sequence[str] = REPORTERS,
    heartbeat: int = HEARTBEAT,
    quorum: int = QUORUM,
    realized: str = NO_ADDRESS,
) -> Contract:
    """A feed of the role `admin`, whose reporters are these roles."""
    admin = evm.account("admin")
    feed: Contract = evm.deploy("VolatilityFeed", admin, heartbeat, quorum, realized, tuple(limits))
    for name in reporters:
        feed.send("grantRole", feed.call("REPORTER"), accounts.address_of(name), sender=admin)
    return feed


def signed_by(
    evm: Any, feed: Contract, reports: Sequence[Report], reporters: Sequence[str] = REPORTERS
) -> list[SignedReport]:
    """Each report signed by a reporter of its own."""
    return [
        sign(report, accounts.key_of(name), evm.chain_id, feed.address)
        for name, report in zip(reporters, reports, strict=False)
    ]


def domain_of(chain_id: int, address: str) -> bytes:
    """EIP-712's domain separator of a feed."""
    kind = b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
    words = [keccak(kind), keccak(b"VolatilityFeed"), keccak(b"1"), chain_id.to_bytes(32, "big")]
    return keccak(b"".join(words) + bytes(12) + bytes.fromhex(address[2:]))


def domain_separator(evm: Any, feed: Contract) -> bytes:
    """The domain of a feed on its own chain."""
    return domain_of(evm.chain_id, feed.address)


def sign_quickly(report: Report, key: bytes, domain: bytes) -> SignedReport:
    """What `keeper.chain.reports.sign` makes, by the specification and without its checks: for tens of thousands."""
    kind = b"Report(uint64 expiry,uint64 timestamp,uint256 theta,int256 rho,uint256 psi)"
    words = b"".join((value % 2**256).to_bytes(32, "big") for value in astuple(report))
    digest = keccak(b"\x19\x01" + domain + keccak(keccak(kind) + words))
    private = PrivateKey(key)
    signature = private.sign_recoverable(digest, hasher=None)
    return SignedReport(_address(key), report, signature[:64] + bytes([27 + signature[64]]))


@cache
def _address(key: bytes) -> str:
    return checksum("0x" + keccak(PrivateKey(key).public_key.format(compressed=False)[1:])[12:].hex())


def submit(
    evm: Any, feed: Contract, reports: Sequence[Report], reporters: Sequence[str] = REPORTERS
) -> list[dict[str, Any]]:
    """Carry reports; what the feed says that it stored."""
    return feed.send("submit", *submission(signed_by(evm, feed, reports, reporters))).events("SliceUpdated")
