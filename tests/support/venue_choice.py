"""Which random action comes next on a perp venue, and the draws that it is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random

from tape import Action, Draw
from venue_machine import CHANGES, DOORS, ENTRIES, KEEPERS, PROVIDERS, TRADERS
from venue_world import ADL_WINDOW

Draws = Mapping[str, Callable[[Random], Draw]]


def chooser(draws: Mapping[str, Draws], weights: Mapping[str, float]) -> Callable[[Random], Action]:
    """Chooses random actions of a table."""
    names, shares = tuple(weights), tuple(weights.values())

    def choose(random: Random) -> Action:
        name = random.choices(names, shares)[0]
        return Action(name, {key: draw(random) for key, draw in draws[name].items()})

    return choose


def one(*values: Draw) -> Callable[[Random], Draw]:
    return lambda random: random.choice(values)


def real(low: float, high: float) -> Callable[[Random], Draw]:
    return lambda random: round(random.uniform(low, high), 4)


def change(random: Random) -> Draw:
    """Mostly small moves, sometimes a jump."""
    width = random.choices((0.002, 0.02, 0.08, 0.5), (6, 5, 3, 1))[0]
    return round(max(random.uniform(-width, 1.2 * width), -0.6), 4)


A_TRADER, A_KEEPER, A_PROVIDER = one(*TRADERS), one(*KEEPERS), one(*PROVIDERS)
A_LEVERAGE = one(-18, -12, -6, -2, 2, 6, 12, 18)
A_SECONDS = one(1, 2, 2, 5, 15, 62, 63, 300)

DRAWS: Mapping[str, Draws] = {
    "deposit": {"who": A_TRADER, "dollars": real(10, 20_000)},
    "withdraw": {"who": one(*TRADERS, *KEEPERS), "share": real(0.01, 1.1)},
    "donate": {"to": one("house", "pool", "perp"), "dollars": real(1, 1_000)},
    "endow": {"to": one("house", "pool", "fund"), "dollars": real(1, 20_000)},
    "reenter": {
        "who": A_TRADER,
        "into": one(*ENTRIES),
        "through": one("withdraw", "deposit", "provide"),
    },
    "tick": {"change": change, "seconds": A_SECONDS},
    "wait": {"seconds": one(1, 10, 60, 600, 4_000, 90_000)},
    "gas": {"gwei": real(0.1, 80)},
    "commit": {"who": A_TRADER, "leverage": A_LEVERAGE, "limit": real(0.97, 1.03)},
    "trade": {
        "who": A_TRADER,
        "leverage": A_LEVERAGE,
        "change": real(-0.01, 0.01),
        "seconds": one(2, 2, 2, 31, 62, 63),
    },
    "reduce": {"who": A_TRADER, "share": real(0.1, 1.0)},
    "resolve": {"who": A_TRADER, "by": A_KEEPER},
    "snatch": {"who": A_TRADER, "by": A_KEEPER, "offset": one(-1, 0, 1)},
    "liquidate": {"who": one(*TRADERS, *KEEPERS), "by": A_KEEPER},
    "clear": {"by": A_KEEPER},
    "bid": {"who": A_TRADER, "by": one("bidder", "whale", "keeper"), "share": real(0.05, 1.0)},
    "adl": {"by": A_KEEPER, "first": one(0, 0, 0, 1), "count": one(1, 2, 4)},
    "settle_deficit": {"patience": one(0, 0, ADL_WINDOW)},
    "review": {"who": A_TRADER},
    "ambush": {"who": A_TRADER, "change": one(-0.15, -0.05, 0.05, 0.15), "by": A_KEEPER},
    "finish": {"who": A_TRADER},
    "provide": {"who": A_PROVIDER, "dollars": real(100, 300_000)},
    "request_exit": {"who": A_PROVIDER, "share": real(0.05, 1.0)},
    "exit": {"who": A_PROVIDER, "share": real(0.05, 1.0)},
    "leave": {"who": A_PROVIDER, "share": real(0.05, 1.0)},
    "propose": {"change": one(*range(len(CHANGES)))},
    "apply": {"patient": one(0, 1)},
    "reduce_only": {"on": one(*[0] * 11, 1)},
    "usurp": {"who": one(*TRADERS, *PROVIDERS), "what": one(*range(DOORS))},
}
WEIGHTS: Mapping[str, float] = {
    "deposit": 4, "withdraw": 4, "donate": 1, "endow": 1.5, "reenter": 3, "tick": 22, "wait": 2, "gas": 2, "commit": 7,
    "trade": 18, "reduce": 5, "resolve": 6, "snatch": 3, "review": 2, "liquidate": 4, "clear": 10, "finish": 2.5,
    "ambush": 1.5, "bid": 6, "adl": 5, "settle_deficit": 5, "provide": 5, "request_exit": 1, "leave": 1, "exit": 1.5,
    "propose": 1, "apply": 1, "reduce_only": 2, "usurp": 1,
}  # fmt: skip
"""Weights make positions common, bad debt regular, and everything else frequent enough."""

choose = chooser(DRAWS, WEIGHTS)
