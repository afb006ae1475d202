"""Anvil: ready when it says so, on our clock, and gone with everything that it made when we are."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from keeper.chain.contract import Contract
from keeper.chain.node import GENESIS, Anvil
from keeper.chain.rpc import Rpc
from keeper.errors import AnswerLost, ChainError, InputError, NodeUnreachable

pytestmark = pytest.mark.anvil

PARENT = """
import sys, time
from keeper.chain.node import Anvil
chain = Anvil().start()
print(chain.url, chain.ipc, flush=True)
{ending}
"""


def started(root: Path, ending: str) -> tuple[subprocess.Popen[str], str, Path]:
    """A process that starts a node and says where; then it does `ending`."""
    program = PARENT.format(ending=ending)
    parent = subprocess.Popen([sys.executable, "-c", program], cwd=root, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    url, ipc = parent.stdout.readline().split()
    return parent, url, Path(ipc)


def gone(url: str, ipc: Path) -> bool:
    try:
        Rpc(url).call("eth_chainId")
    except NodeUnreachable:
        return not ipc.parent.exists()
    except AnswerLost:
        pass
    return False


def eventually(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_node_is_gone_with_its_files_when_the_block_ends() -> None:
    with Anvil() as chain:
        assert Rpc(chain.url).call("eth_chainId") == "0x7a69"
        assert chain.ipc.exists()
    assert gone(chain.url, chain.ipc)


@pytest.mark.parametrize("ending", ["", "raise RuntimeError", "sys.exit(3)", "import os; os._exit(1)", "os.abort()"])
def test_node_is_gone_when_its_parent_ends_without_stopping_it(root: Path, ending: str) -> None:
    parent, url, ipc = started(root, ending)
    parent.wait(30)
    assert eventually(lambda: gone(url, ipc))


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM", "SIGINT", "SIGHUP"])
def test_node_is_gone_when_its_parent_is_killed(root: Path, name: str) -> None:
    parent, url, ipc = started(root, "time.sleep(60)")
    assert not gone(url, ipc)
    parent.send_signal(getattr(signal, name))
    parent.wait(30)
    assert eventually(lambda: gone(url, ipc))


def test_interrupt_of_the_whole_group_leaves_the_node_to_its_parent(root: Path) -> None:
    ending = (
        "try:\n    print('waiting', flush=True)\n    time.sleep(60)\n"
        "except KeyboardInterrupt:\n    print(chain.rpc.call('eth_chainId'), flush=True)"
    )
    program = PARENT.format(ending=ending)
    parent = subprocess.Popen(
        [sys.executable, "-c", program], cwd=root, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert parent.stdout is not None
    parent.stdout.readline()
    assert parent.stdout.readline().strip() == "waiting"  # from here on an interrupt is expected
    os.killpg(parent.pid, signal.SIGINT)
    assert parent.stdout.readline().strip() == "0x7a69"
    parent.wait(30)


def test_nothing_is_left_in_the_users_home(tmp_path: Path, root: Path) -> None:
    program = "from keeper.chain.node import Anvil\nwith Anvil() as a, Anvil(fork_url=a.url, timestamp=None): pass"
    environment = {**os.environ, "HOME": str(tmp_path), "GAMMA_KEEPER_CACHE": str(tmp_path / "cache")}
    subprocess.run([sys.executable, "-c", program], cwd=root, env=environment, check=True, timeout=60)
    assert [path for path in tmp_path.rglob("*") if path.is_file() and "foundry" in str(path)] == []


def test_clock_and_base_fee_are_those_that_are_set() -> None:
    with Anvil() as chain:
        assert int(chain.rpc.call("eth_getBlockByNumber", "latest", False)["timestamp"], 16) == GENESIS
        for step, fee in ((1, 10**9), (12, 5 * 10**9), (30 * 86_400, 7)):
            now = int(chain.rpc.call("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
            chain.mine(timestamp=now + step, base_fee=fee)
            block = chain.rpc.call("eth_getBlockByNumber", "latest", False)
            assert (int(block["timestamp"], 16), int(block["baseFeePerGas"], 16)) == (now + step, fee)


def test_lockstep_mines_only_on_request() -> None:
    with Anvil() as chain:
        account = chain.account("trader")
        transaction = {"from": account, "to": account, "value": "0x1", "gas": "0x5208"}
        sent = chain.rpc.call("eth_sendTransaction", transaction)
        assert chain.rpc.call("eth_getTransactionReceipt", sent) is None
        chain.mine()
        assert int(chain.rpc.call("eth_getTransactionReceipt", sent)["status"], 16) == 1


def test_live_profile_mines_by_itself() -> None:
    with Anvil(profile="live", block_time=None, timestamp=None) as chain:
        probe = chain.deploy("ChainProbe", 5)
        assert probe.send("store", 6).block_number > 0
        assert probe.call("value") == 6


def test_archive_profile_answers_about_the_past_and_lockstep_refuses() -> None:
    for profile, remembers in (("archive", True), ("lockstep", False)):
        with Anvil(profile=profile) as chain:  # type: ignore[arg-type]
            probe = chain.deploy("ChainProbe", 5)
            before = chain.rpc.call("eth_blockNumber")
            probe.send("store", 6)
            request = {"to": probe.address, "data": "0x" + probe.encode("value").hex()}
            if remembers:
                assert int(chain.rpc.call("eth_call", request, before), 16) == 5
            else:
                with pytest.raises(ChainError):
                    chain.rpc.call("eth_call", request, before)


def test_fork_sees_the_upstream_and_leaves_it_alone() -> None:
    with Anvil() as upstream:
        probe = upstream.deploy("ChainProbe", 5)
        with Anvil(fork_url=upstream.url, timestamp=None, base_fee=None) as fork:
            forked = Contract.at(fork.backend(), "ChainProbe", probe.address)
            assert forked.call("value") == 5
            forked.send("store", 6)
            assert (forked.call("value"), probe.call("value")) == (6, 5)


def test_snapshot_restores_the_chain_once() -> None:
    with Anvil() as chain:
        probe = chain.deploy("ChainProbe", 5)
        snapshot = chain.snapshot()
        probe.send("store", 6)
        chain.revert(snapshot)
        assert probe.call("value") == 5
        with pytest.raises(ChainError):
            chain.revert(snapshot)


def test_port_that_is_taken_is_refused_in_one_line() -> None:
    with Anvil() as chain:
        port = int(chain.url.rsplit(":", 1)[1])
        with pytest.raises(InputError, match=f"port {port} is taken"):
            Anvil(port=port).start()


def test_upstream_that_does_not_answer_is_reported_in_anvils_words() -> None:
    with pytest.raises(ChainError, match=r"(?s)anvil stopped at once.*127\.0\.0\.1:1"):
        Anvil(fork_url="http://127.0.0.1:1").start()
