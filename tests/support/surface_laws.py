"""The laws of a volatility feed, O-1 to O-7, in exact fractions, by a referee who computes every round on its own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from random import Random
from typing import Any, NamedTuple

from surface_world import DEGRADED, FRESH, FROZEN, STALE, domain_separator, sign_quickly
from tape import Broken

from keeper.chain import accounts
from keeper.chain.abi import Revert
from keeper.chain.contract import Contract
from keeper.chain.deploy_config import SurfaceLimits
from keeper.chain.evm import Evm
from keeper.chain.reports import Report, SignedReport, submission
from keeper.units import SECONDS_PER_DAY, WAD


class Sent(NamedTuple):
    """A report, who signs it, and whether it is what that reporter sees."""

    name: str
    report: Report
    honest: bool


@dataclass(frozen=True, slots=True)
class Slice:
    """A slice as exact fractions of a wad."""

    theta: Fraction
    rho_psi: Fraction
    psi: Fraction

    def at(self, scale: Fraction) -> Slice:
        return Slice(self.theta * scale, self.rho_psi * scale, self.psi * scale)

    def toward(self, other: Slice, blend: Fraction) -> Slice:
        return Slice(*(a + (b - a) * blend for a, b in zip(self.parts, other.parts, strict=True)))

    @property
    def parts(self) -> tuple[Fraction, Fraction, Fraction]:
        return self.theta, self.rho_psi, self.psi

    def has_no_butterfly(self) -> bool:
        tilt = abs(self.rho_psi)
        crossing = self.psi + tilt / 2
        in_range = 0 < self.theta <= 100 and tilt <= self.psi and self.psi + tilt < 4
        return in_range and crossing * crossing <= 4 * self.theta

    def precedes(self, later: Slice) -> bool:
        """Free of calendar arbitrage: total variance rises at every strike."""
        return (
            later.theta >= self.theta
            and abs(later.rho_psi - self.rho_psi) <= later.psi - self.psi
            and later.psi * self.theta <= self.psi * later.theta
        )


def median(values: Sequence[int]) -> int:
    """The middle of an ordered list, or the mean of the middle two, rounded down."""
    ordered = sorted(values)
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) // 2


def toward_zero(numerator: int, denominator: int) -> int:
    """The quotient without its fraction."""
    return numerator // denominator if numerator >= 0 else -(-numerator // denominator)


def aged(report: Report, now: int) -> tuple[int, int, int]:
    """(theta, rho psi, psi) of a report at `now`: theta rounded up, the others toward zero."""
    left, whole = report.expiry - now, report.expiry - report.timestamp
    rho_psi = toward_zero(report.rho * report.psi, WAD)
    return -(-report.theta * left // whole), toward_zero(rho_psi * left, whole), report.psi * left // whole


class Laws:
    """Follows a feed."""

    def __init__(self, evm: Evm, feed: Contract, limits: SurfaceLimits, heartbeat: int) -> None:
        self.evm, self.feed, self.limits, self.heartbeat = evm, feed, limits, heartbeat
        self.audit = evm.deploy("SurfaceHarness")
        self.slices: dict[int, tuple[int, ...]] = {}
        self.states: dict[int, int] = {}
        self.domain = domain_separator(evm, feed)
        self.reported: dict[int, int] = {}

    def hold(self, law: str, holds: bool, detail: object) -> None:
        """Raise `Broken` unless a law holds."""
        if not holds:
            raise Broken(law, str(detail))

    # -- the surface --------------------------------------------------------------------------------------------------

    def look(self) -> None:
        """See the surface as it is stored now."""
        expiries, slices, states = self.audit.call("look", self.feed.address)
        self.slices = {expiry: tuple(each) for expiry, each in zip(expiries, slices, strict=True)}
        self.states = dict(zip(expiries, states, strict=True))

    def stored(self, expiry: int) -> tuple[int, ...]:
        """(storedAt, delay, behind, theta, rho psi, psi) when last looked at."""
        return self.slices[expiry]

    def exact(self, expiry: int, now: int | None = None) -> Slice:
        """What the stored numbers say of a moment, by default now."""
        stored_at, _, _, *numbers = self.stored(expiry)
        now = self.evm.timestamp if now is None else now
        return Slice(*(Fraction(each, WAD) for each in numbers)).at(Fraction(expiry - now, expiry - stored_at))

    def is_frozen(self, expiry: int) -> bool:
        """By the age of the last agreement alone, whatever else makes a surface worse."""
        stored_at, delay, behind, *_ = self.stored(expiry)
        age = self.evm.timestamp - stored_at + delay + Fraction(behind * self.heartbeat, 16)
        return age > 8 * self.heartbeat

    def live(self) -> list[int]:
        """Expiries that make the surface, in order."""
        return [expiry for expiry in self.slices if not self.is_frozen(expiry)]

    def check(self) -> None:
        """O-1 and O-5 at rest: whatever the time, what is live is admissible, and what is old is flagged."""
        self.look()
        surface = [(expiry, self.exact(expiry)) for expiry in self.live()]
        for expiry, slice_ in surface:
            self.hold("O-1 no butterfly", slice_.has_no_butterfly(), (expiry, slice_))
        for (one, earlier), (two, later) in pairwise(surface):
            self.hold("O-1 no calendar arbitrage", earlier.precedes(later), (one, two, earlier, later))
        halted = self.evm.timestamp < self.feed.call("haltedUntil")
        for expiry, state in self.states.items():
            age = self.evm.timestamp - self.reported[expiry]
            least = FRESH if age <= self.heartbeat else DEGRADED if age <= 2 * self.heartbeat else STALE
            least = max(FROZEN if age > 8 * self.heartbeat else least, STALE if halted else FRESH)
            self.hold("O-5 what is old is flagged", state >= least, (expiry, age, state))

    # -- a round ------------------------------------------------------------------------------------------------------

    def sign(self, sent: Sequence[Sent]) -> list[SignedReport]:
        """The reports of a round, signed."""
        return [
            sign_quickly(each.report, accounts.key_of(each.name), self.domain) for each in sent
        ]

    def submit(self, sent: Sequence[Sent]) -> int:
        """Carry a round; every law about what it stores."""
        [expiry] = {each.report.expiry for each in sent}
        now = self.evm.timestamp
        was = self.exact(expiry) if self._is_live(expiry) else None
        before = self.slices
        receipt = self.feed.send("submit", *submission(self.sign(sent)))
        self.look()
        target = self._median(sent, now)
        self._judge_reporters(receipt, sent)
        others = all(before[each] == self.slices[each] for each in self.slices if each != expiry)
        self.hold("a round touches one expiry", others, expiry)
        time = median([each.report.timestamp for each in sent])
        events = receipt.events("SliceUpdated")
        if not events:
            self.hold("only a live slice is held", was is not None and self.exact(expiry) == was, expiry)
            return 0
        last = self.reported.get(expiry, 0)
        self.hold("O-2 time moves on", time > last and events[0]["timestamp"] == time, (expiry, last, time))
        self.reported[expiry] = time
        blend = int(events[0]["blend"])
        if blend == WAD:
            got = self.exact(expiry)
            self.hold("the whole way is the median", got == target, (got, target))
        if was is not None:
            self._judge_move(was, self.exact(expiry), time - last)
            self._judge_blend(expiry, was, target, Fraction(blend, WAD), last)
        return blend

    def _is_live(self, expiry: int) -> bool:
        return expiry in self.slices and not self.is_frozen(expiry)

    def _median(self, sent: Sequence[Sent], now: int) -> Slice:
        """O-4, from the reports alone."""
        columns = list(zip(*(aged(each.report, now) for each in sent), strict=True))
        honest = list(zip(*(aged(each.report, now) for each in sent if each.honest), strict=True))
        middle = [median(column) for column in columns]
        for value, column in zip(middle, honest, strict=True):
            self.hold("O-4 the median lies among the honest", min(column) <= value <= max(column), (value, column))
        return Slice(*(Fraction(value, WAD) for value in middle))

    def _judge_move(self, was: Slice, now: Slice, elapsed: int) -> None:
        move = math.log(now.theta / was.theta) / 2
        bound = self.limits.max_rise if move > 0 else self.limits.max_fall
        allowed = bound * math.sqrt(elapsed / SECONDS_PER_DAY) + 2e-12 + float(2 / (was.theta * WAD))
        self.hold("O-3 the clamp holds", abs(move) <= allowed, (move, allowed))

    def _judge_blend(
        self, expiry: int, was: Slice | None, target: Slice, blend: Fraction, last: int | None = None
    ) -> None:
        """That a step a little longer would break a condition: nothing is held back without a reason."""
        if was is None or blend == 1 or last is None:
            return
        further = was.toward(target, min(blend * Fraction(102, 100) + Fraction(1, 10**9), Fraction(1)))
        elapsed = self.reported[expiry] - last
        live = [each for each in self.live() if each != expiry]
        earlier = max((each for each in live if each < expiry), default=None)
        later = min((each for each in live if each > expiry), default=None)
        admissible = further.has_no_butterfly()
        admissible &= earlier is None or self.exact(earlier).precedes(further)
        admissible &= later is None or further.precedes(self.exact(later))
        move = math.log(max(further.theta / was.theta, Fraction(1, 10**18))) / 2
        bound = self.limits.max_rise if move > 0 else self.limits.max_fall
        admissible &= abs(move) <= bound * math.sqrt(elapsed / SECONDS_PER_DAY)
        self.hold("a blend is the largest", not admissible, (expiry, float(blend)))

    def _judge_reporters(self, receipt: Any, sent: Sequence[Sent]) -> None:
        """Nobody honest is ever excluded while the honest agree within the tolerance."""
        names = {accounts.address_of(each.name): each for each in sent}
        times = [each.report.timestamp for each in sent]
        for event in receipt.events("ReporterMissed"):
            if max(times) - min(times) <= 0:
                self.hold("no honest report is a miss", not names[event["reporter"]].honest, event)

    # -- other laws ---------------------------------------------------------------------------------------------------

    def order_does_not_matter(self, sent: Sequence[Sent], random: Random) -> None:
        """O-7, both ways of making the call from one basket."""
        outcomes = []
        for _ in range(2):
            shuffled = list(sent)
            random.shuffle(shuffled)
            with self.evm.rolled_back():
                self.feed.send("submit", *submission(self.sign(shuffled)))
                outcomes.append(tuple(self.feed.call("stored", sent[0].report.expiry)))
        self.hold("O-7 order does not matter", outcomes[0] == outcomes[1], outcomes)
        reports, signatures = submission(self.sign(sent))
        self.refused("O-7 there is one order", "ReportersNotAscending", (reports[::-1], signatures[::-1]))

    def refused(self, law: str, why: str, arguments: tuple[list[Any], list[bytes]]) -> None:
        """That a call is refused for a reason, or for having come too late to be looked at."""
        try:
            self.feed.send("submit", *arguments)
        except Revert as revert:
            self.hold(law, revert.name in (why, "ReporterIsExcluded", "NotReporter"), revert)
            return
        raise Broken(law, "it was accepted")
