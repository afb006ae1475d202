"""Every state in which the price feed gives no live price: how it is entered, what still answers, how it ends."""

from __future__ import annotations

from contextlib import suppress

import pytest
from price_world import CHECKS, HEARTBEAT, MAX_MOVE, SECOND_HEARTBEAT, STATES, PriceWorld
from refusals import refusal

from keeper.chain.abi import Revert
from keeper.chain.contract import Contract
from keeper.chain.deploy_config import PriceChecks, price_limits, price_sources
from keeper.chain.evm import Evm
from keeper.units import WAD, to_wad

JUMPED, DISPUTED, OUT_OF_RANGE = STATES.index("JUMPED"), STATES.index("DISPUTED"), STATES.index("OUT_OF_RANGE")


@pytest.fixture
def wrapped() -> PriceWorld:
    """A source alone, with one round at 2000."""
    world = PriceWorld(Evm())
    world.step(2_000)
    return world


@pytest.fixture
def compared() -> PriceWorld:
    """A source and a second source that agree on 2000."""
    world = PriceWorld(Evm(), second=True)
    world.say(2_000)
    world.answer(2_000)
    world.pull()
    return world


def live_price(world: PriceWorld) -> float:
    return world.feed.call("price")[0] / WAD


def test_feed_is_empty_then_live_then_old() -> None:
    world = PriceWorld(Evm())
    assert world.state == "EMPTY"
    world.step(2_000)
    world.evm.advance(HEARTBEAT)
    assert (world.state, live_price(world)) == ("LIVE", 2_000)
    world.evm.advance(1)
    assert world.state == "OLD"
    assert refusal(lambda: world.feed.call("price")) == ("PriceTooOld", HEARTBEAT + 1, HEARTBEAT)


# -- jumps -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("price", "state"), [(2_200, "LIVE"), (2_200.01, "JUMPED"), (1_800, "LIVE"), (1_799.99, "JUMPED")]
)
def test_jump_is_a_move_beyond_the_bound(wrapped: PriceWorld, price: float, state: str) -> None:
    wrapped.step(price)
    assert wrapped.state == state
    assert wrapped.feed.call("latestRound") == (2 if state == "LIVE" else 1)


def test_jump_stops_the_live_price_at_once_and_is_believed_once_it_has_stood(wrapped: PriceWorld) -> None:
    (held,) = wrapped.step(1_000).events("PriceHeld")
    since = wrapped.evm.timestamp
    assert held == {"why": JUMPED, "price": to_wad(1_000), "last": to_wad(2_000)}
    assert refusal(lambda: wrapped.feed.call("price")) == ("PriceIsHeld", JUMPED, since)
    wrapped.evm.advance(CHECKS.jump_delay - 1)
    wrapped.pull()
    assert wrapped.state == "JUMPED"
    wrapped.evm.advance(1)
    receipt = wrapped.pull()
    assert receipt.events("PriceJumped") == [{"roundId": 2, "price": to_wad(1_000), "last": to_wad(2_000)}]
    assert receipt.events("PriceReleased") == [{"why": JUMPED, "heldFor": CHECKS.jump_delay}]
    assert wrapped.feed.call("price") == (to_wad(1_000), since)


def test_jump_that_goes_on_moving_within_the_bound_is_believed_at_where_it_is(wrapped: PriceWorld) -> None:
    wrapped.step(1_000)
    for price in (1_040, 1_060, 1_080, 1_090):
        wrapped.step(price)
        assert wrapped.state == "JUMPED"
    wrapped.step(1_095)
    assert (wrapped.state, live_price(wrapped)) == ("LIVE", 1_095)


def test_jump_to_somewhere_else_starts_the_clock_anew(wrapped: PriceWorld) -> None:
    wrapped.step(1_000)
    wrapped.step(4_000, CHECKS.jump_delay)
    assert wrapped.state == "JUMPED"
    wrapped.step(4_000, CHECKS.jump_delay - 1)
    assert wrapped.state == "JUMPED"
    wrapped.step(4_000, 1)
    assert (wrapped.state, live_price(wrapped)) == ("LIVE", 4_000)


def test_jump_cannot_walk_away_in_steps_while_its_clock_runs(wrapped: PriceWorld) -> None:
    wrapped.step(1_000)
    for price in (1_090, 1_180, 1_280, 1_390):
        wrapped.step(price, 70)
    assert wrapped.state == "JUMPED"
    assert wrapped.feed.call("latestRound") == 1


