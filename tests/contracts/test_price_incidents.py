"""What has gone wrong with prices elsewhere, as rules of this feed: incidents 26 to 29, 31 and 33."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import replace

import pytest
from option_world import OptionWorld
from price_world import CHECKS, HEARTBEAT, SECOND_HEARTBEAT, PriceWorld
from refusals import refusal

from keeper.chain import accounts, artifacts, reports
from keeper.chain.abi import Revert
from keeper.chain.contract import Contract, Receipt
from keeper.chain.deploy_config import as_tuple
from keeper.chain.evm import Evm
from keeper.protocol.realized import RealizedSettings
from keeper.units import SECONDS_PER_DAY, WAD, from_wad, to_wad

# -- 26: timestamps ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("offset", "name"), [(1, "PriceFromFuture"), (-61, "PriceNotNewer"), (-60, "PriceNotNewer")])
def test_incident_26_answer_from_the_future_or_out_of_order_is_no_round(offset: int, name: str) -> None:
    world = PriceWorld(Evm())
    world.step(2_000)
    world.evm.advance(60)
    before = world.rounds
    world.answer(1_999, at=world.evm.timestamp + offset)
    assert refusal(world.pull)[0] == name
    assert (world.rounds, world.state) == (before, "LIVE")


@pytest.mark.parametrize("is_other_chain", [True, False])
def test_incident_26_vol_report_for_another_chain_or_contract_is_nobodys_here(is_other_chain: bool) -> None:
    world = OptionWorld()
    expiry = world.evm.timestamp + 7 * SECONDS_PER_DAY
    report = reports.Report.of(expiry, world.evm.timestamp, 0.02, -0.3, 0.12)
    here = world.evm.chain_id, world.surface.address
    elsewhere = (1, here[1]) if is_other_chain else (here[0], world.feed.address)

    def submit(place: tuple[int, str]) -> Receipt:
        signed = reports.sign(report, accounts.key_of("reporter"), *place)
        return world.surface.send("submit", *reports.submission([signed]))

    assert refusal(lambda: submit(elsewhere))[0] == "NotReporter"
    assert submit(here).logs


# -- 27: an answer without its checks ----------------------------------------------------------------------------------


def test_incident_27_old_clamped_or_unsequenced_answer_gives_no_live_price() -> None:
    world = PriceWorld(Evm(), sequencer=True)
    world.sequence(True, world.evm.timestamp - 10_000)
    world.step(2_000)
    assert world.state == "LIVE"
    with world.evm.rolled_back():
        world.evm.advance(HEARTBEAT + 1)
        assert refusal(lambda: world.feed.call("price"))[0] == "PriceTooOld"
    with world.evm.rolled_back():
        world.step(CHECKS.min_price)  # an aggregator at its lower bound: the true price is anywhere below
        assert refusal(lambda: world.feed.call("price"))[0] == "PriceIsHeld"
    world.sequence(False, world.evm.timestamp)
    assert refusal(lambda: world.feed.call("price"))[0] == "SequencerIsDown"


def test_incident_27_feed_without_its_limits_cannot_be_deployed() -> None:
    evm = Evm()
    nothing = ((("0x" + "00" * 20),) * 3, (0,) * 9)
    assert refusal(lambda: evm.deploy("PriceFeed", evm.account("admin"), *nothing)) == ("ZeroHeartbeat",)


# -- 28: one heartbeat for two feeds -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("age", "state"), [(SECOND_HEARTBEAT, "DISPUTED"), (SECOND_HEARTBEAT + 1, "LIVE")])
def test_incident_28_second_source_lives_by_its_own_heartbeat(age: int, state: str) -> None:
    world = PriceWorld(Evm(), second=True)
    world.say(2_000)
    world.step(2_000, 1)
    world.say(2_000, at=world.evm.timestamp)
    world.evm.advance(age)
    world.answer(2_190)
    world.pull()
    assert world.state == state


@pytest.mark.parametrize(("age", "is_taken"), [(SECOND_HEARTBEAT + 1, True), (HEARTBEAT, True), (HEARTBEAT + 1, False)])
def test_incident_28_source_lives_by_its_own_heartbeat(age: int, is_taken: bool) -> None:
    world = PriceWorld(Evm(), second=True)
    world.answer(2_000)
    world.evm.advance(age)
    world.say(2_000)
    if is_taken:
        world.pull()
    else:
        assert refusal(world.pull) == ("PriceTooOld", HEARTBEAT + 1, HEARTBEAT)


# -- 29: the best of many prices ---------------------------------------------------------------------------------------


def test_incident_29_only_the_first_price_at_or_after_a_time_settles_it() -> None:
    world = PriceWorld(Evm())
    world.step(2_000)
    time = world.evm.timestamp + 2
    for price in (2_010, 1_950, 2_100):
        world.evm.advance(3)
        world.answer(price)
    world.pull()
    accepted = {}
    for hint in range(1, 5):
        with suppress(Revert):
            accepted[hint] = world.feed.call("benchmark", time, hint)[0]
    assert accepted == {2: to_wad(2_010)}


# -- 31: realised volatility -------------------------------------------------------------------------------------------


def watched(world: PriceWorld, settings: RealizedSettings) -> Contract:
    return world.evm.deploy("RealizedVolatility", world.feed.address, as_tuple(settings))


def test_incident_31_quiet_market_is_samples_of_zero_and_not_a_missing_sample() -> None:
    world = PriceWorld(Evm())
    world.step(2_000)
    vols = watched(world, replace(RealizedSettings(), window=4))
    for price in (2_000, 2_020, 2_020, 2_020, 2_020):
        world.step(price, 300)
    vols.send("update")
    vol, count, span = vols.call("windowVolatility")
    move = math.log(2_020 / 2_000)
    assert (count, span) == (4, 1_200)
    assert from_wad(vol) == pytest.approx(math.sqrt((move**2 - move**2 / 4) / 1_200 * 365 * 86_400), rel=1e-12)


def test_incident_31_wash_prints_buy_no_more_vol_than_their_time_allows() -> None:
    world = PriceWorld(Evm())
    world.step(2_000)
    settings = replace(RealizedSettings(), min_gap=1, max_deviations=4.0)
    vols = watched(world, settings)
    for number in range(60):
        world.step(2_190 if number % 2 == 0 else 2_000, 1)
        vols.send("update", sender=world.evm.account("trader"))
    growth = from_wad(vols.call("volatility")[0]) / settings.initial_vol
    assert 1.0 < growth <= 2 ** ((4.0**2 - 1) * 60 / 3_600 / 2)
    assert vols.call("lastJump")[1] > 50


# -- 33: the breaker as a weapon ---------------------------------------------------------------------------------------


def test_incident_33_second_source_that_lies_delays_and_cannot_lock() -> None:
    world = PriceWorld(Evm(), second=True)
    world.say(2_000)
    world.step(2_000)
    start = world.evm.timestamp
    disputed = 0
    while world.evm.timestamp < start + CHECKS.dispute_delay + 1_200:
        world.say(900)
        world.step(2_000, 600)
        disputed += world.state == "DISPUTED"
    assert disputed * 600 == CHECKS.dispute_delay
    assert world.feed.call("price")[0] == to_wad(2_000)


def test_incident_33_history_answers_while_nothing_is_live() -> None:
    world = PriceWorld(Evm(), second=True)
    world.say(2_000)
    world.step(2_000)
    start = world.evm.timestamp
    world.say(900)
    world.feed.send("crossCheck")
    world.evm.advance(60)
    assert refusal(lambda: world.feed.call("price"))[0] == "PriceIsHeld"
    assert world.feed.call("peek") == (2_000 * WAD, start, 1)
    assert world.feed.call("benchmark", start, 1) == (2_000 * WAD, start)
    assert world.feed.call("twap", start, start + 60, 1, 1) == 2_000 * WAD


def test_incident_33_nobody_holds_a_key_to_the_breaker() -> None:
    world = PriceWorld(Evm(), second=True)
    world.say(2_000)
    world.step(2_000)
    changing = {
        entry["name"]
        for entry in artifacts.load("PriceFeed").abi
        if entry["type"] == "function" and entry["stateMutability"] not in ("view", "pure")
    }
    assert changing == {"publish", "pull", "crossCheck", "grantRole", "revokeRole", "renounceRole"}
    admin = world.evm.account("admin")
    assert refusal(lambda: world.feed.send("publish", WAD, sender=admin))[0] == "AccessControlUnauthorizedAccount"
    assert refusal(lambda: world.feed.send("publish", WAD, sender=world.evm.account("reporter"))) == ("SourceSet",)
