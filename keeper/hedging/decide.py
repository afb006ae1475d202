"""The live hedging decision: a pure function of a snapshot, its exposure, a configuration and the last hedge's time.

The policy (keeper/hedging/policies.py, shared with the simulator) says how much it wants; the limits (keeper/risk) say
how much may be sent. The target is no net delta. Every number that mattered goes into the decision's facts, so that the
same inputs can be shown, and decided on, again.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

from keeper.errors import InputError
from keeper.hedging import policies
from keeper.hedging.policies import Policy, PolicyConfig, ReasonCode
from keeper.risk import limits
from keeper.risk.exposure import Exposure
from keeper.risk.limits import Denied
from keeper.state.decision import Action, Decision, Reason
from keeper.state.snapshot import Snapshot, Venue


@dataclass(frozen=True, slots=True)
class HedgeConfig:
    """How one vault is hedged. A bad value raises ``InputError``.

    ``interval`` seconds between hedges (fixed-time); ``band`` half-width in coins (fixed-band); ``risk_aversion`` in
    1/USD and ``cost`` one way as a fraction of notional (whalley-wilmott; ``cost`` None takes the venue's taker fee);
    ``to_centre`` trades a band to its centre; ``slippage`` is the worst fill against the index, a fraction;
    ``min_size`` coins below which a trade is not worth its gas.
    """

    policy: str = "whalley-wilmott"
    interval: float = 3600.0
    band: float = 1.0
    risk_aversion: float = 3e-5
    cost: float | None = None
    to_centre: bool = False
    slippage: float = 0.02
    min_size: float = 0.001

    def __post_init__(self) -> None:
        self.rule(0.0)
        if not 0.0 < self.slippage < 1.0:
            raise InputError(f"slippage is {self.slippage}: it must lie between 0 and 1, for example 0.02 for 2%")
        if not (math.isfinite(self.min_size) and self.min_size > 0.0):
            raise InputError(f"the smallest hedge is {self.min_size} coins: it must be positive")

    def rule(self, venue_fee: float) -> PolicyConfig:
        """The policy's own parameters, at a venue that takes ``venue_fee``."""
        return PolicyConfig(
            policy=Policy.parse(self.policy),
            interval=self.interval,
            half_width=self.band,
            cost=venue_fee if self.cost is None else self.cost,
            risk_aversion=self.risk_aversion,
            to_centre=self.to_centre,
        )


def decide(snapshot: Snapshot, exposure: Exposure, config: HedgeConfig, last_hedge_time: int) -> Decision:
    """Hedge or hold. ``last_hedge_time`` is when the vault last hedged, unix seconds; 0 for never."""
    venue = _venue(snapshot)
    facts = _facts(snapshot, exposure, venue)
    wanted, reason = _wanted(snapshot, exposure, config, venue, last_hedge_time, facts)
    size = 0.0
    if wanted != 0.0:
        size, refusal = _permitted(snapshot, exposure, config, venue, wanted, facts)
        reason = refusal if refusal is not None else reason
    return Decision(
        id=decision_id(snapshot, config, last_hedge_time),
        vault=snapshot.vault,
        block_number=snapshot.block.number,
        timestamp=snapshot.block.timestamp,
        action=Action.HEDGE if size != 0.0 else Action.HOLD,
        reason=reason,
        venue=venue.address,
        size=size,
        acceptable_price=_acceptable_price(snapshot, config, size),
        facts=facts,
    )


def decision_id(snapshot: Snapshot, config: HedgeConfig, last_hedge_time: int) -> str:
    """Sixteen hex digits that name what was decided on: the vault, the block, the configuration, the last hedge."""
    block = snapshot.block
    named = (snapshot.vault, block.chain_id, block.number, block.timestamp, block.parent_hash, config, last_hedge_time)
    return hashlib.sha256(repr(named).encode()).hexdigest()[:16]


def _venue(snapshot: Snapshot) -> Venue:
    """Where to hedge: a venue that still has an order in flight first, else where the vault's hedge is greatest."""
    if not snapshot.venues:
        raise InputError(f"vault {snapshot.vault} has no venue to hedge at")
    return max(snapshot.venues, key=lambda venue: (venue.pending is not None, abs(venue.size)))


def _wanted(
    snapshot: Snapshot,
    exposure: Exposure,
    config: HedgeConfig,
    venue: Venue,
    last_hedge_time: int,
    facts: dict[str, float],
) -> tuple[float, Reason]:
    """What the policy would trade, coins, and why. Nothing at all on data that cannot be trusted."""
    rule = config.rule(venue.parameters.taker_fee)
    if rule.policy is Policy.NONE:
        return 0.0, Reason.POLICY_NONE
    sound = limits.data_sound(snapshot)
    facts.update(sound.facts)
    if isinstance(sound, Denied):
        return 0.0, sound.code
    elapsed = float(snapshot.block.timestamp - last_hedge_time) if last_hedge_time > 0 else math.inf
    trade, lower, upper, code = policies.decide(
        int(rule.policy), -exposure.option_delta, exposure.hedge + exposure.pending, elapsed, snapshot.price.price,
        abs(exposure.gamma), exposure.time_to_expiry, 0.0,
        rule.interval, rule.half_width, rule.cost, rule.risk_aversion, rule.to_centre,
    )  # fmt: skip
    facts.update(wanted=trade, lower_edge=lower, upper_edge=upper, elapsed=elapsed, cost=rule.cost)
    return trade, Reason[ReasonCode(code).name]


def _permitted(
    snapshot: Snapshot, exposure: Exposure, config: HedgeConfig, venue: Venue, wanted: float, facts: dict[str, float]
) -> tuple[float, Reason | None]:
    """What may be sent of ``wanted``; where nothing may, 0 and the reason."""
    free = limits.may_hedge(snapshot, venue)
    facts.update(free.facts)
    if isinstance(free, Denied):
        return 0.0, free.code
    size, cap = limits.largest_order(snapshot, venue, wanted)
    if abs(size) < max(config.min_size, snapshot.limits.min_order_size):
        return 0.0, cap or Reason.SIZE_TOO_SMALL
    for check in (
        limits.certain_to_reduce(snapshot, exposure.net_delta, size),
        limits.margin_after(snapshot, venue, size),
    ):
        facts.update(check.facts)
        if isinstance(check, Denied):
            return 0.0, check.code
    return size, None


def _acceptable_price(snapshot: Snapshot, config: HedgeConfig, size: float) -> float:
    """The worst fill to accept, USD: index plus slippage for a buy, minus it for a sell; 0 when holding."""
    if size == 0.0:
        return 0.0
    slippage = min(config.slippage, snapshot.limits.max_slippage * (1.0 - 1e-9))  # rounding must not pass the bound
    return snapshot.price.price * (1.0 + slippage if size > 0.0 else 1.0 - slippage)


def _facts(snapshot: Snapshot, exposure: Exposure, venue: Venue) -> dict[str, float]:
    """The numbers of every decision, whatever comes of it."""
    return {
        "index": snapshot.price.price,
        "option_delta": exposure.option_delta,
        "hedge": exposure.hedge,
        "pending": exposure.pending,
        "net_delta": exposure.net_delta,
        "gamma": exposure.gamma,
        "vega": exposure.vega,
        "theta": exposure.theta,
        "time_to_expiry": exposure.time_to_expiry,
        "equity": exposure.equity,
        "initial_margin": exposure.initial_margin,
        "maintenance_margin": exposure.maintenance_margin,
        "budget_left": snapshot.limits.budget_left,
        "base_fee": float(snapshot.block.base_fee),
        "skew": venue.skew,
        "funding_rate_per_day": venue.funding_rate_per_day,
    }
