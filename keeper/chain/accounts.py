"""Keys and addresses by name, for chains of our own. Never for money: whoever knows the name knows the key."""

from __future__ import annotations

from functools import cache

from eth_keys.datatypes import PrivateKey
from eth_utils.crypto import keccak

from keeper.chain.abi import checksum


@cache
def key_of(name: str) -> bytes:
    """The private key that belongs to a role's name on a test chain."""
    return keccak(text=f"gamma-keeper/{name}")


@cache
def address_of(name: str) -> str:
    """The address of `key_of(name)`."""
    return checksum(PrivateKey(key_of(name)).public_key.to_address())
