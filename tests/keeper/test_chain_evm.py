"""The in-process EVM against a real node, and its own promises."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from keeper.chain.abi import Revert
from keeper.chain.contract import Contract, Receipt
from keeper.chain.evm import Evm
from keeper.chain.node import Anvil
from keeper.errors import ChainError, InputError

TIME, BASE_FEE = 1_700_000_500, 7 * 10**9
VALUES = (9, 13, 14, 15, 16, 9, 2**256 - 1, 0)


@pytest.fixture
def evm() -> Evm:
    return Evm()


@pytest.fixture
def probe(evm: Evm) -> Contract:
    return evm.deploy("ChainProbe", 5)


@pytest.fixture(scope="module")
def anvil() -> Iterator[Anvil]:
    with Anvil() as chain:
        yield chain


def outcome(probe: Contract, value: int, sender: str) -> tuple[Any, ...]:
    try:
        receipt = probe.send("store", value, sender=sender)
    except Revert as revert:
        return revert.name, revert.args, revert.data
    return tuple((log.topics, log.data) for log in receipt.logs), receipt.events("Stored")


@pytest.mark.anvil
def test_state_logs_and_refusals_equal_those_of_a_node(evm: Evm, probe: Contract, anvil: Anvil) -> None:
    twin = anvil.deploy("ChainProbe", 5)
    trader = evm.account("trader")
    assert anvil.account("trader") == trader
    for value in VALUES:
        assert outcome(probe, value, trader) == outcome(twin, value, trader)
        assert probe.call("value") == twin.call("value")
    assert probe.call("stores", trader) == twin.call("stores", trader) == 4
    assert probe.call("double", 21) == twin.call("double", 21) == 42
    order = {"id": 7, "owner": probe, "sizes": [-1, 2]}
    assert probe.call("echo", order) == twin.call("echo", order) == ((7, probe.address, (-1, 2)), 5)


@pytest.mark.anvil
def test_block_seen_by_a_contract_equals_that_of_a_node(evm: Evm, probe: Contract, anvil: Anvil) -> None:
    twin = anvil.deploy("ChainProbe", 5)
    anvil.mine(timestamp=TIME, base_fee=BASE_FEE)
    evm.timestamp, evm.base_fee = TIME, BASE_FEE
    evm.block_number = int(anvil.rpc.call("eth_blockNumber"), 16)
    assert probe.call("block_") == twin.call("block_") == (evm.block_number, TIME, BASE_FEE, 31_337)


def test_send_returns_the_decoded_result_and_the_block(evm: Evm, probe: Contract) -> None:
    evm.advance(12)
    receipt: Receipt = probe.send("store", 9)
    assert (receipt.result, receipt.block_number) == (5, 2)


def test_call_leaves_no_trace(evm: Evm, probe: Contract) -> None:
    assert probe.call("store", 9) == 5
    assert probe.call("value") == 5


def test_refused_transaction_changes_nothing(evm: Evm, probe: Contract) -> None:
    with pytest.raises(Revert):
        probe.send("store", 13)
    assert probe.call("value") == 5


def test_endless_loop_halts_as_a_revert_that_says_so(probe: Contract) -> None:
    with pytest.raises(Revert, match="OutOfGas") as refusal:
        probe.send("burn")
    assert refusal.value.name == "Halt"


def test_revert_to_an_outer_snapshot_unwinds_inner_ones_and_the_clock(evm: Evm, probe: Contract) -> None:
    outer = evm.snapshot()
    for value in range(100, 110):
        evm.snapshot()
        evm.advance(10)
        probe.send("store", value)
    evm.revert(outer)
    assert (probe.call("value"), evm.timestamp, evm.block_number) == (5, 1_700_000_000, 1)
    with pytest.raises(ChainError, match="once"):
        evm.revert(outer)
    probe.send("store", 6)
    assert probe.call("value") == 6


def test_many_snapshots_do_not_use_up_the_call_depth(evm: Evm, probe: Contract) -> None:
    for _ in range(3_000):  # a call stack is 1,024 deep
        with evm.rolled_back():
            probe.send("store", 9)
    assert probe.call("value") == 5


def test_accounts_are_funded_once_and_restored_by_revert(evm: Evm, probe: Contract) -> None:
    trader = evm.account("trader")
    full = evm.balance(trader)
    with evm.rolled_back():
        evm.send(probe.address, b"", sender=trader, value=10**18)
        assert evm.balance(evm.account("trader")) == full - 10**18
    assert evm.balance(trader) == full


def test_events_of_one_contract_can_be_asked_for(probe: Contract) -> None:
    receipt = probe.send("store", 9)
    assert receipt.events("Stored", probe.address) == receipt.events("Stored")
    assert receipt.events("Stored", "0x" + "00" * 20) == []


def test_deploy_of_an_interface_is_refused(evm: Evm) -> None:
    with pytest.raises(InputError, match="no code to deploy"):
        evm.deploy("IPriceFeed")


def test_libraries_are_deployed_once(evm: Evm) -> None:
    first = evm.deploy("ChainProbe", 1)
    library = dict(evm.libraries)
    second = evm.deploy("ChainProbe", 2)
    assert evm.libraries == library
    assert first.call("double", 2) == second.call("double", 2) == 4
    assert evm.has_code(library["ProbeLibrary"])
    assert not evm.has_code(evm.account("trader"))
