"""Where the protocol stands on a chain, and whether it still does.

The file `deployments/<chain-id>.json` holds addresses and a hash of the code at each. It is checked against the chain
before anything is sent: another chain, an empty address or other code means that the file is not about this chain.
The deployer itself is `keeper/chain/deployer.py`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from eth_utils.crypto import keccak

from keeper.chain.abi import checksum
from keeper.chain.contract import Backend, Contract
from keeper.chain.rpc import Rpc
from keeper.errors import InputError

FOLDER: Final = Path("deployments")
VAULT_CONTRACTS: Final = {"scalper": "ScalperVault", "underwriter": "UnderwriterVault"}
"""The contract behind each kind of vault."""

HOME, OPTIONS, REMOTE = "", "options/", "remote/"
"""Prefixes of a clearinghouse and what belongs to it: the vaults' own, one for options only, one behind a bridge."""
HOUSES: Final = (HOME, OPTIONS, REMOTE)
ENGINES: Final = ("FullLiquidation", "RateLimitedLiquidation", "DutchAuctionLiquidation")
"""Contracts that liquidate."""

_INTERFACES: Final = {"Token": "TestToken"}  # every other contract goes by its own name, behind its house's prefix
_HINT: Final = "deploy again with `keeper deploy`, or name the right file with --deployment"


@dataclass(frozen=True, slots=True)
class VaultEntry:
    """One vault: its contract, its mandate, and (for a scalper) whom it buys from and the share of NAV per roll."""

    address: str
    kind: str
    mandate: str
    maker: str | None
    budget: float


@dataclass(frozen=True, slots=True)
class Deployment:
    """Addresses by contract name, vaults by their own name, and the accounts that hold the roles."""

    chain_id: int
    block: int
    contracts: Mapping[str, str]
    vaults: Mapping[str, VaultEntry]
    accounts: Mapping[str, str]
    code_hashes: Mapping[str, str]

    def address(self, name: str) -> str:
        """The address of a contract, a vault or a role. Raises `InputError` when nothing is called that.

        A contract that stands in one house only is found without the house's prefix.
        """
        if name in self.contracts:
            return self.contracts[name]
        if name in self.vaults:
            return self.vaults[name].address
        if name in self.accounts:
            return self.accounts[name]
        inside = [address for full, address in self.contracts.items() if contract_of(full) == name]
        if len(inside) == 1:
            return inside[0]
        known = ", ".join([*self.contracts, *self.vaults, *self.accounts])
        raise InputError(f"the deployment on chain {self.chain_id} has no {name}: it has {known}")

    def vault(self, name: str) -> VaultEntry:
        """A vault by name. Raises `InputError` with the known names."""
        if name not in self.vaults:
            raise InputError(f"no vault is called {name}: there are {', '.join(self.vaults)}")
        return self.vaults[name]

    @property
    def houses(self) -> tuple[str, ...]:
        """Prefixes of the clearinghouses of this deployment."""
        return tuple(prefix for prefix in HOUSES if f"{prefix}Clearinghouse" in self.contracts)

    def engines(self, house: str = HOME) -> tuple[str, ...]:
        """Addresses of a house's liquidation engines."""
        return tuple(self.contracts[house + name] for name in ENGINES if house + name in self.contracts)

    def interfaces(self) -> dict[str, str]:
        """The contract that stands at each address."""
        found = {address: contract_of(name) for name, address in self.contracts.items()}
        for vault in self.vaults.values():
            found[vault.address] = VAULT_CONTRACTS[vault.kind]
            found[vault.mandate] = "HedgeMandate"
        return found

    def contract(self, backend: Backend, name: str) -> Contract:
        """A contract or vault by name, ready to be called."""
        address = self.address(name)
        return Contract.at(backend, self.interfaces()[address], address)

    def save(self, folder: Path = FOLDER) -> Path:
        """Write `<chain-id>.json` into the folder."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.chain_id}.json"
        path.write_text(json.dumps(asdict(self), indent=2) + "\n")
        return path

    @classmethod
    def load(cls, path: Path) -> Deployment:
        """Read a file that `save` wrote. Raises `InputError` when it is missing or not such a file."""
        try:
            stored = json.loads(path.read_text())
        except OSError:
            raise InputError(f"there is no deployment file {path}: {_HINT}") from None
        except ValueError as error:
            raise InputError(f"{path} is not JSON ({error}): {_HINT}") from None
        try:
            return _from_json(stored)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path} is not a deployment file ({error!r}): {_HINT}") from None

    @property
    def identity(self) -> str:
        """What makes this deployment this one: its chain and its clearinghouse."""
        return f"{self.chain_id}:{self.contracts['Clearinghouse']}"


def verify(deployment: Deployment, rpc: Rpc) -> None:
    """Raise `InputError` unless the node's chain holds this very deployment. One batch of requests."""
    addresses = list(deployment.code_hashes)
    chain_id, *codes = rpc.batch([("eth_chainId", ()), *(("eth_getCode", (a, "latest")) for a in addresses)])
    if int(chain_id, 16) != deployment.chain_id:
        raise InputError(
            f"{rpc.address} is chain {int(chain_id, 16)} and the deployment is for chain {deployment.chain_id}: {_HINT}"
        )
    names = {address: name for name, address in deployment.contracts.items()}
    names |= {vault.address: name for name, vault in deployment.vaults.items()}
    for address, code in zip(addresses, codes, strict=True):
        name = names.get(address, "contract")
        if code == "0x":
            raise InputError(f"the deployment file is stale: there is no {name} at {address} any more: {_HINT}")
        if hash_of_code(code) != deployment.code_hashes[address]:
            raise InputError(f"the deployment file is stale: the code of {name} at {address} is another one: {_HINT}")


def contract_of(name: str) -> str:
    """The contract that stands under a name of `Deployment.contracts`."""
    plain = name.rsplit("/", 1)[-1]
    return _INTERFACES.get(plain, plain)


def hash_of_code(code: str) -> str:
    """Keccak of deployed code that is given as hex."""
    return "0x" + keccak(hexstr=code).hex()


def _from_json(stored: Mapping[str, Any]) -> Deployment:
    vaults = {
        name: VaultEntry(
            checksum(entry["address"]),
            VAULT_CONTRACTS[entry["kind"]] and entry["kind"],
            checksum(entry["mandate"]),
            None if entry["maker"] is None else checksum(entry["maker"]),
            float(entry["budget"]),
        )
        for name, entry in stored["vaults"].items()
    }
    contracts = {name: checksum(address) for name, address in stored["contracts"].items()}
    return Deployment(
        int(stored["chain_id"]),
        int(stored["block"]),
        {**contracts, "Clearinghouse": contracts["Clearinghouse"]},
        vaults,
        {role: checksum(address) for role, address in stored["accounts"].items()},
        {checksum(address): str(digest) for address, digest in stored["code_hashes"].items()},
    )
