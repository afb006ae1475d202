"""DelayedBridge: the path of each message, what home knows meanwhile, how everything fails, who may do what."""

from __future__ import annotations

from typing import Any

import pytest
from bridge_world import LIFETIME, MAX_AGE, MIN_DELAY, BridgeWorld, opened
from pyrevm import AccountInfo
from venue_world import BUY_AT_ANY_PRICE, refusal

from keeper.chain.abi import Revert, interface_of
from keeper.chain.contract import Contract
from keeper.chain.messages import Kind, Status
from keeper.units import to_usdc, to_wad

USDC = 10**12
"""Wad in the smallest unit of USDC."""


@pytest.fixture
def world() -> BridgeWorld:
    return opened()


def reason_of(receipt: Any) -> str:
    """The name of the refusal that a delivery tells."""
    (told,) = receipt.events("MessageDelivered")
    return Revert.from_data(told["reason"]).name


def refused(world: BridgeWorld, number: int) -> str:
    """Deliver a message that fails, and say why it did."""
    world.venue.move(2_000.0, max(world.message(number).not_before - world.evm.timestamp, 1))
    receipt = world.deliver(number)
    assert receipt.result == Status.FAILED == world.message(number).status
    return reason_of(receipt)


# -- collateral --------------------------------------------------------------------------------------------------------


def test_collateral_arrives_after_the_delay_and_counts_once_all_the_way() -> None:
    world = BridgeWorld()
    sent = world.send_collateral("trader", 1_000)
    assert (world.value("trader"), world.balance(world.bridge.address)) == (to_wad(1_000), to_usdc(1_000))
    world.evm.advance(MIN_DELAY - 1)
    assert refusal(world.deliver, sent).name == "TooEarly"
    world.evm.advance(1)
    assert world.deliver(sent).result == Status.DELIVERED
    assert world.venue.cash(world.hand("trader")) == to_wad(1_000)
    assert world.balance(world.bridge.address) == 0
    assert world.value("trader") == to_wad(1_000)
    (told,) = world.on_the_way(Kind.REPORT)
    world.arrive(told)
    assert (world.heard("trader").equity, world.heard("trader").received) == (to_wad(1_000), to_usdc(1_000))
    assert world.value("trader") == to_wad(1_000)


def test_collateral_that_the_venue_refuses_comes_home(world: BridgeWorld) -> None:
    sent = world.send_collateral("trader", 500)
    world.venue.as_module("lock")
    assert refused(world, sent) == "Locked"
    assert world.on_the_way(Kind.REPORT) == []  # nobody looks at a house whose lock is taken
    assert world.value("trader") == to_wad(100_500)
    world.venue.as_module("unlock")
    (home,) = world.on_the_way(Kind.RETURN)
    world.arrive(home)
    assert (world.claimable("trader"), world.value("trader")) == (to_usdc(500), to_wad(100_500))
    assert world.claim("trader") == to_usdc(500)
    assert (world.balance(world.account("trader")), world.value("trader")) == (to_usdc(500), to_wad(100_000))
    world.arrive(world.report("trader"))
    assert world.value("trader") == to_wad(100_000)


def test_collateral_that_expires_waits_at_home_and_cannot_be_delivered_any_more() -> None:
    world = BridgeWorld()
    sent = world.send_collateral("trader", 1_000)
    world.evm.advance(LIFETIME)
    assert refusal(world.expire, sent).name == "NotExpired"
    world.evm.advance(1)
    assert refusal(world.deliver, sent).name == "Expired"
    world.expire(sent)
    assert (world.claimable("trader"), world.value("trader")) == (to_usdc(1_000), to_wad(1_000))
    assert refusal(world.expire, sent).name == refusal(world.deliver, sent).name == "NotOnItsWay"
    assert world.claim("trader") == to_usdc(1_000)
    assert refusal(world.claim, "trader").name == "ZeroAmount"
    assert world.value("trader") == 0


def test_messages_may_overtake_each_other_without_being_counted_twice() -> None:
    world = BridgeWorld()
    numbers = [world.send_collateral("trader", dollars) for dollars in (100, 20, 3)]
    world.evm.advance(MIN_DELAY)
    for number in reversed(numbers):
        world.deliver(number)
        assert world.value("trader") == to_wad(123)
    for number in reversed(world.on_the_way(Kind.REPORT)):
        world.arrive(number)
        assert world.value("trader") == to_wad(123)
    assert world.heard("trader").received == to_usdc(123)


