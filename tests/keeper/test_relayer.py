"""The relayer: what it carries, when, in what order, and what it does when others are faster; on both engines."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from bridge_world import LIFETIME, MAX_AGE, MIN_DELAY, BridgeWorld
from node_face import Node

from keeper.chain.abi import Revert
from keeper.chain.accounts import key_of
from keeper.chain.deployment import Deployment
from keeper.chain.messages import PAGE, REPORTS, Kind, Message, MessageReader, RemoteState, RemoteView, Status
from keeper.chain.node import Anvil
from keeper.errors import ChainError, InputError
from keeper.execution.executor import JournaledExecutor
from keeper.execution.journal import Journal
from keeper.execution.lookup import NodeLookup
from keeper.execution.senders import Receipt
from keeper.execution.transactions import GAS_LIMITS, Signer, Transaction
from keeper.roles.relayer import PER_HEAD, RETRY, Delays, Relayer
from keeper.state.decision import Call, Order, OrderResult, OrderStatus
from keeper.state.ports import Head
from keeper.units import WAD, to_usdc, to_wad

GWEI = 10**9
BRIDGE = "0x" + "cc" * 20
DEPLOYMENT = Deployment(31_337, 0, {"DelayedBridge": BRIDGE}, {}, {}, {})
NOTHING = RemoteState(0, 0, 0, 0, 0, 0, 0, 0)
ARRIVED = replace(NOTHING, time=1_000, equity=WAD, received=1)


@dataclass
class Book:
    """Messages and accounts that a test makes up."""

    open: dict[int, Message] = field(default_factory=dict)
    views: dict[str, RemoteView | None] = field(default_factory=dict)

    async def open_messages(self, now: int) -> Mapping[int, Message]:
        return self.open

    async def accounts(self) -> tuple[str, ...]:
        return tuple(self.views)

    async def remote(self, account: str) -> RemoteView | None:
        return self.views[account]


@dataclass
class Recorder:
    """An executor that keeps what it is asked for and answers as it is told to."""

    status: OrderStatus = OrderStatus.CONFIRMED
    error: str = ""
    orders: list[Order] = field(default_factory=list)
    flying: tuple[Order, ...] = ()

    async def submit(self, order: Order) -> OrderResult:
        self.orders.append(order)
        return OrderResult(order.key, self.status, "0x", 1, 1, 1, 1, self.error)

    def in_flight(self, prefix: str) -> tuple[Order, ...]:
        return tuple(order for order in self.flying if order.key.startswith(prefix))

    def done(self) -> list[tuple[str, object]]:
        return [(order.function, order.arguments[0]) for order in self.orders]


def posted(*messages: Message) -> Book:
    return Book({message.id: message for message in messages})


def letter(number: int, kind: Kind = Kind.ORDER, account: str = "A", not_before: int = 100, life: int = 900) -> Message:
    return Message(number, kind, account, not_before, not_before + life)


def look(relayer: Relayer, now: int, number: int = 7) -> None:
    asyncio.run(relayer.on_head(Head(number, now, GWEI)))


def relay(book: Book, now: int, recorder: Recorder | None = None, **settings: object) -> list[tuple[str, object]]:
    recorder = recorder or Recorder()
    look(Relayer(book, recorder, DEPLOYMENT, **settings), now)  # type: ignore[arg-type]
    return recorder.done()


# What is due


@pytest.mark.parametrize(
    ("now", "done"),
    [(99, []), (100, ["deliver"]), (999, ["deliver"]), (1_000, []), (1_001, ["expire"])],
)
def test_a_message_is_carried_once_it_may_be_and_taken_back_once_it_has_expired(now: int, done: list[str]):
    assert [function for function, _ in relay(posted(letter(1)), now)] == done


def test_messages_are_carried_in_the_order_in_which_they_became_due():
    book = posted(letter(1, not_before=130), letter(2, not_before=120), letter(3, not_before=120))
    assert relay(book, 200) == [("deliver", 2), ("deliver", 3), ("deliver", 1)]


def test_of_several_reports_that_are_due_only_the_newest_is_carried():
    reports = [letter(number, Kind.REPORT, account, not_before) for number, account, not_before in
               ((1, "A", 100), (2, "A", 110), (3, "B", 120), (4, "A", 300))]  # fmt: skip
    assert relay(posted(*reports), 200) == [("deliver", 2), ("deliver", 3)]


def test_no_more_is_done_at_one_head_than_the_bound():
    book = posted(*(letter(number, not_before=number) for number in range(1, 3 * PER_HEAD)))
    assert relay(book, 200) == [("deliver", number) for number in range(1, PER_HEAD + 1)]


def test_only_the_accounts_that_are_asked_for_are_served():
    book = posted(letter(1), letter(2, account="B"))
    book.views = {name: RemoteView(1, NOTHING, ARRIVED) for name in "AB"}
    assert relay(book, 200, accounts=["B"]) == [("deliver", 2), ("report", "B")]


# Who else is at it


def test_a_message_on_its_way_to_the_chain_is_left_alone():
    flying = (Order("message:1@6", "relayer", Call.DELIVER, BRIDGE, "deliver", (1,)),)
    assert relay(posted(letter(1), letter(11)), 200, Recorder(flying=flying)) == [("deliver", 11)]


@pytest.mark.parametrize(
    ("error", "waits"),
    [("NotOnItsWay(id=1, status=2)", False), ("NoReason(id=1)", True), ("OutOfGas()", True)],
)
def test_losing_a_race_is_no_error_and_a_failure_waits_before_it_is_tried_again(
    error: str, waits: bool, caplog: pytest.LogCaptureFixture
):
    recorder = Recorder(OrderStatus.REVERTED, error)
    relayer = Relayer(posted(letter(1)), recorder, DEPLOYMENT)
    for number, now in enumerate((200, 199 + RETRY, 200 + RETRY)):
        look(relayer, now, number)
    assert len(recorder.orders) == (2 if waits else 3)
    assert bool(caplog.records) is waits
    assert len({order.key for order in recorder.orders}) == len(recorder.orders)


# Reports


@pytest.mark.parametrize(
    ("now", "told", "seen", "reports"),
    [
        (1_000, NOTHING, NOTHING, False),  # nothing has arrived
        (1_000, NOTHING, ARRIVED, True),
        (1_059, ARRIVED, ARRIVED, False),
        (1_060, ARRIVED, replace(ARRIVED, time=1_060), True),  # on schedule
        (1_060, ARRIVED, ARRIVED, False),  # the price over there is silent: there is nothing newer to tell
        (1_001, ARRIVED, replace(ARRIVED, size=1), True),
        (1_001, ARRIVED, replace(ARRIVED, pending=-1), True),
        (1_001, ARRIVED, replace(ARRIVED, last_order=9), True),
        (1_001, ARRIVED, replace(ARRIVED, returned=1), True),
        (1_001, ARRIVED, replace(ARRIVED, equity=2 * WAD), False),  # the price moves it all the time
        (9_999, replace(ARRIVED, equity=0), replace(ARRIVED, equity=0), False),  # nothing left to speak of
    ],
)
def test_the_other_side_reports_when_something_happened_there_and_on_schedule(
    now: int, told: RemoteState, seen: RemoteState, reports: bool
):
    book = Book(views={"A": RemoteView(3, told, seen)})
    assert (relay(book, now, report_every=60) == [("report", "A")]) is reports


def test_nothing_is_reported_while_nobody_may_look_or_a_report_is_being_started():
    assert relay(Book(views={"A": None}), 9_999) == []
    flying = (Order("report:A:3@6", "relayer", Call.REPORT_HOME, BRIDGE, "report", ("A",)),)
    assert relay(Book(views={"A": RemoteView(3, NOTHING, ARRIVED)}), 9_999, Recorder(flying=flying)) == []


def test_every_account_gets_its_turn():
    book = Book(views={f"{number}": RemoteView(1, NOTHING, ARRIVED) for number in range(PER_HEAD + 4)})
    recorder = Recorder()
    relayer = Relayer(book, recorder, DEPLOYMENT)
    look(relayer, 2_000, 1)
    look(relayer, 2_000, 2)
    assert {account for _, account in recorder.done()} == set(book.views)


# Scripted delays


def test_the_same_generator_gives_the_same_bridge_whatever_is_asked_first():
    messages = [letter(number, not_before=100, life=1_000) for number in range(1, 200)]
    forwards, backwards = (Delays(np.random.default_rng(5), 300, 0.2) for _ in range(2))
    times = [forwards.due(message) for message in messages]
    assert times == [backwards.due(message) for message in reversed(messages)][::-1]
    carried = [time for time in times if time is not None]
    assert 100 <= min(carried) < 130
    assert 370 < max(carried) <= 400
    assert 20 < times.count(None) < 60
    assert carried != sorted(carried)


def test_a_scripted_delay_ends_at_expiry():
    delays = Delays(np.random.default_rng(1), 10**6)
    assert {delays.due(letter(number, life=50)) for number in range(1, 50)} == {150}


@pytest.mark.parametrize(("longest", "lost"), [(-1, 0.0), (0, -0.1), (0, 1.1)])
def test_impossible_delays_are_refused(longest: int, lost: float):
    with pytest.raises(InputError):
        Delays(np.random.default_rng(1), longest, lost)


def test_a_lost_message_is_never_carried_and_taken_back_in_the_end():
    delays = Delays(np.random.default_rng(1), lost=1.0)
    assert relay(posted(letter(1)), 500, delays=delays) == []
    assert relay(posted(letter(1)), 1_001, delays=delays) == [("expire", 1)]


# On the in-process EVM


@dataclass
class Direct:
    """An executor that carries every order out at once on the world's EVM."""

    world: BridgeWorld
    orders: list[Order] = field(default_factory=list)

    async def submit(self, order: Order) -> OrderResult:
        self.orders.append(order)
        try:
            self.world.bridge.send(order.function, *order.arguments, sender=self.world.relayer)
        except Revert as revert:
            return OrderResult(order.key, OrderStatus.REVERTED, "0x", 1, 1, 1, 1, str(revert))
        return OrderResult(order.key, OrderStatus.CONFIRMED, "0x", 1, 1, 1, 1)

    def in_flight(self, prefix: str) -> tuple[Order, ...]:
        return ()


