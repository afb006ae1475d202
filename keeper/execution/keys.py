"""Where private keys come from. Never from an argument, never into a log.

For each role, in this order: the environment variable KEEPER_KEY_<ROLE> (hex); an encrypted keystore file; and where
the deployment gave the role to a development account, that account's well-known key.
"""

from __future__ import annotations

import getpass
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from keeper.chain.deployment import Deployment
from keeper.chain.dev_accounts import DEV_ROLES, address_of_role, key_of_role
from keeper.errors import InputError
from keeper.execution.transactions import Signer

PASSWORD_FILE: Final = "KEEPER_KEYSTORE_PASSWORD_FILE"  # noqa: S105  (the name of a variable)


def variable_of(role: str) -> str:
    """The environment variable that may hold a role's key."""
    return f"KEEPER_KEY_{role.upper().replace('-', '_')}"


def signers_for(
    roles: Iterable[str],
    deployment: Deployment,
    keystore: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> dict[str, Signer]:
    """A signer for each role. Raises `InputError` when a key is missing or is not the one that holds the role."""
    known = os.environ if environment is None else environment
    stored = None if keystore is None else Signer(_decrypt(keystore, known))
    signers = {}
    for role in roles:
        signer = _from_environment(role, known) or stored or _development(role, deployment)
        if signer is None:
            raise InputError(f"no key for the role {role}: set {variable_of(role)} or give --keystore FILE")
        holder = deployment.accounts.get(role)
        if holder is not None and holder != signer.address:
            raise InputError(f"the key for {role} is that of {signer.address}, and the role belongs to {holder}")
        signers[role] = signer
    return signers


def _from_environment(role: str, environment: Mapping[str, str]) -> Signer | None:
    text = environment.get(variable_of(role))
    if text is None:
        return None
    try:
        return Signer(bytes.fromhex(text.strip().removeprefix("0x")))
    except ValueError:
        raise InputError(f"{variable_of(role)} is not a private key: it must be 64 hex digits") from None


def _development(role: str, deployment: Deployment) -> Signer | None:
    if role not in DEV_ROLES or deployment.accounts.get(role) != address_of_role(role):
        return None
    return Signer(key_of_role(role))


def _decrypt(keystore: Path, environment: Mapping[str, str]) -> bytes:
    """The key in a keystore file (the usual JSON, version 3)."""
    from eth_account import Account  # slow to import, and seldom needed

    try:
        stored = json.loads(keystore.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read the keystore {keystore}: {error}") from None
    password_file = environment.get(PASSWORD_FILE)
    try:
        password = (
            Path(password_file).read_text().rstrip("\n") if password_file else getpass.getpass("keystore password: ")
        )
        return bytes(Account.decrypt(stored, password))
    except OSError:
        raise InputError(f"cannot read the password file {password_file}, named by {PASSWORD_FILE}") from None
    except (ValueError, KeyError, TypeError):
        raise InputError(f"the keystore {keystore} does not open: wrong password, or no keystore") from None