def test_report_that_left_earlier_and_arrives_later_says_nothing_new(world: BridgeWorld) -> None:
    older, newer = world.report("trader"), world.report("trader")
    world.evm.advance(MIN_DELAY)
    world.deliver(newer)
    before = world.heard("trader")
    assert world.deliver(older).events("Reported") == []
    assert world.heard("trader") == before


# -- orders ------------------------------------------------------------------------------------------------------------


def test_order_is_pending_until_a_report_tells_of_its_fill(world: BridgeWorld) -> None:
    sent = world.order("trader", 5.0)
    knowledge = [(world.size("trader"), world.pending("trader"))]
    world.arrive(sent)
    knowledge.append((world.size("trader"), world.pending("trader")))
    world.calm_down()
    knowledge.append((world.size("trader"), world.pending("trader")))
    assert world.heard("trader").pending == to_wad(5)
    assert world.settle("trader")
    filled_at = world.evm.timestamp
    assert world.venue.size(world.hand("trader")) == to_wad(5)
    knowledge.append((world.size("trader"), world.pending("trader")))
    assert knowledge == [(0, to_wad(5))] * 4
    told, equity = world.report("trader"), world.venue.margin(world.hand("trader"))[0]
    world.arrive(told)
    assert (world.size("trader"), world.pending("trader")) == (to_wad(5), 0)
    assert world.bridge.call("lastFillTime", world.account("trader")) == filled_at
    assert world.value("trader") == equity < to_wad(100_000)


def test_next_order_waits_until_home_knows_what_became_of_the_last(world: BridgeWorld) -> None:
    sent = world.order("trader", 5.0)
    assert refusal(world.order, "trader", 1.0).name == "OrderInFlight"
    world.arrive(sent)
    assert refusal(world.order, "trader", 1.0).name == "OrderInFlight"
    world.calm_down()
    assert refusal(world.order, "trader", 1.0).name == "OrderInFlight"  # pending over there, as the report says
    world.settle("trader")
    world.arrive(world.report("trader"))
    assert world.order("trader", -5.0) == world.last_message()
    assert (world.size("trader"), world.pending("trader")) == (to_wad(5), to_wad(-5))


def test_order_that_the_venue_refuses_is_told_home_and_no_longer_pending(world: BridgeWorld) -> None:
    sent = world.order("trader", 5_000.0)
    assert refused(world, sent) == "InsufficientMargin"
    assert world.pending("trader") == to_wad(5_000)
    world.calm_down()
    assert (world.size("trader"), world.pending("trader")) == (0, 0)


def test_order_of_somebody_without_anything_over_there_fails_and_is_told_home() -> None:
    world = BridgeWorld()
    assert refused(world, world.order("trader", 1.0)) == "InsufficientMargin"
    world.calm_down()
    assert (world.pending("trader"), world.value("trader")) == (0, 0)
    assert not world.evm.has_code(world.hand("trader"))


def test_order_that_expires_frees_the_account_for_the_next(world: BridgeWorld) -> None:
    sent = world.order("trader", 5.0)
    world.evm.advance(LIFETIME + 1)
    world.expire(sent)
    assert (world.size("trader"), world.pending("trader")) == (0, 0)
    world.order("trader", 2.0)
    assert world.pending("trader") == to_wad(2)


def test_order_keeps_its_limit_across_the_bridge(world: BridgeWorld) -> None:
    world.arrive(world.order("trader", 5.0, limit=2_001.0))
    assert world.settle("trader", price=2_100.0) is False
    world.arrive(world.report("trader"))
    assert (world.size("trader"), world.pending("trader")) == (0, 0)


def test_order_without_a_price_over_there_is_cancelled_from_home(world: BridgeWorld) -> None:
    world.arrive(world.order("trader", 5.0))
    cancel = world.cancel("trader")
    world.evm.advance(MIN_DELAY + 10)
    assert world.deliver(cancel).result == Status.DELIVERED
    world.evm.advance(MIN_DELAY)
    for number in world.on_the_way(Kind.REPORT):
        world.deliver(number)
    assert world.pending("trader") == 0


def test_cancel_that_overtakes_its_order_fails_and_changes_nothing(world: BridgeWorld) -> None:
    sent, cancel = world.order("trader", 5.0), world.cancel("trader")
    assert refused(world, cancel) == "NoOrder"
    assert world.arrive(sent) is Status.DELIVERED