def lives(world: BridgeWorld, relayer: Relayer, seconds: int, step: int = 5) -> None:
    """Let time pass in blocks, each with a fresh price."""
    for _ in range(0, seconds, step):
        world.venue.move(world.venue.price() / WAD, step)
        look(relayer, world.evm.timestamp, world.evm.timestamp)


def hedge_there_and_back(world: BridgeWorld, relayer: Relayer) -> None:
    """Collateral goes, an order follows, is filled, is closed, and the money comes home, all by the relayer's hand."""
    world.send_collateral("trader", 100_000)
    lives(world, relayer, 2 * MIN_DELAY + 10)
    assert world.heard("trader").equity == to_wad(100_000)
    for size in (5.0, -5.0):
        held = world.size("trader")
        world.order("trader", size)
        lives(world, relayer, MIN_DELAY + 10)
        assert world.settle("trader")
        lives(world, relayer, MIN_DELAY + 15)
        assert (world.size("trader"), world.pending("trader")) == (held + to_wad(size), 0)
    world.recall("trader", 10**9)
    lives(world, relayer, 2 * MIN_DELAY + 15)
    assert world.claim("trader") == world.heard("trader").returned
    assert 0 <= world.value("trader") < 10**12  # less than USDC can say
    assert world.balance(world.bridge.address) == 0
    assert to_usdc(99_980) < world.balance(world.account("trader")) < to_usdc(100_000)


