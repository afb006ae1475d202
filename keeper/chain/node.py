"""A private Anvil: started on a free port, ready when `with` enters, gone with its files when we are.

A small shell stands between us and Anvil and holds the reading end of a pipe whose writing end only we hold. When we
stop, crash or are killed, the pipe closes; the shell then ends Anvil and removes its folder. There is no other way
out, so the clean one and the violent one are the same.

`--hardfork cancun --prune-history` keeps a block's cost independent of the chain's length; a pruned node knows only
the latest state, so tests of reorganisations use the `archive` profile.
"""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from keeper.chain import accounts, contract
from keeper.chain.contract import Contract
from keeper.chain.rpc import Rpc, RpcBackend, quantity
from keeper.chain.tools import find_anvil
from keeper.errors import ChainError, InputError, NodeUnreachable

Profile = Literal["lockstep", "live", "archive"]
"""`lockstep`: mines only on request. `live`: mines by itself. `archive`: like lockstep, and keeps every old state."""

MNEMONIC: Final = "test test test test test test test test test test test junk"
ENDOWMENT: Final = 10**24
"""Wei on every account that we hand out."""
ACCOUNTS: Final = 12
"""How many accounts of the mnemonic own ether at the start."""
GENESIS: Final = 1_700_000_000
"""Timestamp of the first block unless the caller says otherwise."""

_PATIENCE: Final = 30.0
_ATTEMPTS: Final = 3
_KEEPER_OF_ANVIL: Final = """
folder=$1; shift
exec 3<&0
"$@" </dev/null 3<&- & anvil=$!
{ read -r _ <&3; kill "$anvil"; } & watcher=$!
wait "$anvil"; code=$?
kill "$watcher" 2>/dev/null
rm -rf "$folder"
exit "$code"
"""