# -- the way back ------------------------------------------------------------------------------------------------------


def test_recall_brings_money_home_after_both_delays(world: BridgeWorld) -> None:
    asked = world.recall("trader", 40_000)
    start = world.evm.timestamp
    assert world.arrive(asked) is Status.DELIVERED
    (home,) = world.on_the_way(Kind.RETURN)
    assert world.message(home).amount == to_usdc(40_000)
    world.arrive(home)
    assert world.evm.timestamp == start + 2 * MIN_DELAY
    assert world.value("trader") == to_wad(100_000)  # the report that knows of it is still on its way
    world.calm_down()
    assert world.claim("trader") == to_usdc(40_000)
    assert world.value("trader") == to_wad(60_000)


def test_recall_takes_what_margin_does_not_need_and_leaves_the_rest(world: BridgeWorld) -> None:
    world.arrive(world.order("trader", 100.0))
    world.settle("trader")
    assert world.arrive(world.recall("trader", 10**9)) is Status.DELIVERED
    equity, initial, _ = world.venue.margin(world.hand("trader"))
    assert 0 <= equity - initial < 2 * USDC
    before = world.value("trader")
    world.calm_down()
    assert world.claimable("trader") * USDC + equity == world.value("trader")
    assert world.value("trader") <= before


def test_recall_fails_where_withdrawals_are_blocked_and_nothing_moves(world: BridgeWorld) -> None:
    world.venue.hand_over(world.house.address, "stranger", to_wad(10))  # bad debt
    assert refused(world, world.recall("trader", 40_000)) == "WithdrawalsBlocked"
    world.calm_down()
    assert (world.value("trader"), world.claimable("trader")) == (to_wad(100_000), 0)


def test_recall_of_nothing_fails() -> None:
    world = BridgeWorld()
    assert refused(world, world.recall("trader", 1.0)) == "NoRemoteAccount"
    world.arrive(world.send_collateral("trader", 100))
    world.arrive(world.recall("trader", 100))
    assert refused(world, world.recall("trader", 1.0)) == "NothingFree"


def test_money_on_its_way_home_is_not_lost_when_nobody_delivers_it(world: BridgeWorld) -> None:
    world.arrive(world.recall("trader", 40_000))
    (home,) = world.on_the_way(Kind.RETURN)
    world.evm.advance(LIFETIME + 1)
    assert refusal(world.deliver, home).name == "Expired"
    world.expire(home)
    assert world.claim("trader") == to_usdc(40_000)
    assert refusal(world.expire, home).name == "NotOnItsWay"


# -- knowledge and its age ---------------------------------------------------------------------------------------------


def test_value_is_refused_when_the_report_is_too_old(world: BridgeWorld) -> None:
    age = world.evm.timestamp - world.heard("trader").time
    world.evm.advance(MAX_AGE - age)
    assert world.value("trader") == to_wad(100_000)
    world.evm.advance(1)
    assert refusal(world.value, "trader").name == "ReportTooOld"
    world.arrive(world.report("trader"))
    assert world.value("trader") == to_wad(100_000)


def test_report_made_at_a_silent_price_is_as_old_as_that_price(world: BridgeWorld) -> None:
    world.arrive(world.order("trader", 100.0))
    world.settle("trader")
    world.calm_down()
    _, updated_at, _ = world.venue.feed.call("peek")
    world.evm.advance(world.venue.feed.call("heartbeat") + 1)
    number = world.report("trader")
    world.evm.advance(MIN_DELAY)
    world.deliver(number)
    assert world.heard("trader").time == updated_at
    assert refusal(world.value, "trader").name == "ReportTooOld"


def test_report_of_cash_alone_needs_no_price(world: BridgeWorld) -> None:
    world.evm.advance(world.venue.feed.call("heartbeat") + 1)
    number = world.report("trader")
    made_at = world.evm.timestamp
    world.evm.advance(MIN_DELAY)
    world.deliver(number)
    assert world.heard("trader").time == made_at


def test_order_that_adds_needs_a_fresh_report_and_one_that_shrinks_does_not(world: BridgeWorld) -> None:
    world.arrive(world.order("trader", 5.0))
    world.settle("trader")
    world.arrive(world.report("trader"))
    world.evm.advance(MAX_AGE + 1)
    assert refusal(world.order, "trader", 1.0).name == "ReportTooOld"
    assert refusal(world.order, "trader", -11.0).name == "ReportTooOld"
    world.order("trader", -5.0)


