"""Orders as signed transactions: type-2 (EIP-1559), with a nonce counted here and a gas limit fixed for each call.

Nothing is estimated: an estimate costs a request and lies when the state moves before the transaction lands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import rlp
from eth_keys.datatypes import PrivateKey
from eth_utils.crypto import keccak

from keeper.chain.abi import checksum
from keeper.errors import InputError
from keeper.state.decision import Call, Order
from keeper.units import GWEI

GAS_LIMITS: Final[Mapping[Call, int]] = {
    Call.HEDGE: 3_000_000,
    Call.SETTLE: 2_000_000,
    Call.CANCEL: 500_000,
    Call.PUBLISH_PRICE: 200_000,
    Call.SUBMIT_VOLATILITY: 1_000_000,
    Call.POKE_VOLATILITY: 2_000_000,
    Call.LIST_SERIES: 500_000,
    Call.ROLL: 6_000_000,
    Call.FIX_EXPIRY: 2_000_000,
    Call.SETTLE_SERIES: 2_000_000,
    Call.LIQUIDATE: 12_000_000,
    Call.BID: 12_000_000,
    Call.ADL: 6_000_000,
    Call.SETTLE_DEFICIT: 3_000_000,
    Call.REVIEW: 1_000_000,
    Call.TRADE: 2_000_000,
    Call.DELIVER: 3_000_000,
    Call.EXPIRE_MESSAGE: 500_000,
    Call.REPORT_HOME: 1_000_000,
}
"""Gas that each call may use: about twice the most that it was seen to use with a full book."""


@dataclass(frozen=True)
class Signer:
    """A private key that signs and never shows itself."""

    key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.key) != 32:
            raise InputError(f"a private key has 32 bytes, not {len(self.key)}")

    @cached_property
    def _key(self) -> PrivateKey:
        return PrivateKey(self.key)

    @cached_property
    def address(self) -> str:
        """The account that this key controls."""
        return checksum(self._key.public_key.to_address())

    def sign(self, digest: bytes) -> tuple[int, int, int]:
        """(v, r, s) over a 32-byte digest; v is 0 or 1."""
        signature = self._key.sign_msg_hash(digest)
        return signature.v, signature.r, signature.s


@dataclass(frozen=True, slots=True)
class Transaction:
    """An order ready to leave: what is called, by whom, at which nonce, and the signed bytes."""

    order: Order
    sender: str
    nonce: int
    to: str
    data: bytes
    gas: int
    max_fee: int
    raw: str
    hash: str


@dataclass(frozen=True, slots=True)
class Fees:
    """What we bid, in wei per gas: room for the base fee to grow ``headroom`` times, never under ``floor``."""

    headroom: float = 3.0
    floor: int = 100 * GWEI
    priority: int = 0

    def max_fee(self, base_fee: int) -> int:
        """The most that we would pay for one unit of gas."""
        return max(int(self.headroom * base_fee), self.floor) + self.priority


def sign(
    order: Order, data: bytes, signer: Signer, nonce: int, chain_id: int, base_fee: int, fees: Fees
) -> Transaction:
    """Sign an order's call data as a type-2 transaction."""
    gas, max_fee = GAS_LIMITS[order.call], fees.max_fee(base_fee)
    body = [chain_id, nonce, fees.priority, max_fee, gas, bytes.fromhex(order.to[2:]), 0, data, []]
    v, r, s = signer.sign(keccak(b"\x02" + rlp.encode(body)))
    raw = b"\x02" + rlp.encode([*body, v, r, s])
    return Transaction(
        order, signer.address, nonce, order.to, data, gas, max_fee, "0x" + raw.hex(), "0x" + keccak(raw).hex()
    )
