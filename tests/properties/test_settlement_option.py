"""What the delay of an order is worth to the trader: nothing, on the real bytecode, but for a limit price.

Prices follow a driftless geometric Brownian motion; every path comes with its mirror image, which takes most of the
noise out of a mean. `docs/perp.md` explains the numbers and carries the table.
"""

from __future__ import annotations

import math
import random
import re
import statistics
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from venue_world import START_PRICE, VenueWorld, refusal

from keeper.chain.abi import Revert
from keeper.pricing.black76 import norm_cdf
from keeper.units import SECONDS_PER_YEAR, WAD

TAKER, REWARD = 0.0005, 350_000 * 1e-9 * START_PRICE
VOL = 0.8
PAIRS = 100
LATER = (2, 35, 35)
"""Seconds from the commit to the benchmark, and on to two later prices, the second beyond the window."""


def paths(vol: float, waits: tuple[int, ...], pairs: int, seed: int = 7) -> Iterator[tuple[list[float], list[float]]]:
    """Prices after each wait, and on the mirrored path."""
    draws = random.Random(seed)
    for _ in range(pairs):
        shocks = [draws.gauss(0, 1) for _ in waits]
        both: tuple[list[float], list[float]] = ([], [])
        for prices, sign in zip(both, (1, -1), strict=True):
            price = START_PRICE
            for seconds, shock in zip(waits, shocks, strict=True):
                deviation = vol * math.sqrt(seconds / SECONDS_PER_YEAR)
                price *= math.exp(sign * deviation * shock - deviation**2 / 2)
                prices.append(price)
        yield both


def mean_and_error(
    payoff: Callable[[list[float]], float], vol: float, waits: tuple[int, ...], pairs: int
) -> tuple[float, float]:
    means = [(payoff(path) + payoff(mirror)) / 2 for path, mirror in paths(vol, waits, pairs)]
    return statistics.fmean(means), statistics.stdev(means) / math.sqrt(pairs)


def venue(position: float) -> VenueWorld:
    """A world whose trader holds a position and little more margin than it needs."""
    world = VenueWorld()
    world.deposit("trader", 3_000)
    if position:
        world.trade("trader", position)
    return world


# -- every way to treat an order ---------------------------------------------------------------------------------------


def settle_at_once(world: VenueWorld, later: list[float], benchmark: int) -> float:
    world.settle("trader", benchmark)
    wait(world, later)
    return 0.0


def settle_late(world: VenueWorld, later: list[float], benchmark: int) -> float:
    wait(world, later)
    world.settle("trader", benchmark)
    return 0.0


def cancel(world: VenueWorld, later: list[float], benchmark: int) -> float:
    """Try it at every moment, and settle if it never works."""
    for price in (None, *later):
        if price is not None:
            wait(world, [price])
        with suppress(Revert):
            world.perp.send("cancel", world.account("trader"))
    if world.perp.call("pendingSize", world.account("trader")):
        world.settle("trader", benchmark)
    return 0.0


def withdraw_first(world: VenueWorld, later: list[float], benchmark: int) -> float:
    """Try to take out all that margin allows, so that the fill fails: not before the order is settled."""
    wait(world, later)
    equity, initial, _ = world.margin("trader")
    spare = round((equity - initial) / WAD - 0.01, 6)
    if spare > 0.0:
        assert refusal(world.withdraw, "trader", spare).name == "OrderDecided"
    world.settle("trader", benchmark)
    return 0.0


def close_again(world: VenueWorld, later: list[float], benchmark: int) -> float:
    """Settle, and be out again at the next price."""
    world.settle("trader", benchmark)
    with suppress(Revert):
        world.commit("trader", -world.size("trader") / WAD)
    wait(world, later)
    return 0.0


CHOICES = (settle_at_once, settle_late, cancel, withdraw_first, close_again)


def wait(world: VenueWorld, later: list[float]) -> None:
    for price in later:
        world.move(price, seconds=35)


def equity(world: VenueWorld) -> float:
    return world.margin("trader")[0] / WAD


def without_order(world: VenueWorld, path: list[float]) -> float:
    with world.evm.rolled_back():
        world.move(path[0], seconds=2)
        wait(world, path[1:])
        return equity(world)


def best(world: VenueWorld, size: float, limit: float | None, path: list[float]) -> tuple[float, float]:
    """Most that an order adds to the equity, of every choice, with the path known to the end; and what it then paid."""
    idle = without_order(world, path)
    outcomes = []
    for choice in CHOICES:
        with world.evm.rolled_back():
            world.commit("trader", size, limit)
            benchmark = world.move(path[0], seconds=2)
            held = world.size("trader")
            withdrawn = choice(world, path[1:], benchmark)
            filled = world.size("trader") != held
            paid = REWARD + (fee(world, size) if filled else 0.0)
            outcomes.append((equity(world) + withdrawn - idle, paid))
    return max(outcomes)


def fee(world: VenueWorld, size: float) -> float:
    """What filling `size` costs at the start's price, from the books as they were before."""
    return abs(size) * START_PRICE * TAKER


@pytest.mark.parametrize(
    ("position", "size"), [(0, 10), (0, -10), (5, 5), (5, -10)], ids=["buy", "sell", "add", "flip"]
)
def test_best_choice_after_the_commit_earns_no_more_than_minus_the_fees(position: float, size: float) -> None:
    world = venue(position)
    cost = world.perp.call("orderFee", int(size * WAD), int(START_PRICE * WAD)) / WAD + REWARD
    mean, error = mean_and_error(lambda path: best(world, size, None, path)[0], VOL, LATER, PAIRS)
    assert 3 * error < cost
    assert mean <= -cost + 3 * error


