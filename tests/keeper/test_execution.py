"""Orders reach the chain at most once, whatever is lost on the way; and nobody ever sees a key."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from eth_account import Account
from eth_account.typed_transactions import TypedTransaction
from hexbytes import HexBytes
from hypothesis import given
from hypothesis import strategies as st
from live_world import dev_signers

from keeper.chain.deployment import Deployment
from keeper.chain.dev_accounts import DEV_ROLES, address_of_role, dev_addresses, key_of_role
from keeper.errors import AnswerLost, InputError, KeeperError, NodeUnreachable, RpcError
from keeper.execution.executor import RESEND_WITHIN, JournaledExecutor, lost_race
from keeper.execution.journal import Journal
from keeper.execution.keys import signers_for
from keeper.execution.senders import LiveSender
from keeper.execution.transactions import Fees, Signer, Transaction, sign
from keeper.state.decision import Call, Order, OrderResult, OrderStatus
from keeper.state.ports import Head

VENUE = "0x" + "11" * 20
DEPLOYMENT = Deployment(31_337, 0, {"PerpMarket": VENUE, "Clearinghouse": "0x" + "22" * 20}, {}, dev_addresses(), {})
SETTLER = address_of_role("settler")
GWEI = 10**9


@dataclass
class FakeChain:
    """A chain and its pool. ``fail`` is raised by the next send, before or after the bytes arrived."""

    mined: dict[str, dict] = field(default_factory=dict)
    pool: dict[str, Transaction] = field(default_factory=dict)
    nonces: dict[str, int] = field(default_factory=dict)
    arrived: list[Transaction] = field(default_factory=list)
    fail: KeeperError | None = None
    lose_bytes: bool = False

    async def send(self, transaction: Transaction) -> None:
        failure, self.fail = self.fail, None
        if failure is None or not self.lose_bytes:
            self.arrived.append(transaction)
            self.pool[transaction.hash] = transaction
        if failure is not None:
            raise failure

    def mine(self, status: int = 1) -> None:
        for tx_hash, transaction in self.pool.items():
            self.nonces[transaction.sender] = self.nonces.get(transaction.sender, 0) + 1
            self.mined[tx_hash] = {
                "transactionHash": tx_hash, "status": hex(status), "blockNumber": "0x7", "gasUsed": "0x5208",
                "effectiveGasPrice": hex(GWEI), "logs": [],
            }  # fmt: skip
        self.pool.clear()

    def nonce(self, address: str) -> int:
        return self.nonces.get(address, 0)

    def receipt(self, tx_hash: str) -> dict | None:
        return self.mined.get(tx_hash)

    def knows(self, tx_hash: str) -> bool:
        return tx_hash in self.mined or tx_hash in self.pool

    def reason(self, transaction: Transaction) -> str:
        return "NoOrder(account='0x1')"


def order(key: str = "settle:1", role: str = "settler") -> Order:
    return Order(key, role, Call.SETTLE, VENUE, "settle", (SETTLER, 5))


def executor(chain: FakeChain, journal: Journal | None = None) -> JournaledExecutor:
    made = JournaledExecutor(journal or Journal(":memory:"), DEPLOYMENT, dev_signers(), chain, chain)
    made.observe(Head(6, 1_000, GWEI))
    return made


def submit(to: JournaledExecutor, wanted: Order | None = None) -> OrderResult:
    return asyncio.run(to.submit(wanted or order()))


def test_a_signed_order_is_the_transaction_that_the_reference_signs():
    """Two signers that share no code: ours and eth-account's."""
    signer = Signer(key_of_role("settler"))
    ours = sign(order(), b"\xca\xfe", signer, 7, 31_337, GWEI, Fees(priority=3))
    theirs = Account.sign_transaction(
        {
            "type": 2, "chainId": 31_337, "nonce": 7, "to": VENUE, "value": 0, "data": "0xcafe", "gas": ours.gas,
            "maxFeePerGas": ours.max_fee, "maxPriorityFeePerGas": 3,
        },
        signer.key,
    )  # fmt: skip
    assert ours.raw == "0x" + bytes(theirs.raw_transaction).hex()
    assert ours.hash == "0x" + bytes(theirs.hash).hex()
    assert TypedTransaction.from_bytes(HexBytes(ours.raw)).as_dict()["nonce"] == 7
    assert Account.recover_transaction(ours.raw) == signer.address == ours.sender


