"""One reporter: a view of the market, a key, and nothing signed that allows arbitrage."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from keeper.chain.reports import Report, SignedReport, is_genuine, sign
from keeper.execution.transactions import Signer
from keeper.pricing.essvi_fit import Slice
from keeper.pricing.repair import nearest_admissible
from keeper.roles.sources import MarketSource
from keeper.units import SECONDS_PER_YEAR, WAD

log = logging.getLogger(__name__)

Smile = tuple[float, float, float]
"""Vols one standard deviation below the money, at it, and one above."""

MAX_THETA, MAX_PSI = 100.0, 4.0
"""Bounds outside which the feed refuses a report, and with it the whole submission."""


@dataclass(frozen=True)
class ReporterNode:
    """One opinion, signed with each of its keys. Independent reporters are several nodes with a key each."""

    source: MarketSource
    signers: Sequence[Signer]
    name: str = "reporter"

    def survey(self, now: int, expiries: Sequence[int]) -> dict[int, Slice]:
        """What this reporter sees of these expiries at ``now``, free of arbitrage.

        A surface that is not is replaced by the nearest that is, and the log says what moved. Raises `InputError` when
        the market cannot be seen, or shows what is no slice.
        """
        order = sorted(expiries)
        times = [(expiry - now) / SECONDS_PER_YEAR for expiry in order]
        repair = nearest_admissible(times, [self.source.slice(now, expiry) for expiry in order])
        if repair.reason:
            moved = ", ".join(f"{expiry}: {points:.3f}" for expiry, points in zip(order, repair.moved, strict=True))
            log.warning("%s repaired its surface: %s; moved (vol points) %s", self.name, repair.reason, moved)
        return dict(zip(order, repair.slices, strict=True))

    def sign(self, now: int, expiry: int, seen: Slice, chain_id: int, feed: str) -> list[SignedReport]:
        """The report of one slice, once for each key."""
        report = Report.of(expiry, now, *seen)
        return [sign(report, signer.key, chain_id, feed) for signer in self.signers]


def worth_carrying(
    offered: Sequence[SignedReport], expiry: int, now: int, chain_id: int, feed: str
) -> list[SignedReport]:
    """Reports that the feed will look at, one for each signer.

    The feed refuses a submission for one report that is malformed, so a reporter could silence the others: whatever is
    for another expiry or time, out of range, or not signed by its signer stays behind.
    """
    kept: dict[str, SignedReport] = {}
    for each in offered:
        if each.signer not in kept and _fits(each.report, expiry, now) and is_genuine(each, chain_id, feed):
            kept[each.signer] = each
        else:
            log.warning("a report by %s for %d is not carried", each.signer, expiry)
    return list(kept.values())


def smile(now: int, expiry: int, seen: Slice) -> Smile:
    """The vols of a slice at three strikes: enough to see whether it moved."""
    theta, rho, psi = seen
    years = max(expiry - now, 1) / SECONDS_PER_YEAR
    wing, tilt = psi * psi * theta, rho * psi * math.sqrt(theta)  # at k = sqrt(theta)
    below, above = (
        0.5 * (theta + side * tilt + math.sqrt(max(wing + theta * (2.0 * side * tilt + theta), 0.0)))
        for side in (-1.0, 1.0)
    )
    return math.sqrt(below / years), math.sqrt(theta / years), math.sqrt(above / years)


def median_smile(smiles: Iterable[Smile]) -> Smile:
    """The median of each vol over reporters, as the feed will take it of what they sign."""
    below, middle, above = (median(column) for column in zip(*smiles, strict=True))
    return below, middle, above


def _fits(report: Report, expiry: int, now: int) -> bool:
    return (
        report.expiry == expiry
        and report.timestamp == now
        and 0 < report.theta <= MAX_THETA * WAD
        and abs(report.rho) < WAD
        and 0 < report.psi < MAX_PSI * WAD
    )