@dataclass
class Anvil:
    """A chain of our own, or our own fork of somebody's (`fork_url`).

    `timestamp` and `base_fee` are those of the first block, `block_time` the seconds between blocks of the `live`
    profile (None: a block for each transaction). Any address may send without a key.
    """

    profile: Profile = "lockstep"
    timestamp: int | None = GENESIS
    chain_id: int | None = None
    base_fee: int | None = 10**9
    block_time: int | None = 1
    fork_url: str | None = None
    fork_block: int | None = None
    port: int | None = None
    url: str = field(init=False, default="")
    ipc: Path = field(init=False, default=Path())
    rpc: Rpc = field(init=False, repr=False)
    _process: subprocess.Popen[bytes] | None = field(init=False, repr=False, default=None)

    def start(self) -> Anvil:
        """Start it and return when it answers. Raises `ChainError` with Anvil's own words when it does not start."""
        for _ in range(_ATTEMPTS):
            try:
                return self._start()
            except _PortTaken:
                if self.port is not None:
                    raise InputError(f"port {self.port} is taken: choose another, or none for a free one") from None
        raise ChainError("anvil found no free port")

    def stop(self) -> None:
        """End it and wait until it and its files are gone."""
        if self._process is None or self._process.stdin is None:
            return
        self.rpc.close()
        self._process.stdin.close()
        self._process.wait(_PATIENCE)
        self._process = None

    def __enter__(self) -> Anvil:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def backend(self, sender: str | None = None) -> RpcBackend:
        """Contracts on this node; transactions are mined at once."""
        return RpcBackend(self.rpc, sender=sender or self.account("deployer"), mine=self.profile != "live")

    def account(self, name: str) -> str:
        """The address of a role's name, funded. Its key is `accounts.key_of(name)`."""
        address = accounts.address_of(name)
        if int(self.rpc.call("eth_getBalance", address, "latest"), 16) == 0:
            self.set_balance(address, ENDOWMENT)
        return address

    def deploy(self, name: str, *args: object, sender: str | None = None) -> Contract:
        """Deploy a contract by name."""
        return contract.deploy(self.backend(sender), name, *args)

    def set_balance(self, address: str, wei: int) -> None:
        """Give an account so much ether."""
        self.rpc.call("anvil_setBalance", address, quantity(wei))

    def set_next_timestamp(self, timestamp: int) -> None:
        """The timestamp of the next block; it must not lie in the past."""
        self.rpc.call("evm_setNextBlockTimestamp", quantity(timestamp))

    def set_next_base_fee(self, wei: int) -> None:
        """The base fee of the next block."""
        self.rpc.call("anvil_setNextBlockBaseFeePerGas", quantity(wei))

    def mine(self, timestamp: int | None = None, base_fee: int | None = None) -> None:
        """Mine one block with everything that waits, at a given time and base fee."""
        if timestamp is not None:
            self.set_next_timestamp(timestamp)
        if base_fee is not None:
            self.set_next_base_fee(base_fee)
        self.rpc.call("evm_mine")

    def snapshot(self) -> str:
        """Remember the chain; the id goes to `revert`, once."""
        return str(self.rpc.call("evm_snapshot"))

    def revert(self, snapshot: str) -> None:
        """Go back to a snapshot."""
        if not self.rpc.call("evm_revert", snapshot):
            raise ChainError(f"snapshot {snapshot} is not there any more; each one can be used once")

    def _start(self) -> Anvil:
        port = self.port or _free_port()
        folder = Path(tempfile.mkdtemp(prefix="gamma-keeper-"))
        self.ipc, self.url = folder / "anvil.ipc", f"http://127.0.0.1:{port}"
        with open(folder / "anvil.log", "wb") as log:
            self._process = subprocess.Popen(
                ["sh", "-c", _KEEPER_OF_ANVIL, "sh", str(folder), *self._command(port, folder)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            report = os.open(log.name, os.O_RDONLY)  # readable after the folder is gone
        self.rpc = Rpc(self.ipc)
        try:
            self._await_answer(self._process, report)
        except BaseException:
            self.stop()
            raise
        finally:
            os.close(report)
        return self

    def _command(self, port: int, folder: Path) -> list[str]:
        mining = ["--no-mining"]
        if self.profile == "live":
            mining = [] if self.block_time is None else ["--block-time", str(self.block_time)]
        options = {
            "--timestamp": self.timestamp,
            "--chain-id": self.chain_id,
            "--block-base-fee-per-gas": self.base_fee,
            "--fork-url": self.fork_url,
            "--fork-block-number": self.fork_block,
        }
        caching = [] if self.fork_url is None else ["--no-storage-caching"]  # it would outlive us in the user's home
        chosen = [text for name, value in options.items() if value is not None for text in (name, str(value))]
        return [
            str(find_anvil()),
            "--quiet",
            "--port",
            str(port),
            "--ipc",
            str(self.ipc),
            "--hardfork",
            "cancun",
            "--order",
            "fifo",
            "--auto-impersonate",
            "--mnemonic",
            MNEMONIC,
            "--balance",
            str(ENDOWMENT // 10**18),
            "--accounts",
            str(ACCOUNTS),
            "--cache-path",
            str(folder / "cache"),
            *([] if self.profile == "archive" else ["--prune-history"]),
            *mining,
            *chosen,
            *caching,
        ]

    def _await_answer(self, process: subprocess.Popen[bytes], report: int) -> None:
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            if process.poll() is not None:
                said = " ".join(os.pread(report, 4_000, 0).decode(errors="replace").split())
                kind = _PortTaken if "in use" in said else ChainError
                raise kind(f"anvil stopped at once: {said or 'it said nothing'}")
            try:
                self.rpc.call("eth_chainId")
                return
            except NodeUnreachable:
                time.sleep(0.01)
        raise ChainError(f"anvil did not answer within {_PATIENCE:.0f} s")


class _PortTaken(ChainError):
    """Somebody took the port between our look and Anvil's."""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