def test_jump_that_was_a_false_print_leaves_no_trace_but_the_event(wrapped: PriceWorld) -> None:
    wrapped.step(1_000)
    wrapped.step(2_010)
    assert (wrapped.state, live_price(wrapped)) == ("LIVE", 2_010)
    assert [price for _, price in wrapped.rounds] == [to_wad(2_000), to_wad(2_010)]


def test_jump_that_the_second_source_sees_too_is_believed_at_once(compared: PriceWorld) -> None:
    compared.evm.advance(60)
    compared.say(1_010)
    compared.answer(1_000)
    assert len(compared.pull().events("PriceJumped")) == 1
    assert (compared.state, live_price(compared)) == ("LIVE", 1_000)


def test_jump_from_a_price_that_is_no_longer_alive_binds_nobody(wrapped: PriceWorld) -> None:
    wrapped.step(500, HEARTBEAT + 1)
    assert (wrapped.state, live_price(wrapped)) == ("LIVE", 500)


# -- the second source -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("price", "state"), [(2_100, "LIVE"), (2_100.1, "DISPUTED"), (1_900, "LIVE"), (1_899.9, "DISPUTED")]
)
def test_dispute_is_a_distance_beyond_the_bound_from_the_second_source(
    compared: PriceWorld, price: float, state: str
) -> None:
    compared.step(price)
    assert compared.state == state
    assert compared.feed.call("latestRound") == (2 if state == "LIVE" else 1)


def test_dispute_records_no_round_and_history_goes_on_at_the_last_trusted_price(compared: PriceWorld) -> None:
    start = compared.evm.timestamp
    compared.step(2_190)
    compared.evm.advance(600)
    feed, now = compared.feed, compared.evm.timestamp
    assert feed.call("twap", start, now, 1, 1) == to_wad(2_000)
    assert feed.call("benchmark", start, 1) == (to_wad(2_000), start)
    assert refusal(lambda: feed.call("benchmark", start + 1, 2)) == ("UnknownRound", 2)
    assert feed.call("peek") == (to_wad(2_000), start, 1)


def test_dispute_ends_when_the_sources_agree(compared: PriceWorld) -> None:
    compared.step(2_190)
    compared.evm.advance(60)
    compared.say(2_150)
    compared.answer(2_180)
    (released,) = compared.pull().events("PriceReleased")
    assert released == {"why": DISPUTED, "heldFor": 60}
    assert (compared.state, live_price(compared)) == ("LIVE", 2_180)


