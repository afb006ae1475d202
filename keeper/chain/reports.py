"""Volatility reports as the feed takes them: typed data (EIP-712), signed by each reporter on its own.

The signature names the chain and the contract, so a report counts nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass
from typing import Any, Final

from eth_account import Account
from eth_account.messages import SignableMessage, encode_typed_data

from keeper.chain.abi import checksum
from keeper.units import to_wad

_FIELDS: Final = [
    {"name": "expiry", "type": "uint64"},
    {"name": "timestamp", "type": "uint64"},
    {"name": "theta", "type": "uint256"},
    {"name": "rho", "type": "int256"},
    {"name": "psi", "type": "uint256"},
]


@dataclass(frozen=True, slots=True)
class Report:
    """One reporter's opinion of one expiry, in the chain's integers."""

    expiry: int
    """Unix seconds."""
    timestamp: int
    """When it was observed, unix seconds."""
    theta: int
    """At-the-money total variance at `timestamp`, wad."""
    rho: int
    """In (-1, 1), wad."""
    psi: int
    """Theta times phi, wad."""

    @classmethod
    def of(cls, expiry: int, timestamp: int, theta: float, rho: float, psi: float) -> Report:
        """A report of plain numbers. Theta is rounded up and psi down, so that an admissible slice stays one."""
        return cls(expiry, timestamp, to_wad(theta, "up"), to_wad(rho), to_wad(psi, "down"))


@dataclass(frozen=True, slots=True)
class SignedReport:
    """A report, who signed it, and the 65 bytes that prove it."""

    signer: str
    report: Report
    signature: bytes


def typed_data(report: Report, chain_id: int, feed: str) -> SignableMessage:
    """What a reporter signs, for the feed at an address on a chain."""
    domain = {"name": "VolatilityFeed", "version": "1", "chainId": chain_id, "verifyingContract": feed}
    values = dict(zip((entry["name"] for entry in _FIELDS), astuple(report), strict=True))
    return encode_typed_data(domain, {"Report": _FIELDS}, values)


def sign(report: Report, key: bytes | str, chain_id: int, feed: str) -> SignedReport:
    """The report with the signature of a private key, good for one feed on one chain."""
    account = Account.from_key(key)
    signed = account.sign_message(typed_data(report, chain_id, feed))
    return SignedReport(checksum(account.address), report, bytes(signed.signature))


def is_genuine(signed: SignedReport, chain_id: int, feed: str) -> bool:
    """Whether the signature is that of the named signer, for this report, feed and chain."""
    try:
        found = Account.recover_message(typed_data(signed.report, chain_id, feed), signature=signed.signature)
    except Exception:  # bytes that are no signature fail in many ways, all of which mean no
        return False
    return bool(checksum(found) == signed.signer)


def submission(signed: Iterable[SignedReport]) -> tuple[list[tuple[Any, ...]], list[bytes]]:
    """The two arguments of `VolatilityFeed.submit`: reports and signatures, in ascending order of their signers."""
    ordered = sorted(signed, key=lambda each: int(each.signer, 16))
    return [astuple(each.report) for each in ordered], [each.signature for each in ordered]