@given(st.integers(0, 2**40), st.floats(1.0, 100.0))
def test_the_fee_cap_never_falls_below_the_floor_and_grows_with_the_base_fee(base_fee: int, headroom: float):
    fees = Fees(headroom=headroom)
    assert fees.max_fee(base_fee) >= max(fees.floor, base_fee)


def test_development_keys_are_those_of_the_well_known_mnemonic():
    Account.enable_unaudited_hdwallet_features()
    words = "test test test test test test test test test test test junk"
    for index, role in enumerate(DEV_ROLES):
        theirs = Account.from_mnemonic(words, account_path=f"m/44'/60'/0'/0/{index}")
        assert (key_of_role(role), address_of_role(role)) == (bytes(theirs.key), theirs.address)


def test_the_same_key_twice_is_sent_once():
    chain = FakeChain()
    send = executor(chain)
    first, again = submit(send), submit(send)
    assert (first, len(chain.arrived)) == (again, 1)


def test_an_order_is_in_the_journal_before_it_leaves():
    chain, journal = FakeChain(), Journal(":memory:")
    seen: list[OrderStatus] = []
    original = chain.send

    async def watched(transaction: Transaction) -> None:
        seen.append(journal.order("settle:1").result.status)
        await original(transaction)

    chain.send = watched  # type: ignore[method-assign]
    submit(executor(chain, journal))
    assert seen == [OrderStatus.INTENDED]
    assert journal.order("settle:1").result.status is OrderStatus.SENT


def test_a_crash_between_writing_and_sending_sends_the_same_bytes_once(tmp_path: Path):
    chain = FakeChain(fail=SystemError("killed"), lose_bytes=True)  # type: ignore[arg-type]
    with pytest.raises(SystemError):
        submit(executor(chain, Journal(tmp_path / "j")))
    written = Journal(tmp_path / "j").order("settle:1").transaction
    restarted = executor(chain, Journal(tmp_path / "j"))
    results = asyncio.run(restarted.reconcile())
    assert [result.status for result in results] == [OrderStatus.SENT]
    assert [each.raw for each in chain.arrived] == [written.raw]
    assert submit(restarted).status is OrderStatus.SENT
    assert len(chain.arrived) == 1


def test_a_crash_after_sending_finds_the_receipt_and_sends_nothing(tmp_path: Path):
    chain = FakeChain()
    submit(executor(chain, Journal(tmp_path / "j")))
    chain.mine()
    results = asyncio.run(executor(chain, Journal(tmp_path / "j")).reconcile())
    assert [result.status for result in results] == [OrderStatus.CONFIRMED]
    assert len(chain.arrived) == 1


def test_a_lost_answer_counts_as_sent_until_the_chain_tells():
    chain = FakeChain(fail=AnswerLost("reset"))
    send = executor(chain)
    assert submit(send).status is OrderStatus.SENT
    assert [each.key for each in send.in_flight("settle:")] == ["settle:1"]
    chain.mine()
    assert [result.status for result in asyncio.run(send.follow_up())] == [OrderStatus.CONFIRMED]
    assert send.in_flight("") == ()


def test_a_lost_request_is_sent_again_with_the_same_bytes():
    chain = FakeChain(fail=AnswerLost("reset"), lose_bytes=True)
    send = executor(chain)
    submit(send)
    asyncio.run(send.follow_up())
    chain.mine()
    asyncio.run(send.follow_up())
    assert len({each.raw for each in chain.arrived}) == len(chain.arrived) == 1


@pytest.mark.parametrize(
    "error", [NodeUnreachable("dead"), RpcError("eth_sendRawTransaction", -32000, "nonce too low")]
)
def test_an_order_that_the_node_refused_frees_its_nonce(error: KeeperError):
    chain = FakeChain(fail=error, lose_bytes=True)
    send = executor(chain)
    refused = submit(send)
    assert (refused.status, str(error) in refused.error) == (OrderStatus.REFUSED, True)
    submit(send, order("settle:2"))
    assert [each.nonce for each in chain.arrived] == [0]