def test_account_with_nothing_over_there_needs_no_report() -> None:
    world = BridgeWorld()
    world.evm.advance(10 * MAX_AGE)
    assert world.value("trader") == 0
    world.send_collateral("trader", 100)
    assert world.value("trader") == to_wad(100)
    world.evm.advance(MAX_AGE + 1)
    assert refusal(world.value, "trader").name == "ReportTooOld"
    world.expire(1)
    assert world.value("trader") == to_wad(100)


def test_account_that_took_everything_home_needs_no_report(world: BridgeWorld) -> None:
    world.arrive(world.recall("trader", 100_000))
    world.calm_down()
    world.evm.advance(MAX_AGE + 1)
    assert world.value("trader") == to_wad(100_000)
    assert world.claim("trader") == to_usdc(100_000)
    assert world.value("trader") == 0


def test_report_tells_of_a_liquidation_over_there(world: BridgeWorld) -> None:
    world.arrive(world.order("trader", 500.0))
    world.settle("trader")
    world.arrive(world.report("trader"))
    world.venue.move(1_830.0, 1)
    world.venue.liquidate(world.hand("trader"))
    assert world.size("trader") == to_wad(500)
    world.arrive(world.report("trader"))
    assert world.size("trader") == 0
    assert world.value("trader") == world.venue.cash(world.hand("trader"))


def test_strangers_gift_over_there_is_equity_and_no_collateral(world: BridgeWorld) -> None:
    world.venue.deposit(world.hand("trader"), 50)
    world.arrive(world.report("trader"))
    assert world.value("trader") == to_wad(100_050)


def test_nothing_is_told_while_the_house_over_there_is_locked(world: BridgeWorld) -> None:
    world.venue.as_module("lock")
    assert refusal(world.report, "trader").name == "Locked"


def test_nothing_is_told_of_somebody_of_whom_nothing_arrived(world: BridgeWorld) -> None:
    assert refusal(world.report, "stranger").name == "NoRemoteAccount"


# -- who may do what ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("function", "arguments"), [("deliver", (1,)), ("delay", (1, 10**10))])
def test_only_the_relayer_carries_and_delays(function: str, arguments: tuple[int, ...]) -> None:
    world = BridgeWorld()
    world.send_collateral("trader", 1.0)
    stranger = world.account("stranger")
    assert refusal(world.bridge.send, function, *arguments, sender=stranger).name == "AccessControlUnauthorizedAccount"


def test_relayer_delays_up_to_expiry_and_never_hastens() -> None:
    world = BridgeWorld()
    number = world.send_collateral("trader", 1.0)
    sent = world.message(number)
    for time in (sent.not_before - 1, sent.expires_at + 1):
        assert refusal(world.bridge.send, "delay", number, time, sender=world.relayer).name == "BadSetting"
    world.bridge.send("delay", number, sent.expires_at, sender=world.relayer)
    world.evm.advance(MIN_DELAY)
    assert refusal(world.deliver, number).name == "TooEarly"
    world.evm.advance(LIFETIME - MIN_DELAY)
    assert world.deliver(number).result == Status.DELIVERED
    assert refusal(world.bridge.send, "delay", number, sent.expires_at, sender=world.relayer).name == "NotOnItsWay"


def test_relayer_cannot_make_a_message_fail_by_sending_too_little_gas(world: BridgeWorld) -> None:
    """Whatever gas it gives, the message is delivered and reported, or the whole call reverts."""
    numbers = [world.order("trader", 5.0), world.send_collateral("other", 100), world.recall("trader", 1_000)]
    world.venue.move(2_000.0, MIN_DELAY)
    deliver = interface_of("DelayedBridge").function("deliver", 1)
    outcomes = set()
    newest = world.last_message()
    for number in numbers:
        for gas in [*range(40_000, 900_000, 4_000), 2_000_000, 8_000_000, 20_000_000]:
            with world.evm.rolled_back():
                world.evm._begin_transaction()
                try:
                    answer = world.evm._evm.message_call(
                        caller=world.relayer, to=world.bridge.address, calldata=deliver.encode((number,)), gas=gas
                    )
                    outcomes.add((number, Status(deliver.decode(answer)), world.last_message()))
                except RuntimeError:
                    pass
    told = [newest + 1, newest + 1, newest + 2]  # what is recalled starts for home as well
    assert outcomes == {(n, Status.DELIVERED, last) for n, last in zip(numbers, told, strict=True)}