def test_dispute_ends_by_itself_after_its_delay_and_the_second_source_binds_no_more(compared: PriceWorld) -> None:
    for _ in range(CHECKS.dispute_delay // 600):
        compared.say(2_000)
        compared.step(2_190, 600)
        assert compared.state == "DISPUTED"
    compared.say(2_000)
    compared.step(2_190, 600)
    assert (compared.state, live_price(compared)) == ("LIVE", 2_190)
    compared.say(2_000)
    compared.step(2_191)
    assert (compared.state, live_price(compared)) == ("LIVE", 2_191)


def test_second_source_that_was_overruled_binds_again_once_it_has_agreed(compared: PriceWorld) -> None:
    compared.step(2_190)
    compared.evm.advance(CHECKS.dispute_delay)
    compared.say(2_000)
    compared.step(2_190, 1)
    assert compared.state == "LIVE"
    compared.say(2_190)
    compared.step(2_191)
    compared.say(2_000)
    compared.step(2_192)
    assert compared.state == "DISPUTED"


@pytest.mark.parametrize("how", ["REVERTS", "SHORT", "LONG", "BURNS"])
def test_second_source_that_is_broken_binds_nobody(compared: PriceWorld, how: str) -> None:
    compared.misbehave(compared.second, how)
    compared.step(2_190)
    assert (compared.state, live_price(compared)) == ("LIVE", 2_190)


@pytest.mark.parametrize(("price", "age"), [(0.0, 0), (-5.0, 0), (1_000.0, -1), (1_000.0, SECOND_HEARTBEAT + 1)])
def test_second_source_without_a_live_answer_binds_nobody(compared: PriceWorld, price: float, age: int) -> None:
    compared.evm.advance(SECOND_HEARTBEAT + 1)
    compared.say(price, at=compared.evm.timestamp - age)
    compared.answer(2_190)
    compared.pull()
    assert (compared.state, live_price(compared)) == ("LIVE", 2_190)


def test_cross_check_holds_a_price_that_the_second_source_has_left_behind_and_lets_it_go_again(
    compared: PriceWorld,
) -> None:
    compared.evm.advance(60)
    compared.say(1_500)
    compared.feed.send("crossCheck", sender=compared.evm.account("trader"))
    assert compared.state == "DISPUTED"
    compared.say(1_950)
    assert compared.feed.send("crossCheck").result == STATES.index("LIVE")
    assert (compared.state, live_price(compared)) == ("LIVE", 2_000)


def test_cross_check_cannot_talk_away_an_answer_that_is_held(compared: PriceWorld) -> None:
    compared.step(2_190)
    assert compared.feed.send("crossCheck").result == DISPUTED
    assert compared.state == "DISPUTED"
    compared.step(5e5)
    compared.misbehave(compared.second, "REVERTS")
    compared.step(5e5)
    assert compared.feed.send("crossCheck").result == JUMPED


def test_cross_check_needs_something_to_compare(wrapped: PriceWorld) -> None:
    assert refusal(lambda: wrapped.feed.send("crossCheck")) == ("NoSecondSource",)
    assert refusal(lambda: PriceWorld(Evm(), second=True).feed.send("crossCheck")) == ("UnknownRound", 0)


def test_round_in_between_that_the_second_source_disputes_is_left_out(compared: PriceWorld) -> None:
    for price in (2_010, 2_190, 2_020):
        compared.evm.advance(10)
        compared.answer(price)
    compared.pull()
    assert [price for _, price in compared.rounds] == [to_wad(2_000), to_wad(2_010), to_wad(2_020)]


def test_check_against_the_second_source_cannot_be_starved_of_gas(
    compared: PriceWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared.evm.advance(60)
    compared.answer(2_190)
    outcomes = set()
    for gas in range(22_000, 150_000, 500):
        monkeypatch.setattr("keeper.chain.evm.GAS_LIMIT", gas)
        with compared.evm.rolled_back():
            with suppress(Revert):
                compared.pull()
            monkeypatch.undo()
            outcomes.add(compared.state)
            assert compared.feed.call("latestRound") == 1
    assert outcomes == {"LIVE", "DISPUTED"}


def test_published_price_that_is_disputed_is_held_and_the_next_good_one_is_taken() -> None:
    world = PriceWorld(Evm(), source=False, second=True)
    reporter = world.evm.account("reporter")
    world.say(2_000)
    assert world.feed.send("publish", to_wad(2_500), sender=reporter).result == 0
    assert world.state == "EMPTY"
    world.evm.advance(1)
    assert world.feed.send("publish", to_wad(2_010), sender=reporter).result == 1
    world.evm.advance(1)
    world.feed.send("publish", to_wad(2_200), sender=reporter)
    assert refusal(lambda: world.feed.call("price"))[:2] == ("PriceIsHeld", DISPUTED)
    world.evm.advance(1)
    assert world.feed.send("publish", to_wad(2_020), sender=reporter).result == 2
    assert live_price(world) == 2_020


# -- range -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("price", [0.5, 1.0, 1e6, 1e8, 3e20])
def test_answer_at_a_bound_of_the_range_stops_the_live_price_until_it_is_back(
    wrapped: PriceWorld, price: float
) -> None:
    wrapped.step(price)
    since = wrapped.evm.timestamp
    assert refusal(lambda: wrapped.feed.call("price")) == ("PriceIsHeld", OUT_OF_RANGE, since)
    wrapped.evm.advance(CHECKS.dispute_delay)
    wrapped.step(price)
    assert wrapped.feed.call("latestRound") == 1
    wrapped.step(2_000)
    assert (wrapped.state, live_price(wrapped)) == ("LIVE", 2_000)


@pytest.mark.parametrize("price", [WAD, 10**6 * WAD, 2**200])
def test_published_price_at_a_bound_of_the_range_is_refused(price: int) -> None:
    world = PriceWorld(Evm(), source=False)
    why = refusal(lambda: world.feed.send("publish", price, sender=world.evm.account("reporter")))
    assert why == ("PriceOutOfRange", price, WAD, 10**6 * WAD)


# -- the sequencer -----------------------------------------------------------------------------------------------------


@pytest.fixture
def sequenced() -> PriceWorld:
    """A source behind a sequencer that has been up for long."""
    world = PriceWorld(Evm(), sequencer=True)
    world.sequence(True, world.evm.timestamp - 10_000)
    world.step(2_000)
    return world


def test_sequencer_that_is_down_gives_no_live_price_and_one_that_starts_none_for_the_grace_period(
    sequenced: PriceWorld,
) -> None:
    assert live_price(sequenced) == 2_000
    since = sequenced.evm.timestamp
    sequenced.sequence(False, since)
    assert (sequenced.state, refusal(lambda: sequenced.feed.call("price"))) == ("SEQUENCER_DOWN", ("SequencerIsDown",))
    sequenced.sequence(True, since)
    sequenced.evm.advance(CHECKS.grace_period)
    assert sequenced.state == "SEQUENCER_STARTING"
    why = refusal(lambda: sequenced.feed.call("price"))
    assert why == ("SequencerIsStarting", since, CHECKS.grace_period)
    sequenced.evm.advance(1)
    assert (sequenced.state, live_price(sequenced)) == ("LIVE", 2_000)
    assert sequenced.feed.call("peek")[0] == to_wad(2_000)


@pytest.mark.parametrize("how", ["REVERTS", "SHORT", "LONG", "BURNS"])
def test_uptime_feed_that_cannot_be_read_counts_as_down(sequenced: PriceWorld, how: str) -> None:
    sequenced.misbehave(sequenced.sequencer, how)
    assert sequenced.state == "SEQUENCER_DOWN"


@pytest.mark.parametrize("since", [0, 2**63])
def test_uptime_feed_without_a_start_that_can_be_counts_as_down(sequenced: PriceWorld, since: int) -> None:
    sequenced.sequence(True, since)
    assert sequenced.state == "SEQUENCER_DOWN"


# -- what a feed may be set to -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "heartbeat", "changes"),
    [
        ("maxPrice", 3_600, {"max_price": 0.0}),
        ("maxPrice", 3_600, {"max_price": 1e11}),
        ("minPrice", 3_600, {"min_price": 1e6}),
        ("secondHeartbeat", 3_600, {"second_heartbeat": 0}),
        ("maxDeviation", 3_600, {"max_deviation": 0.0}),
        ("maxDeviation", 3_600, {"max_deviation": 1.01}),
        ("disputeDelay", 7_201, {}),
        ("jumpDelay", 3_600, {"jump_delay": 0}),
        ("gracePeriod", 3_600, {"grace_period": 0}),
    ],
)
def test_limit_that_would_switch_a_check_off_is_refused_by_name(
    name: str, heartbeat: int, changes: dict[str, float]
) -> None:
    evm = Evm()
    parts: list[Contract] = [evm.deploy("HostileAggregator", 8) for _ in range(3)]
    settings = {each: getattr(CHECKS, each) for each in PriceChecks.__slots__} | changes
    limits = price_limits(heartbeat, MAX_MOVE, PriceChecks(**settings))
    sources = price_sources(*(each.address for each in parts))
    why = refusal(lambda: evm.deploy("PriceFeed", evm.account("admin"), sources, limits))
    assert (why[0], why[1].rstrip(b"\0").decode()) == ("LimitOutOfRange", name)


def test_source_of_more_than_18_decimals_is_refused() -> None:
    evm = Evm()
    sources = price_sources(evm.deploy("HostileAggregator", 19).address)
    why = refusal(lambda: evm.deploy("PriceFeed", evm.account("admin"), sources, price_limits(60)))
    assert (why[0], why[1].rstrip(b"\0"), why[2]) == ("LimitOutOfRange", b"decimals", 19)


@pytest.mark.parametrize("how", ["REVERTS", "SHORT"])
def test_source_that_cannot_be_read_is_pulled_in_vain_and_changes_nothing(wrapped: PriceWorld, how: str) -> None:
    before = wrapped.rounds
    wrapped.answer(2_001)
    wrapped.misbehave(wrapped.source, how)
    refusal(wrapped.pull)
    assert (wrapped.rounds, wrapped.state) == (before, "LIVE")


def test_live_price_costs_no_more_than_it_did_without_any_check() -> None:
    evm = Evm()
    feed = evm.deploy("PriceFeed", evm.account("admin"), price_sources(), price_limits(HEARTBEAT))
    feed.send("grantRole", feed.call("REPORTER"), evm.account("reporter"), sender=evm.account("admin"))
    feed.send("publish", 2_000 * WAD, sender=evm.account("reporter"))
    assert feed.send("price").gas_used < 22_845
