"""Leveraged traders drawn from one seed: who they are, what they bring, and what they would like to hold."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from keeper.chain import accounts


class Style(StrEnum):
    """What a trader holds."""

    LONG = "long"
    SHORT = "short"
    WRITER = "writer"


@dataclass(frozen=True, slots=True)
class Trader:
    """``equity`` USD brought in, ``leverage`` wanted: notional over equity.

    A writer has sold puts and hedges them by being short of the perpetual.
    """

    name: str
    style: Style
    equity: float
    leverage: float

    @property
    def address(self) -> str:
        """Its account."""
        return accounts.address_of(self.name)


def draw_traders(
    generator: np.random.Generator, count: int, leverage: tuple[float, float], writers: float
) -> tuple[Trader, ...]:
    """``count`` traders: a share of ``writers``, of the others two thirds long, as crowds are before a crash.

    Leverage is log-uniform over its range, equity lognormal with a median of 8,000 USD.
    """
    equities = np.exp(generator.normal(np.log(8_000.0), 1.0, count))
    low, high = (float(np.log(edge)) for edge in leverage)
    leverages = np.exp(generator.uniform(low, high, count))
    styles = generator.choice([*Style], count, p=[(1 - writers) * 2 / 3, (1 - writers) / 3, writers])
    return tuple(
        Trader(f"trader-{i}", Style(str(styles[i])), round(float(equities[i]), 2), round(float(leverages[i]), 3))
        for i in range(count)
    )
