"""Options as the maths contracts take them: points over their whole domain, and Black-76 in 50 digits."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator
from typing import NamedTuple

import mpmath

from keeper.units import SECONDS_PER_YEAR, WAD, from_wad, to_wad

mpmath.mp.dps = 50

MINUTE, HOUR, DAY, YEAR = 60, 3_600, 86_400, SECONDS_PER_YEAR


class Point(NamedTuple):
    """Arguments of `evaluate`, as the contract takes them."""

    forward: int
    strike: int
    time: int
    vol: int
    rate: int


class Quote(NamedTuple):
    """Result of `evaluate`; `int` from the contract, `mpf` from the reference."""

    call: int
    put: int
    call_delta: int
    put_delta: int
    gamma: int
    vega: int
    call_theta: int
    put_theta: int


def exact_quote(point: Point) -> Quote:
    """Black-76 in 50 digits."""
    forward, strike, vol, rate = (mpmath.mpf(x) / WAD for x in (point.forward, point.strike, point.vol, point.rate))
    time = mpmath.mpf(point.time) / YEAR
    discount, root = mpmath.exp(-rate * time), mpmath.sqrt(time)
    d1 = mpmath.log(forward / strike) / (vol * root) + vol * root / 2
    density = discount * mpmath.npdf(d1)
    call = discount * (forward * mpmath.ncdf(d1) - strike * mpmath.ncdf(d1 - vol * root))
    put = call - discount * (forward - strike)
    delta, decay = discount * mpmath.ncdf(d1), forward * density * vol / (2 * root)
    gamma, vega = density / (forward * vol * root), forward * density * root
    exact = (call, put, delta, delta - discount, gamma, vega, rate * call - decay, rate * put - decay)
    return Quote(*(value * WAD for value in exact))


def natural_sizes(point: Point) -> Quote:
    """What each number is measured against: forward plus strike for prices, the largest value for Greeks; in wei."""
    forward, strike, vol, root = (
        from_wad(point.forward),
        from_wad(point.strike),
        from_wad(point.vol),
        math.sqrt(point.time / YEAR),
    )
    theta = forward * (0.2 * vol / root + abs(from_wad(point.rate)))
    sizes = (
        forward + strike,
        forward + strike,
        1.0,
        1.0,
        0.4 / (forward * vol * root),
        0.4 * forward * root,
        theta,
        theta,
    )
    return Quote(*(size * WAD for size in sizes))


def random_points(seed: int, count: int) -> Iterator[Point]:
    """Points over the whole domain, many of them close to the money."""
    draw = random.Random(seed)
    for _ in range(count):
        forward = round(WAD * 10 ** draw.uniform(-4, 10))
        log_moneyness = draw.choice([draw.uniform(-2.99, 2.99), draw.gauss(0, 0.1), draw.gauss(0, 1e-3), 0.0])
        yield Point(
            forward,
            round(forward * math.exp(log_moneyness)),
            round(10 ** draw.uniform(math.log10(MINUTE), math.log10(4 * YEAR))),
            round(WAD * 10 ** draw.uniform(-2, math.log10(5))),
            draw.choice([0, round(WAD * draw.uniform(-0.1, 0.5))]),
        )


def corner_points() -> Iterator[Point]:
    """Ends of the domain and of the inner one (1/5 to 5, an hour to two years, 5% to 300%), and near the money."""
    ratios = (0.05, 0.2, 1 - 1e-6, 1.0, 1 + 1e-6, 5.0, 20.0)
    periods = (MINUTE, HOUR, DAY, 2 * YEAR, 4 * YEAR)
    for ratio, time, vol, rate in itertools.product(ratios, periods, (0.01, 0.05, 0.8, 3.0, 5.0), (-0.1, 0.0, 0.5)):
        yield Point(2_000 * WAD, round(2_000 * WAD * ratio), time, to_wad(vol), to_wad(rate))