def test_message_that_ends_without_a_reason_stays_on_its_way_and_may_expire(world: BridgeWorld) -> None:
    """As a call does that runs out of gas; here the market over there is a contract that only reverts."""
    sent = world.order("trader", 5.0)
    world.evm.advance(MIN_DELAY)
    world.evm._evm.insert_account_info(world.venue.perp.address, AccountInfo(code=bytes.fromhex("5f5ffd")))
    assert refusal(world.deliver, sent).name == "NoReason"
    assert world.message(sent).status == Status.SENT
    world.evm.advance(LIFETIME)
    world.expire(sent)
    assert world.pending("trader") == 0


def test_hand_over_there_obeys_the_bridge_only(world: BridgeWorld) -> None:
    hand = Contract.at(world.evm, "RemoteAccount", world.hand("trader"))
    for caller in ("trader", "relayer", "admin", "stranger"):
        sender = world.account(caller)
        assert refusal(hand.send, "withdraw", 1, sender=sender).name == "NotBridge"
        assert refusal(hand.send, "commit", 1, BUY_AT_ANY_PRICE, sender=sender).name == "NotBridge"
        forged = (Kind.RECALL, Status.SENT, world.account("trader"), 0, 0, 10**12, to_usdc(1), 0, 0)
        assert refusal(world.bridge.send, "carryOut", forged, sender=sender).name == "NotBridge"


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ((7 * 86_400 + 1, 30 * 86_400, 30 * 86_400), "minDelay"),
        ((60, 60, 900), "lifetime"),
        ((60, 30 * 86_400 + 1, 900), "lifetime"),
        ((60, 600, 60), "maxAge"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: tuple[int, int, int], name: str) -> None:
    revert = refusal(BridgeWorld, settings=settings)
    assert (revert.name, revert.args[0].rstrip(b"\0").decode()) == ("BadSetting", name)


def test_new_settings_hold_for_what_is_sent_from_then_on(world: BridgeWorld) -> None:
    before = world.send_collateral("trader", 1.0)
    world.bridge.send("configure", (5, 50, 900), sender=world.venue.admin)
    after = world.send_collateral("trader", 1.0)
    now = world.evm.timestamp
    assert [(world.message(n).not_before, world.message(n).expires_at) for n in (before, after)] == [
        (now + MIN_DELAY, now + LIFETIME),
        (now + 5, now + 50),
    ]
    stranger = world.account("stranger")
    revert = refusal(world.bridge.send, "configure", (5, 50, 900), sender=stranger)
    assert revert.name == "AccessControlUnauthorizedAccount"


def test_token_that_calls_back_in_the_middle_of_a_transfer_changes_nothing() -> None:
    """Every way in is shut while a message is carried out, and the value is not to be read."""
    world = opened(token_kind="MischiefToken")
    world.bridge.send("grantRole", world.bridge.call("RELAYER"), world.token.address, sender=world.venue.admin)
    other = world.send_collateral("other", 7.0)
    world.venue.move(2_000.0, MIN_DELAY)
    trader = world.account("trader")
    shut = [("deliver", other), ("expire", 1), ("report", trader), ("valueOf", trader), ("claim", trader)]
    shut += [("commit", to_wad(1), 0), ("sendCollateral", 1), ("recall", 1), ("cancelOrder",)]
    for number, (function, *arguments) in enumerate(shut):
        world.token.send("arm", world.bridge.address, world.bridge.encode(function, *arguments))
        if number % 2:
            world.send_collateral("trader", 10)
        else:
            sent = world.send_collateral("trader", 10)
            world.token.send("arm", world.bridge.address, world.bridge.encode(function, *arguments))
            world.arrive(sent)
        assert world.token.call("succeeded") is False, function
    assert world.token.call("attempts") == len(shut) + (len(shut) + 1) // 2
    world.calm_down()
    assert world.value("trader") == to_wad(100_000 + 10 * len(shut))
    lapsed = world.send_collateral("trader", 10)
    world.evm.advance(LIFETIME + 1)
    world.expire(lapsed)
    world.token.send("arm", world.bridge.address, world.bridge.encode("cancelOrder"))
    assert world.claim("trader") == to_usdc(10)
    assert world.token.call("succeeded") is False
