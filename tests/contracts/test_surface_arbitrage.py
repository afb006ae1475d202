"""Nobody finds a free butterfly or calendar spread on the stored surface, whatever the adversary reported.

Two searches on what the feed itself answers: a dense grid of strikes and expiries, between expiries too, on exact reads
of the slices; and an optimiser that looks for the cheapest butterfly and calendar spread in the volatilities that the
contract returns. Option values are Black-76 at rate 0, by `math.erfc`.
"""

from __future__ import annotations

import math
from itertools import pairwise
from random import Random

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize
from surface_laws import Laws
from surface_machine import SurfaceMachine, choose
from surface_world import FROZEN

from keeper.units import SECONDS_PER_YEAR, WAD, to_wad

STRIKES = np.linspace(-2.5, 2.5, 1_001)
"""Log-moneyness of the grid."""
BETWEEN = 5
"""Slices looked at between two expiries."""
FORWARD = 2_000.0


def surface_after(seed: int, actions: int) -> SurfaceMachine:
    """A feed after a random tape with liars in it."""
    machine, random = SurfaceMachine(), Random(seed)
    for _ in range(actions):
        machine.act(choose(random))
    machine.laws.look()
    return machine


def slices(laws: Laws) -> list[tuple[float, ...]]:
    """(theta, rho psi, psi) of the live surface: near zero, at the expiries and between them, in order of time."""
    edges = [tuple(float(part) for part in laws.exact(expiry).parts) for expiry in laws.live()]
    if not edges:
        return []
    edges = [tuple(part / 16 for part in edges[0]), *edges]
    between = [
        tuple(a + (b - a) * step / BETWEEN for a, b in zip(one, other, strict=True))
        for one, other in pairwise(edges)
        for step in range(BETWEEN)
    ]
    return [*between, edges[-1]]


def total_variance(k: NDArray[np.float64], theta: float, rho_psi: float, psi: float) -> NDArray[np.float64]:
    radicand = (psi * k) ** 2 + theta * (2 * rho_psi * k + theta)
    return (theta + rho_psi * k + np.sqrt(np.maximum(radicand, 0.0))) / 2


def density(theta: float, rho_psi: float, psi: float) -> NDArray[np.float64]:
    """Gatheral's g: negative where the implied density is; derivatives in closed form."""
    k = STRIKES
    root = np.sqrt((psi * k) ** 2 + theta * (2 * rho_psi * k + theta))
    w = (theta + rho_psi * k + root) / 2
    slope = (rho_psi + (psi**2 * k + theta * rho_psi) / root) / 2
    curve = (theta * theta * (psi**2 - rho_psi**2)) / root**3 / 2
    return (1 - k * slope / (2 * w)) ** 2 - slope**2 / 4 * (1 / w + 0.25) + curve / 2


@pytest.mark.parametrize("seed", range(12))
def test_dense_grid_over_strikes_and_expiries_shows_no_butterfly_and_no_calendar_spread(seed: int) -> None:
    machine = surface_after(seed, 150)
    surface = slices(machine.laws)
    assert len(surface) > BETWEEN
    for slice_ in surface:
        assert density(*slice_).min() >= -1e-9
    for earlier, later in pairwise(surface):
        fall = total_variance(STRIKES, *earlier) - total_variance(STRIKES, *later)
        assert fall.max() <= 1e-12


def call_price(strike: float, vol: float, time: float) -> float:
    deviation = vol * math.sqrt(time)
    d1 = math.log(FORWARD / strike) / deviation + deviation / 2
    return 0.5 * (FORWARD * math.erfc(-d1 / math.sqrt(2)) - strike * math.erfc((deviation - d1) / math.sqrt(2)))


def test_grid_finds_the_arbitrage_in_what_the_adversary_reports() -> None:
    """The searches can fail: before blending, lies carry butterflies."""
    assert density(0.01, -0.05, 0.6).min() < -0.1
    assert (total_variance(STRIKES, 0.02, 0.0, 0.1) - total_variance(STRIKES, 0.01, 0.0, 0.1)).max() > 0


@pytest.mark.parametrize("seed", range(4))
def test_optimiser_finds_no_free_butterfly_or_calendar_spread_in_what_the_feed_answers(seed: int) -> None:
    machine = surface_after(100 + seed, 150)
    feed, now = machine.feed, machine.evm.timestamp
    live = machine.laws.live()
    first, last = now + 3_600, live[-1]

    def moment(expiry: float) -> int:
        return min(max(round(expiry), first), last)

    def is_frozen(*expiries: float) -> bool:
        return any(feed.call("state", moment(expiry)) == FROZEN for expiry in expiries)

    def call(log_moneyness: float, expiry: float) -> float:
        strike, at = FORWARD * math.exp(log_moneyness), moment(expiry)
        vol = feed.call("volatility", at, to_wad(strike), to_wad(FORWARD)) / WAD
        return call_price(strike, vol, (at - now) / SECONDS_PER_YEAR)

    def butterfly(x: NDArray[np.float64]) -> float:
        k, width = float(np.clip(x[0], -1.5, 1.5)), 0.005 + abs(float(x[2])) % 0.5
        at = first + (last - first) * float(np.clip(x[1], 0, 1))
        if is_frozen(at):
            return 0.0  # nobody may trade
        strikes = [FORWARD * math.exp(k + step) for step in (-width, 0.0, width)]
        share = (strikes[2] - strikes[1]) / (strikes[2] - strikes[0])
        low, middle, high = (call(k + step, at) for step in (-width, 0.0, width))
        return share * low + (1 - share) * high - middle

    def calendar(x: NDArray[np.float64]) -> float:
        k, start = float(np.clip(x[0], -1.5, 1.5)), float(np.clip(x[1], 0, 1))
        near = first + (last - first) * start
        far = near + 60 + abs(float(x[2])) * (last - near)
        return 0.0 if is_frozen(near, far) else call(k, far) - call(k, near)

    random = Random(seed)
    for spread in (butterfly, calendar):
        for _ in range(6):
            begin = [random.uniform(-1, 1), random.uniform(0, 1), random.uniform(0, 0.3)]
            found = minimize(spread, begin, method="Nelder-Mead", options={"maxfev": 120})
            # what a wei of theta and the vol's eighteen digits are worth on a forward of 2,000
            assert found.fun >= -1e-9 * FORWARD, (spread.__name__, found.x, found.fun)


def test_machine_reaches_a_surface_of_many_expiries_with_blends() -> None:
    machine, random, live = SurfaceMachine(), Random(5), 0
    for _ in range(300):
        machine.act(choose(random))
        machine.laws.look()
        live = max(live, len(machine.laws.live()))
    assert live >= 8
    assert machine.counts["blended"] > 10