# -- what a limit price leaves -----------------------------------------------------------------------------------------


def at_the_money(world: VenueWorld, size: float) -> float:
    """The limit that an unchanged price would just fill."""
    return float(world.perp.call("fillPrice", int(size * WAD), int(START_PRICE * WAD)) / WAD)


@pytest.mark.parametrize("size", [10, -10], ids=["buy", "sell"])
def test_limit_price_earns_nothing_against_the_benchmark_beyond_what_it_paid(size: float) -> None:
    """It saves the fee where it refuses, and that is all: gain and fees paid together are zero on average."""
    world = venue(0)
    limit = at_the_money(world, size)
    mean, error = mean_and_error(lambda path: sum(best(world, size, limit, path)), VOL, LATER, PAIRS)
    assert 3 * error < TAKER * START_PRICE * 10 + REWARD
    assert mean <= 3 * error


def limit_bps(vol: float, delay: float) -> float:
    """What a limit at the money saves against the price at the commit, per notional: sigma sqrt(T / 2 pi), in bps."""
    return vol * math.sqrt(delay / SECONDS_PER_YEAR / (2 * math.pi)) * 1e4


@pytest.mark.parametrize(("vol", "delay"), [(0.4, 2), (0.8, 12), (1.5, 60)])
def test_limit_price_saves_what_the_closed_form_says(vol: float, delay: int) -> None:
    world = VenueWorld(settings={"settlementDelay": delay})
    world.deposit("trader", 3_000)
    limit = at_the_money(world, 10)

    def saved(path: list[float]) -> float:
        with world.evm.rolled_back():
            world.commit("trader", 10, limit)
            filled = world.settle("trader", world.move(path[0], delay)).events("OrderSettled")
            return (limit - filled[0]["fill"] / WAD) / START_PRICE * 1e4 if filled else 0.0

    mean, error = mean_and_error(saved, vol, (delay,), 4 * PAIRS)
    assert error < limit_bps(vol, delay) / 20
    assert abs(mean - limit_bps(vol, delay)) <= 3 * error


def race_bps(vol: float, seconds: float, fee: float = TAKER * 1e4) -> float:
    """Most that the right to fill or refuse is worth while nobody settles: a call struck at the fee, in bps."""
    deviation = vol * math.sqrt(seconds / SECONDS_PER_YEAR) * 1e4
    density = math.exp(-((fee / deviation) ** 2) / 2) / math.sqrt(2 * math.pi)
    return deviation * density - fee * (1 - norm_cdf(fee / deviation))


def race(world: VenueWorld, size: float, push: float, path: list[float]) -> float:
    """Profit, in bps of `size`, of who owns a second account whose order, settled first, makes the limit refuse.

    The better of both orders of settlement, a minute after the benchmark. The way out counts at its impact and, for the
    second account, its costs.
    """
    scale = world.perp.call("parameters")[0] / WAD
    limit = START_PRICE * (1 + (size / 2 + push / 2) / scale)
    idle = sum(world.margin(role)[0] for role in ("trader", "second")) / WAD
    outcomes = []
    for first, last in (("trader", "second"), ("second", "trader")):
        with world.evm.rolled_back():
            world.commit("trader", size, limit)
            world.commit("second", push)
            benchmark = world.move(path[0], seconds=2)
            world.move(path[1], seconds=60)
            world.settle(first, benchmark)
            world.settle(last, benchmark)
            way_out = path[1] * (world.perp.call("skew") / WAD) ** 2 / (2 * scale) - fee(world, push) - REWARD
            outcomes.append(sum(world.margin(role)[0] for role in ("trader", "second")) / WAD - idle + way_out)
    return max(outcomes) / (size * START_PRICE) * 1e4


@pytest.mark.parametrize(("size", "push"), [(1_000, 100), (5_000, 200)])
def test_race_to_settle_is_worth_less_than_its_bound(size: float, push: float) -> None:
    world = VenueWorld()
    for role in ("trader", "second"):
        world.deposit(role, 1_000_000)
    mean, error = mean_and_error(lambda path: race(world, size, push, path), VOL, (2, 60), PAIRS)
    print(f"race of {size} to settle at {VOL:.0%}, 60 s: {mean:.2f} +- {error:.2f} bps, bound {race_bps(VOL, 60):.2f}")
    assert mean <= race_bps(VOL, 60) + 3 * error


@pytest.mark.parametrize(
    ("heading", "worth"), [("limit at the money", limit_bps), ("nobody settles", race_bps)], ids=["limit", "race"]
)
def test_table_in_the_documentation_says_what_is_measured(
    root: Path, heading: str, worth: Callable[[float, float], float]
) -> None:
    table = (root / "docs" / "perp.md").read_text().split(f"| {heading} |")[1].split("\n\n")[0].splitlines()
    seconds = [float(cell) for cell in re.findall(r"(\d+) s", table[0])]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]
    assert len(seconds) == 4
    assert len(rows) == 3
    for vol, *cells in rows:
        expected = [f"{worth(float(vol.rstrip('%')) / 100, delay):.2f}" for delay in seconds]
        assert cells == expected