@pytest.mark.parametrize(
    ("code", "words"), [(-32000, "transaction already known"), (-32003, "transaction already imported")]
)
def test_a_transaction_that_the_pool_already_has_counts_as_sent(code: int, words: str):
    """Even of a node that does not show its pool."""
    chain = FakeChain(fail=RpcError("eth_sendRawTransaction", code, words), lose_bytes=True)
    assert submit(executor(chain)).status is OrderStatus.SENT


def test_a_refusal_of_bytes_that_are_in_the_pool_leaves_the_order_sent_and_its_nonce_used():
    chain = FakeChain(fail=RpcError("eth_sendRawTransactionSync", -32603, "internal error"))
    send = executor(chain)
    assert submit(send).status is OrderStatus.SENT
    submit(send, order("settle:2"))
    assert [each.nonce for each in chain.arrived] == [0, 1]
    chain.mine()
    assert [each.status for each in asyncio.run(send.follow_up())] == [OrderStatus.CONFIRMED] * 2


def test_a_refusal_of_bytes_that_are_mined_confirms_the_order(monkeypatch: pytest.MonkeyPatch):
    chain = FakeChain()

    async def mined_and_refused(transaction: Transaction) -> None:
        chain.pool[transaction.hash] = transaction
        chain.mine()
        raise RpcError("eth_sendRawTransaction", -32000, "nonce too low")

    monkeypatch.setattr(chain, "send", mined_and_refused)
    assert submit(executor(chain)).status is OrderStatus.CONFIRMED


def test_a_refusal_that_nobody_can_check_counts_as_sent(monkeypatch: pytest.MonkeyPatch):
    def dead(tx_hash: str) -> None:
        raise NodeUnreachable("dead")

    chain = FakeChain(fail=RpcError("eth_sendRawTransaction", -32603, "internal error"))
    monkeypatch.setattr(chain, "receipt", dead)
    assert submit(executor(chain)).status is OrderStatus.SENT


class ScriptedNode:
    """A connection that answers each method with what it is told to; an error is raised."""

    def __init__(self, **answers: object) -> None:
        self.answers = answers

    def call(self, method: str, *_: object) -> object:
        answer = self.answers[method]
        if isinstance(answer, KeeperError):
            raise answer
        return answer


SYNC = "eth_sendRawTransactionSync"
UNKNOWN = RpcError(SYNC, -32601, "Method not found")


@pytest.mark.parametrize(
    "answers",
    [
        {SYNC: RpcError(SYNC, 4, "not mined in time")},
        {SYNC: RpcError(SYNC, -32603, "Transaction confirmation timeout")},
        {SYNC: UNKNOWN, "eth_sendRawTransaction": "0x", "eth_getTransactionReceipt": NodeUnreachable("dead")},
    ],
)
def test_a_transaction_whose_block_has_not_come_has_a_receipt_that_comes_later(answers: dict[str, object]):
    transaction = sign(order(), b"", Signer(key_of_role("settler")), 0, 31_337, GWEI, Fees())
    assert asyncio.run(LiveSender(lambda: ScriptedNode(**answers)).send(transaction)) is None


def test_a_nonce_that_somebody_else_used_ends_the_order():
    chain = FakeChain(fail=AnswerLost("reset"), lose_bytes=True)
    send = executor(chain)
    submit(send)
    chain.nonces[SETTLER] = 1
    (result,) = asyncio.run(send.follow_up())
    assert (result.status, result.error) == (OrderStatus.REFUSED, "another transaction took its nonce")
    submit(send, order("settle:2"))
    assert chain.arrived[-1].nonce == 1


def test_an_old_order_that_never_reached_the_chain_is_given_up_and_its_nonce_used():
    chain = FakeChain(fail=AnswerLost("reset"), lose_bytes=True)
    send = executor(chain)
    submit(send)
    send.observe(Head(20, 1_000 + RESEND_WITHIN + 1, GWEI))
    (result,) = asyncio.run(send.reconcile())
    assert (result.status, "too old" in result.error) == (OrderStatus.REFUSED, True)
    submit(send, order("settle:2"))
    assert [each.nonce for each in chain.arrived] == [0]


def test_a_refused_nonce_in_the_middle_is_filled_first():
    chain = FakeChain()
    send = executor(chain)
    submit(send, order("a"))
    chain.fail, chain.lose_bytes = NodeUnreachable("dead"), True
    submit(send, order("b"))
    chain.lose_bytes = False
    submit(send, order("c"))
    submit(send, order("d"))
    assert [each.nonce for each in chain.arrived] == [0, 1, 2]


