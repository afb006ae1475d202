"""Which accounts there are and what has touched them, from a node's logs; many of them in bounded requests."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest

from keeper.chain import logs as log_reading
from keeper.chain.abi import checksum
from keeper.chain.accounts_reader import CHUNK, AccountsReader
from keeper.chain.deploy_config import default_config
from keeper.chain.deployer import deploy
from keeper.chain.deployment import Deployment
from keeper.chain.dev_accounts import address_of_role
from keeper.chain.logs import LogCursor
from keeper.chain.node import Anvil
from keeper.errors import RpcError
from keeper.state.ports import Head
from keeper.units import from_wad, to_usdc, to_wad

TRADER, LIQUIDATOR = address_of_role("trader"), address_of_role("liquidator")


class Scene:
    """A deployment on a node, whose blocks the test makes."""

    def __init__(self, chain: Anvil) -> None:
        self.chain = chain
        self.backend = chain.backend()
        self.deployment: Deployment = deploy(self.backend, replace(default_config(), vaults=()))
        self.house, self.perp, self.feed, self.token = (
            self.deployment.contract(self.backend, name)
            for name in ("Clearinghouse", "PerpMarket", "PriceFeed", "Token")
        )
        self.token.send("mint", TRADER, to_usdc(10**9))
        self.token.send("approve", self.house, 2**200, sender=TRADER)

    def head(self) -> Head:
        block = self.chain.rpc.call("eth_getBlockByNumber", "latest", False)
        return Head(int(block["number"], 16), int(block["timestamp"], 16), int(block["baseFeePerGas"], 16))

    def deposit(self, account: str, usd: float = 10_000.0) -> None:
        self.house.send("deposit", account, to_usdc(usd), sender=TRADER)

    def trade(self, size: float) -> None:
        self.perp.send("commit", to_wad(size), 10**40 if size > 0 else 0, sender=TRADER)
        self.chain.set_next_timestamp(self.head().timestamp + 2)
        self.feed.send("publish", to_wad(2_000.0), sender=address_of_role("reporter-1"))


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with Anvil() as chain:
        yield Scene(chain)


def stranger(number: int) -> str:
    return checksum(f"0x{number:040x}")


def test_accounts_are_learnt_from_deposits_and_touched_by_what_happens_to_them(scene: Scene):
    reader = AccountsReader(scene.backend, scene.deployment)
    reader.watch.changes(scene.head())
    scene.deposit(TRADER)
    changes = reader.watch.changes(scene.head())
    assert (changes.accounts, changes.everything) == (frozenset({TRADER}), False)
    assert TRADER in reader.watch.known
    assert reader.watch.changes(scene.head()).accounts == frozenset()
    scene.trade(1.0)
    assert reader.watch.changes(scene.head()).accounts == frozenset({TRADER})
    (view,) = asyncio.run(reader.look([TRADER])).accounts
    assert (view.positions[0].pending, view.is_simple) == (1.0, False)
    hint = scene.feed.call("roundAt", 2**40)
    scene.perp.send("settle", TRADER, hint, sender=LIQUIDATOR)
    assert reader.watch.changes(scene.head()).accounts == frozenset({TRADER})
    (view,) = asyncio.run(reader.look([TRADER])).accounts
    assert (view.positions[0].size, view.is_simple) == (1.0, True)
    assert view.cash == from_wad(scene.house.call("cash", TRADER))


def test_the_venues_own_accounts_are_not_watched(scene: Scene):
    reader = AccountsReader(scene.backend, scene.deployment)
    reader.watch.changes(scene.head())
    assert not set(scene.deployment.contracts.values()) & set(reader.watch.known)


def test_logs_that_somebody_has_already_are_not_asked_for(scene: Scene):
    reader = AccountsReader(scene.backend, scene.deployment)
    reader.watch.changes(scene.head())
    scene.deposit(stranger(1_001))
    head = scene.head()
    receipts = scene.chain.rpc.call("eth_getBlockReceipts", hex(head.number))
    before = scene.chain.rpc.count
    reader.watch.follow(head, [log for receipt in receipts for log in receipt["logs"]])
    assert reader.watch.changes(head).accounts == frozenset({stranger(1_001)})
    assert reader.watch.changes(head).accounts == frozenset()
    assert scene.chain.rpc.count == before


def test_many_accounts_are_read_in_few_calls_and_in_order(scene: Scene):
    reader = AccountsReader(scene.backend, scene.deployment)
    accounts = [stranger(number) for number in range(1, 3 * CHUNK)]
    before = scene.chain.rpc.count
    seen = asyncio.run(reader.look(accounts))
    assert [view.address for view in seen.accounts] == accounts
    assert scene.chain.rpc.count - before == 3


def test_a_chunk_that_is_too_heavy_is_halved_until_it_fits(scene: Scene):
    reader = AccountsReader(scene.backend, scene.deployment)
    accounts = [stranger(number) for number in range(1, 17)]
    sizes: list[int] = []
    original = scene.backend.call

    class Weak:
        rpc = scene.backend.rpc

        def call(self, to: str, data: bytes, sender: str | None = None) -> bytes:
            sizes.append(len(data))
            if len(data) > 32 * 14:
                raise RpcError("eth_call", -32000, "out of gas")
            return original(to, data, sender)

    reader._backend = Weak()
    seen = asyncio.run(reader.look(accounts))
    assert [view.address for view in seen.accounts] == accounts
    assert len(sizes) > 4


def test_what_a_call_would_do_is_known_before_it_is_sent(scene: Scene):
    reader = AccountsReader(scene.backend, scene.deployment)
    engine = scene.deployment.address("FullLiquidation")
    refused = asyncio.run(reader.probe(engine, "liquidate", (stranger(5),), LIQUIDATOR))
    assert (refused.result, refused.error) == ((), "NotLiquidatable")
    waterfall = scene.deployment.address("Waterfall")
    done = asyncio.run(reader.probe(waterfall, "settleDeficit", (), LIQUIDATOR))
    assert (done.result, done.error) == ((0, 0), "")
    assert asyncio.run(reader.gas(waterfall, "settleDeficit", (), LIQUIDATOR)) > 21_000


# Reading logs in bounded pieces


class Node:
    """Answers requests for logs of up to ``most`` blocks, one log a block."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.asked: list[tuple[int, int]] = []

    def call(self, method: str, wanted: dict) -> list[dict]:
        first, last = int(wanted["fromBlock"], 16), int(wanted["toBlock"], 16)
        self.asked.append((first, last))
        if last - first + 1 > self.most:
            raise RpcError(method, -32005, "too many blocks")
        return [{"blockNumber": hex(number)} for number in range(first, last + 1)]