def test_a_hedge_travels_there_and_back():
    world = BridgeWorld()
    executor = Direct(world)
    hedge_there_and_back(world, Relayer(MessageReader(world.evm, world.deployment), executor, world.deployment))
    assert {order.call for order in executor.orders} == {Call.DELIVER, Call.REPORT_HOME}


def test_a_bridge_that_loses_half_of_everything_loses_no_money_and_stays_fresh():
    world, generator = BridgeWorld(settings=(10, 100, 500)), np.random.default_rng(11)
    executor, delays = Direct(world), Delays(generator, 60, 0.5)
    relayer = Relayer(MessageReader(world.evm, world.deployment), executor, world.deployment, 20, delays)
    sent = 0
    for _ in range(30):
        world.send_collateral("trader", 100)
        sent += 100
        world.recall("trader", 60)
        lives(world, relayer, 20, 10)
        assert world.value("trader") == to_wad(sent)
    lives(world, relayer, 400, 10)
    there = world.venue.cash(world.hand("trader"))
    assert world.on_the_way(Kind.COLLATERAL, Kind.RETURN, Kind.ORDER) == []
    assert there + world.claimable("trader") * 10**12 == to_wad(sent) == world.value("trader")
    assert 0 < there < to_wad(sent)
    assert {order.call for order in executor.orders} == {Call.DELIVER, Call.EXPIRE_MESSAGE, Call.REPORT_HOME}
    assert world.evm.timestamp - world.heard("trader").time < 500


