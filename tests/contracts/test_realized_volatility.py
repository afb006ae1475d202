"""Realised volatility on chain: against the same rounds in floats, golden values, and what others got wrong."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.chain.abi import Revert
from keeper.chain.contract import Contract, Receipt
from keeper.chain.deploy_config import as_tuple, price_limits, price_sources
from keeper.chain.evm import Evm
from keeper.protocol import realized
from keeper.protocol.realized import Realized, RealizedSettings
from keeper.units import SECONDS_PER_YEAR, WAD, from_wad, to_wad

UNBOUNDED = RealizedSettings(min_gap=1, window=16, max_deviations=1e9)
BOUNDED = RealizedSettings(min_gap=60, window=8, max_deviations=4.0)
MAX_ROUNDS = 32


class World:
    """A feed, the contract that watches it, and the rounds so far."""

    def __init__(self, evm: Evm, with_settings: RealizedSettings) -> None:
        self.evm = evm
        self.settings = with_settings
        self.feed = evm.deploy("PriceFeed", evm.account("admin"), price_sources(), price_limits(3_600))
        self.feed.send("grantRole", self.feed.call("REPORTER"), evm.account("reporter"), sender=evm.account("admin"))
        self.contract = self.watch(with_settings)
        self.rounds: list[tuple[float, int]] = []

    def watch(self, with_settings: RealizedSettings) -> Contract:
        return self.evm.deploy("RealizedVolatility", self.feed.address, as_tuple(with_settings))

    def publish(self, price: float, after: int = 300) -> None:
        self.evm.advance(after)
        self.feed.send("publish", to_wad(price), sender=self.evm.account("reporter"))
        self.rounds.append((price, self.evm.timestamp))

    def publish_all(self, history: list[tuple[int, float]]) -> None:
        for after, price in history:
            self.publish(price, after)

    def update(self) -> Receipt:
        return self.contract.send("update", sender=self.evm.account("trader"))

    def catch_up(self) -> None:
        while self.update().result <= len(self.rounds):
            pass

    @property
    def expected(self) -> Realized:
        return realized.take(realized.start(self.settings), self.rounds, self.settings)

    def vol(self) -> float:
        return from_wad(self.contract.call("volatility")[0])

    def window(self) -> tuple[float, int, int]:
        vol, count, span = self.contract.call("windowVolatility")
        return from_wad(vol), count, span


def new_world(with_settings: RealizedSettings = UNBOUNDED) -> World:
    return World(Evm(), with_settings)


@pytest.fixture(scope="module")
def unbounded() -> World:
    return new_world()


@pytest.fixture(scope="module")
def bounded() -> World:
    return new_world(BOUNDED)


def as_found(world: World) -> Any:
    return [world.contract.call(view) for view in ("volatility", "lastJump")]


def test_average_of_five_prices_is_the_golden_vector() -> None:
    world = new_world()
    world.publish(2_000)
    world.update()
    assert world.contract.call("volatility") == (to_wad(0.8), 0)
    for price, golden in ((2_010, 0.8665124), (1_990, 1.1396075), (2_005, 1.2484070), (2_050, 2.0922839)):
        world.publish(price)
        world.update()
        assert world.vol() == pytest.approx(golden, abs=5e-8)
        assert world.contract.call("volatility")[1] == world.evm.timestamp


def test_window_is_the_deviation_of_its_returns_over_their_time_by_hand() -> None:
    world = new_world()
    world.publish_all([(300, 2_000.0), (300, 2_010.0), (600, 1_990.0), (120, 2_005.0)])
    world.update()
    returns = [math.log(2_010 / 2_000), math.log(1_990 / 2_010), math.log(2_005 / 1_990)]
    centred = sum(r * r for r in returns) - sum(returns) ** 2 / 3
    vol, count, span = world.window()
    assert (count, span) == (3, 1_020)
    assert vol == pytest.approx(math.sqrt(centred / 1_020 * SECONDS_PER_YEAR), rel=1e-12)


prices = st.floats(500.0, 8_000.0)
histories = st.lists(st.tuples(st.integers(1, 4_000), prices), min_size=1, max_size=20)
calm = st.lists(st.tuples(st.integers(1, 900), st.floats(1_990.0, 2_010.0)), min_size=1, max_size=20)


@settings(deadline=None)
@given(history=st.one_of(histories, calm), is_bounded=st.booleans())
def test_contract_and_kernel_agree_to_1e_9(
    unbounded: World, bounded: World, history: list[tuple[int, float]], is_bounded: bool
) -> None:
    world = bounded if is_bounded else unbounded
    with world.evm.rolled_back():
        world.rounds = []
        world.publish_all(history)
        world.catch_up()
        expected = world.expected
        assert world.vol() == pytest.approx(expected.vol, rel=1e-9, abs=1e-9)
        assert world.contract.call("lastJump") == (expected.jumped_at, expected.jumps)
        if len(expected.samples) < 2:
            with pytest.raises(Revert, match="TooFewSamples"):
                world.window()
        else:
            vol, count, span = world.window()
            assert vol == pytest.approx(expected.window_vol, rel=1e-9, abs=1e-9)
            assert (count, span) == (len(expected.samples), sum(time for _, time in expected.samples))


@settings(deadline=None)
@given(history=histories, pokes=st.lists(st.booleans(), min_size=20, max_size=20), data=st.data())
def test_poking_in_any_pattern_gives_the_same_result(
    bounded: World, history: list[tuple[int, float]], pokes: list[bool], data: st.DataObject
) -> None:
    world = bounded
    found = []
    for pattern in (pokes, [not poke for poke in pokes], [False] * 20):
        with world.evm.rolled_back():
            world.rounds = []
            for (after, price), is_poked in zip(history, pattern, strict=False):
                world.publish(price, after)
                for _ in range(is_poked and data.draw(st.integers(1, 3))):
                    world.update()
            world.catch_up()
            found.append(as_found(world))
    assert found[0] == found[1] == found[2]


def test_update_takes_a_bounded_number_of_rounds_and_the_next_one_goes_on() -> None:
    world = new_world()
    for number in range(2 * MAX_ROUNDS + 5):
        world.publish(2_000 + number % 7, 60)
    assert [world.update().result for _ in range(4)] == [33, 65, 70, 70]
    assert world.vol() == pytest.approx(world.expected.vol, rel=1e-9)
    assert world.contract.call("volatility")[1] == world.evm.timestamp


# -- what other estimators got wrong -----------------------------------------------------------------------------------


def test_return_of_zero_is_a_sample_that_counts_in_number_time_and_variance() -> None:
    world = new_world()
    world.publish_all([(300, 2_000.0), (300, 2_020.0), (300, 2_020.0), (300, 2_020.0), (300, 2_000.0)])
    world.update()
    vol, count, span = world.window()
    assert (count, span) == (4, 1_200)
    up = math.log(2_020 / 2_000)
    assert vol == pytest.approx(math.sqrt(2 * up * up / 1_200 * SECONDS_PER_YEAR), rel=1e-12)
    assert world.vol() == pytest.approx(world.expected.vol, rel=1e-12)


def test_zero_returns_leave_the_window_in_their_turn() -> None:
    world = new_world(replace(UNBOUNDED, window=3))
    world.publish_all([(300, 2_000.0)] + [(300, 2_000.0)] * 3)
    world.update()
    assert world.window() == (0.0, 3, 900)
    world.publish_all([(100, 2_050.0), (200, 2_000.0)])
    world.update()
    vol, count, span = world.window()
    assert (count, span) == (3, 600)
    assert vol == pytest.approx(world.expected.window_vol, rel=1e-12)
    world.publish_all([(50, 2_000.0)] * 3)
    world.update()
    assert world.window() == (0.0, 3, 150)


def test_vol_of_zero_comes_back_when_the_price_moves_again() -> None:
    world = new_world(replace(BOUNDED, min_gap=60))
    world.publish_all([(3_600, 2_000.0)] * 60)
    world.catch_up()
    assert world.vol() < 1e-8
    for number in range(60):
        world.publish(2_000 * (1.002 if number % 2 else 1.0), 300)
    world.catch_up()
    assert world.vol() == pytest.approx(0.002 * math.sqrt(SECONDS_PER_YEAR / 300), rel=0.2)


def test_annualising_keeps_the_digits_of_small_returns() -> None:
    world = new_world()
    history = [(300, 2_000.0 + 1e-6 * (number % 2)) for number in range(10)]
    world.publish_all(history)
    world.update()
    vol, count, _ = world.window()
    assert count == 9
    assert vol == pytest.approx(world.expected.window_vol, rel=1e-6)
    assert 0 < vol < 2e-7


def test_window_of_more_than_256_samples_slides_past_its_end() -> None:
    world = new_world(replace(UNBOUNDED, window=300))
    for number in range(320):
        world.publish(2_000 + 10 * math.sin(number), 60)
    world.catch_up()
    vol, count, span = world.window()
    assert (count, span) == (300, 300 * 60)
    assert vol == pytest.approx(world.expected.window_vol, rel=1e-9)


def test_update_is_open_to_anyone_at_any_second() -> None:
    world = new_world()
    world.publish(2_000)
    for second in (1, 1_799, 1_801, 12_345):
        world.publish(2_001, second)
        assert world.contract.send("update", sender=world.evm.account("stranger")).result == len(world.rounds) + 1


def test_rounds_nearer_than_the_gap_are_merged_into_the_next_return() -> None:
    world = new_world(BOUNDED)
    world.publish_all([(60, 2_000.0), (30, 2_500.0), (29, 1_500.0), (1, 2_002.0)])
    world.update()
    assert (world.contract.call("volatility")[1], world.contract.call("lastJump")) == (world.evm.timestamp, (0, 0))
    merged = math.log(2_002 / 2_000)
    weight = 2 ** (-60 / 3_600)
    variance = weight * 0.64 + (1 - weight) * merged**2 * SECONDS_PER_YEAR / 60
    assert world.vol() == pytest.approx(math.sqrt(variance), rel=1e-12)


# -- jumps -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [1.5, 0.5, 1e6, 1e-6])
def test_jump_is_taken_at_its_bound_and_told_apart(factor: float) -> None:
    world = new_world(BOUNDED)
    world.publish_all([(60, 2_000.0), (300, 2_000.0 * factor)])
    receipt = world.update()
    bound = 4.0 * 0.8 * math.sqrt(300 / SECONDS_PER_YEAR)
    (jump,) = receipt.events("JumpObserved")
    assert jump["roundId"] == 2
    assert jump["logReturn"] / WAD == pytest.approx(math.log(factor), rel=1e-12)
    assert jump["bound"] / WAD == pytest.approx(bound, rel=1e-12)
    assert world.contract.call("lastJump") == (world.evm.timestamp, 1)
    weight = 2 ** (-300 / 3_600)
    assert world.vol() == pytest.approx(0.8 * math.sqrt(weight + (1 - weight) * 16), rel=1e-12)


@settings(deadline=None)
@given(moves=st.lists(st.tuples(st.integers(1, 400), st.sampled_from([1e3, 1.0, 2_000.0, 9e5])), max_size=25))
def test_wash_prints_raise_vol_no_faster_than_the_stated_bound(
    bounded: World, moves: list[tuple[int, float]]
) -> None:
    world = bounded
    with world.evm.rolled_back():
        world.rounds = []
        world.publish(2_000.0)
        start = world.evm.timestamp
        world.publish_all(moves)
        world.catch_up()
        doublings = (4.0**2 - 1) * (world.evm.timestamp - start) / world.settings.half_life
        assert world.vol() <= 0.8 * 2 ** (doublings / 2) * (1 + 1e-9)


def test_prints_of_one_minute_move_vol_by_less_than_a_tenth_however_many_there_are() -> None:
    world = new_world(replace(BOUNDED, min_gap=1))
    world.publish(2_000.0)
    for second in range(60):
        world.publish(4_000.0 if second % 2 else 1_000.0, 1)
    world.catch_up()
    assert world.vol() / 0.8 <= 2 ** (15 / 120) + 1e-9
    assert world.contract.call("lastJump")[1] == 60


def test_vol_saturates_at_its_stated_bound() -> None:
    world = new_world()
    world.publish_all([(60, 1.0), (1, 1e6), (1, 1.0), (1, 1e6)])
    world.update()
    assert world.vol() <= 1_000.0
    assert world.window()[0] == 1_000.0
    assert world.vol() == pytest.approx(world.expected.vol, rel=1e-9)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"half_life": 59}, "halfLife"),
        ({"min_gap": 0}, "minGap"),
        ({"min_gap": 3_601}, "minGap"),
        ({"window": 1}, "window"),
        ({"window": 4_097}, "window"),
        ({"floor_vol": 0.0009}, "floorVol"),
        ({"initial_vol": 0.05}, "initialVol"),
        ({"max_deviations": 0.99}, "maxDeviations"),
    ],
)
def test_setting_out_of_its_range_is_refused_by_name(
    unbounded: World, change: dict[str, Any], name: str
) -> None:
    with pytest.raises(Revert) as caught:
        unbounded.watch(replace(BOUNDED, **change))
    assert caught.value.name == "SettingOutOfRange"
    assert caught.value.args[0].rstrip(b"\0").decode() == name


def test_watching_starts_at_the_newest_round() -> None:
    world = new_world()
    world.publish_all([(300, 1_000.0), (300, 2_000.0)])
    late = world.watch(UNBOUNDED)
    world.publish(2_010)
    late.send("update")
    world.rounds = world.rounds[1:]
    assert from_wad(late.call("volatility")[0]) == pytest.approx(world.expected.vol, rel=1e-12)


def test_gas_of_a_sample_does_not_grow_with_the_window() -> None:
    used = []
    for window in (16, 300):
        world = new_world(replace(UNBOUNDED, window=window))
        for number in range(310):
            world.publish(2_000 + number * 7 % 11, 60)
        world.catch_up()
        world.publish(2_001)
        used.append(world.update().gas_used)
    assert used[0] == pytest.approx(used[1], abs=300)
    assert max(used) < 60_000