def read_all(node: Node, monkeypatch: pytest.MonkeyPatch, last: int, blocks: int = 100) -> tuple[list[int], list[bool]]:
    monkeypatch.setattr(log_reading, "BLOCKS", blocks)
    cursor = LogCursor(node, ["0x01"], ["0x02"], 5)
    cursor._span = blocks
    seen: list[int] = []
    caught_up: list[bool] = []
    for _ in range(200):
        seen += [int(log["blockNumber"], 16) for log in cursor.read(Head(last, 0, 0))]
        caught_up.append(cursor.caught_up)
        if cursor.caught_up:
            break
    return seen, caught_up


@pytest.mark.parametrize("most", [100, 37, 1])
def test_a_long_history_is_read_once_in_bounded_pieces(monkeypatch: pytest.MonkeyPatch, most: int):
    node = Node(most)
    seen, caught_up = read_all(node, monkeypatch, 1_004 if most > 1 else 104)
    assert seen == list(range(5, (1_004 if most > 1 else 104) + 1))
    assert caught_up.count(True) == 1
    assert all(last - first < 100 for first, last in node.asked)
    assert len(node.asked) <= len(caught_up) * log_reading.REQUESTS


def test_a_node_that_refuses_even_one_block_is_reported(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(RpcError, match="too many"):
        read_all(Node(0), monkeypatch, 10)