def test_each_account_counts_its_own_nonces():
    chain = FakeChain(nonces={SETTLER: 40})
    send = executor(chain)
    for key, role in (("a", "settler"), ("b", "roller"), ("c", "settler")):
        submit(send, order(key, role))
    assert [each.nonce for each in chain.arrived] == [40, 0, 41]


def test_a_lost_race_is_told_from_a_failure():
    chain = FakeChain()
    send = executor(chain)
    submit(send)
    chain.mine(status=0)
    (result,) = asyncio.run(send.follow_up())
    assert (result.status, lost_race(result)) == (OrderStatus.REVERTED, True)
    other = OrderResult("k", OrderStatus.REVERTED, "0x", 1, 1, 1, 1, "MarginBufferBroken(equity=1, required=2)")
    assert not lost_race(other)


def test_a_dropped_transaction_is_refused_and_its_nonce_used_again():
    chain = FakeChain()
    send = executor(chain)
    submit(send)
    chain.pool.clear()
    assert send.on_receipt(chain.arrived[0].hash, None).status is OrderStatus.REFUSED
    submit(send, order("settle:2"))
    assert chain.arrived[-1].nonce == 0


def test_a_result_holds_block_gas_and_price():
    chain = FakeChain()
    send = executor(chain)
    submit(send)
    chain.mine()
    (result,) = asyncio.run(send.follow_up())
    assert (result.block_number, result.timestamp, result.gas_used, result.gas_price) == (7, 1_000, 21_000, GWEI)


def test_a_role_without_a_key_is_refused_by_name():
    chain = FakeChain()
    with pytest.raises(InputError, match="KEEPER_KEY_AUDITOR"):
        submit(executor(chain), order(role="auditor"))
    assert chain.arrived == []


# Keys


def test_a_key_from_the_environment_must_be_the_one_that_holds_the_role():
    good = signers_for(["hedger"], DEPLOYMENT, environment={"KEEPER_KEY_HEDGER": "0x" + key_of_role("hedger").hex()})
    assert good["hedger"].address == address_of_role("hedger")
    with pytest.raises(InputError, match="belongs to"):
        signers_for(["hedger"], DEPLOYMENT, environment={"KEEPER_KEY_HEDGER": key_of_role("trader").hex()})


def test_a_malformed_key_is_refused_without_showing_it():
    with pytest.raises(InputError) as refusal:
        signers_for(["hedger"], DEPLOYMENT, environment={"KEEPER_KEY_HEDGER": "c0ffee-secret"})
    assert "KEEPER_KEY_HEDGER" in str(refusal.value)
    assert "secret" not in str(refusal.value)


def test_a_keystore_opens_with_the_password_of_its_file(tmp_path: Path):
    stored = Account.encrypt(key_of_role("hedger"), "open sesame", kdf="pbkdf2", iterations=2)
    (tmp_path / "key.json").write_text(json.dumps(stored))
    (tmp_path / "password").write_text("open sesame\n")
    known = {"KEEPER_KEYSTORE_PASSWORD_FILE": str(tmp_path / "password")}
    signers = signers_for(["hedger"], DEPLOYMENT, tmp_path / "key.json", known)
    assert signers["hedger"].address == address_of_role("hedger")
    (tmp_path / "password").write_text("wrong")
    with pytest.raises(InputError, match="wrong password"):
        signers_for(["hedger"], DEPLOYMENT, tmp_path / "key.json", known)


def test_a_role_that_is_not_held_by_a_development_account_needs_a_key():
    foreign = Deployment(1, 0, {}, {}, {"hedger": "0x" + "33" * 20}, {})
    with pytest.raises(InputError, match="KEEPER_KEY_HEDGER"):
        signers_for(["hedger"], foreign, environment={})


def test_no_key_is_ever_shown(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    chain = FakeChain(fail=AnswerLost("reset"))
    send = executor(chain, Journal(tmp_path / "j"))
    submit(send)
    secret = key_of_role("settler")
    shown = caplog.text + repr(dev_signers()) + repr(vars(send)) + repr(chain.arrived)
    assert secret.hex() not in shown.lower()
    assert repr(secret) not in shown
    files = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert secret not in files
    assert secret.hex().encode() not in files
