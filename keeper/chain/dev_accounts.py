"""The first accounts of the mnemonic that every development chain knows, one for each role.

Their keys come from that mnemonic, which is printed in every manual (BIP-32, m/44'/60'/0'/0/index), so they are worth
nothing anywhere else and no secret here.
"""

from __future__ import annotations

import hashlib
import hmac
from functools import cache
from typing import Final

from eth_keys.datatypes import PrivateKey

from keeper.chain.abi import checksum
from keeper.chain.node import MNEMONIC
from keeper.errors import InputError

DEV_ROLES: Final = (
    "deployer", "hedger", "settler", "roller", "reporter-1", "reporter-2", "reporter-3", "liquidity-provider",
    "depositor", "trader", "liquidator", "relayer",
)  # fmt: skip
"""Who acts on a development chain, in the order of its accounts."""

REPORTERS: Final = tuple(role for role in DEV_ROLES if role.startswith("reporter-"))

_ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_HARDENED: Final = 1 << 31


@cache
def key_of_role(role: str) -> bytes:
    """The private key of a role on a development chain. Raises `InputError` when there is no such role."""
    if role not in DEV_ROLES:
        raise InputError(f"no development account is called {role}: there are {', '.join(DEV_ROLES)}")
    parent, chain_code = _account()
    return _child(parent, chain_code, DEV_ROLES.index(role))[0]


@cache
def address_of_role(role: str) -> str:
    """The address of a role on a development chain."""
    return checksum(PrivateKey(key_of_role(role)).public_key.to_address())


def dev_addresses() -> dict[str, str]:
    """Every role's address."""
    return {role: address_of_role(role) for role in DEV_ROLES}


@cache
def _account() -> tuple[bytes, bytes]:
    """Key and chain code of m/44'/60'/0'/0."""
    seed = hashlib.pbkdf2_hmac("sha512", MNEMONIC.encode(), b"mnemonic", 2048)
    node = hmac.digest(b"Bitcoin seed", seed, "sha512")
    key, chain_code = node[:32], node[32:]
    for index in (44 + _HARDENED, 60 + _HARDENED, _HARDENED, 0):
        key, chain_code = _child(key, chain_code, index)
    return key, chain_code


def _child(key: bytes, chain_code: bytes, index: int) -> tuple[bytes, bytes]:
    """One step of BIP-32 with private keys."""
    public = b"\0" + key if index >= _HARDENED else PrivateKey(key).public_key.to_compressed_bytes()
    node = hmac.digest(chain_code, public + index.to_bytes(4, "big"), "sha512")
    tweaked = (int.from_bytes(node[:32], "big") + int.from_bytes(key, "big")) % _ORDER
    return tweaked.to_bytes(32, "big"), node[32:]