def test_the_reader_shows_what_is_on_its_way_and_keeps_no_heap_of_reports():
    world = BridgeWorld()
    reader = MessageReader(world.evm, world.deployment)
    first = world.send_collateral("trader", 1)
    world.arrive(first)
    world.calm_down()
    reports = [world.report("trader") for _ in range(PAGE + 10)]
    money, order = world.send_collateral("other", 1), world.order("other", 1.0)
    now = world.evm.timestamp
    shown = asyncio.run(reader.open_messages(now))
    assert list(shown) == [*reports[: REPORTS - 1], reports[-1], money, order]
    assert shown[money] == Message(money, Kind.COLLATERAL, world.account("other"), now + MIN_DELAY, now + LIFETIME)
    assert asyncio.run(reader.accounts()) == (world.account("trader"), world.account("other"))
    newer = world.report("trader")
    world.arrive(reports[0])
    shown = asyncio.run(reader.open_messages(world.evm.timestamp))
    assert list(shown) == [*reports[1 : REPORTS - 1], reports[-1], money, order, newer]
    world.evm.advance(LIFETIME)
    assert list(asyncio.run(reader.open_messages(world.evm.timestamp))) == [money, order]


# On a node


@dataclass
class MiningSender:
    """Mines every transaction as it comes."""

    anvil: Anvil
    used: dict[Call, int] = field(default_factory=dict)

    async def send(self, transaction: Transaction) -> Receipt | None:
        self.anvil.rpc.call("eth_sendRawTransaction", transaction.raw)
        self.anvil.rpc.call("evm_mine")
        receipt: Receipt = self.anvil.rpc.call("eth_getTransactionReceipt", transaction.hash)
        call = transaction.order.call
        self.used[call] = max(self.used.get(call, 0), int(receipt["gasUsed"], 16))
        return receipt


@pytest.fixture(scope="module")
def node() -> Iterator[BridgeWorld]:
    with Anvil() as anvil:
        yield BridgeWorld(evm=Node(anvil))  # type: ignore[arg-type]


@pytest.mark.anvil
def test_a_hedge_travels_there_and_back_on_a_node_within_the_gas_limits(node: BridgeWorld):
    anvil: Anvil = node.evm.anvil  # type: ignore[attr-defined]
    sender, signers = MiningSender(anvil), {"relayer": Signer(key_of("relayer"))}
    journal = Journal(":memory:", durable=False)
    executor = JournaledExecutor(journal, node.deployment, signers, sender, NodeLookup(anvil.rpc))
    relayer = Relayer(MessageReader(anvil.backend(), node.deployment), executor, node.deployment, 60)
    executor.observe(Head(1, node.evm.timestamp, GWEI))
    hedge_there_and_back(node, relayer)
    print(sender.used)
    assert {order.result.status for order in journal.orders()} == {OrderStatus.CONFIRMED}
    for call, gas in sender.used.items():
        assert gas < 0.8 * GAS_LIMITS[call], call
    assert Status(node.message(1).status) is Status.DELIVERED
    assert node.evm.timestamp - node.heard("trader").time < MAX_AGE


@pytest.mark.anvil
def test_no_amount_of_gas_makes_a_message_fail_on_a_node(node: BridgeWorld):
    """Each amount either carries the message out or reverts altogether: there is none at which it is refused."""
    rpc = node.evm.anvil.rpc  # type: ignore[attr-defined]
    node.arrive(node.send_collateral("other", 50_000))
    numbers = [node.order("other", 2.0), node.recall("other", 1_000), node.send_collateral("other", 10)]
    numbers.append(node.send_collateral("newcomer", 10))
    node.venue.move(2_000.0, MIN_DELAY)
    outcomes = []
    for number in numbers:
        data = "0x" + node.bridge.encode("deliver", number).hex()
        for gas in [*range(50_000, 500_000, 10_000), 3_000_000, 12_000_000]:
            request = {"from": node.relayer, "to": node.bridge.address, "data": data, "gas": hex(gas)}
            try:
                outcomes.append(Status(int(rpc.call("eth_call", request, "latest"), 16)))
            except ChainError:
                outcomes.append(None)
    assert set(outcomes) == {Status.DELIVERED, None}
    assert outcomes.count(Status.DELIVERED) > len(numbers) * 5


@pytest.mark.anvil
def test_a_refusal_costs_no_more_than_the_gas_limit_allows(node: BridgeWorld):
    sent = node.send_collateral("other", 10)
    node.venue.move(2_000.0, MIN_DELAY)
    node.venue.hand_over(node.house.address, "stranger", WAD)
    asked = node.recall("other", 10)
    node.venue.move(2_000.0, MIN_DELAY)
    used = [node.deliver(asked).gas_used]
    node.venue.hand_over("stranger", node.house.address, WAD)
    node.venue.as_module("lock")
    used.append(node.deliver(sent).gas_used)
    node.venue.as_module("unlock")
    assert [node.message(number).status for number in (asked, sent)] == [Status.FAILED] * 2
    print(used)
    assert max(used) < 0.8 * GAS_LIMITS[Call.DELIVER]
