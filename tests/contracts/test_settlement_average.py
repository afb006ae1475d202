"""The last half hour of an option: what the settlement average still leaves open, and how delta fades with it."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.chain.contract import Contract
from keeper.chain.deploy_config import price_limits, price_sources
from keeper.chain.evm import Evm
from keeper.protocol.options import open_share, variance_seconds
from keeper.units import WAD, from_wad, to_wad

WINDOW = 1_800


class World:
    """1900 before the window and for its first 1200 seconds, 2200 from there on."""

    def __init__(self) -> None:
        self.evm = Evm()
        admin = self.evm.account("admin")
        self.feed = self.evm.deploy("PriceFeed", admin, price_sources(), price_limits(7_200))
        self.feed.send("grantRole", self.feed.call("REPORTER"), admin, sender=admin)
        self.harness: Contract = self.evm.deploy("SettlementAverageHarness")
        self.publish(1_900)
        self.expiry = self.evm.timestamp + 2_400
        self.evm.advance(1_800)
        self.publish(2_200)

    def publish(self, price: float) -> None:
        self.feed.send("publish", to_wad(price), sender=self.evm.account("admin"))

    def look(self, left: int, price: float) -> tuple[int, int, int, int]:
        """Forward, variance time, share that is open and decay, with so many seconds left."""
        self.evm.timestamp = self.expiry - left
        return self.harness.call("look", self.feed.address, self.expiry, to_wad(price))


@pytest.fixture(scope="module")
def world() -> World:
    return World()


@pytest.mark.parametrize(
    ("left", "price", "forward", "time", "share"),
    [
        (600, 2_200, 2_000, 60, Fraction(1, 3)),  # 1900 for two thirds; 600^3 / (3 1800^2) = 22 s, floored at a minute
        (450, 2_400, 2_050, 60, Fraction(1, 4)),  # (1200 x 1900 + 150 x 2200 + 450 x 2400) / 1800
        (300, 2_200, 2_000, 60, Fraction(1, 6)),
        (0, 3_000, 2_000, 0, Fraction(0)),
    ],
)
def test_outlook_in_the_window_is_history_and_what_is_open(
    world: World, left: int, price: float, forward: float, time: int, share: Fraction
) -> None:
    found = world.look(left, price)
    assert found[0] == pytest.approx(forward * WAD, rel=1e-15)
    assert found[1:3] == (time, int(share * WAD))
    assert found[3] == pytest.approx(float(share**2) * WAD, abs=1)


@pytest.mark.parametrize(("left", "time"), [(1_800, 600), (2_400, 1_200)])
def test_outlook_before_the_window_is_the_index_less_two_thirds_of_it(world: World, left: int, time: int) -> None:
    assert world.look(left, 2_345) == (to_wad(2_345), time, WAD, WAD)


@given(left=st.integers(0, 599), price=st.floats(500, 5_000))
def test_delta_of_the_forward_fades_in_a_straight_line_to_nothing(world: World, left: int, price: float) -> None:
    low, high = world.look(left, price), world.look(left, price + 1.0)
    assert from_wad(high[0] - low[0]) == pytest.approx(left / WINDOW, abs=1e-9)
    assert from_wad(low[2]) == pytest.approx(open_share(left), abs=1e-15)
    assert low[1] == variance_seconds(left)


def test_delta_fades_without_a_step_at_the_start_of_the_window_and_at_expiry(world: World) -> None:
    assert [world.look(left, 2_000)[2] for left in (1_800, 1, 0)] == [WAD, WAD // WINDOW, 0]
