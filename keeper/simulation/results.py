"""What came out of a run, in the shape that `--json`, assertions and reports share."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from keeper.chain.abi import decode_event, interface_of
from keeper.chain.deployment import Deployment
from keeper.chain.rpc import Rpc, log_from_json, quantity
from keeper.simulation.recorder import Recorder, VaultBook
from keeper.state.snapshot import Snapshot
from keeper.units import from_wad


@dataclass(frozen=True, slots=True)
class VenueLosses:
    """What traders could not pay, and who paid it, USD. ``bad_debt`` is what nobody has paid.

    ``deleveraged`` is what winners were cut of their profit, ``socialised`` what everybody lost of their cash;
    ``adl_notional`` the size of the positions that were closed for it. What the insurance fund pays for options,
    ``options_insured``, is paid at once and never on record.
    """

    recorded: float = 0.0
    insurance_used: float = 0.0
    pool_used: float = 0.0
    deleveraged: float = 0.0
    socialised: float = 0.0
    adl_notional: float = 0.0
    options_insured: float = 0.0

    @property
    def bad_debt(self) -> float:
        """Recorded and not covered."""
        return self.recorded - self.insurance_used - self.pool_used - self.deleveraged - self.socialised


_LOSS_EVENTS = {
    "Clearinghouse": ("BadDebtRecorded", "BadDebtCovered", "BadDebtSocialised"),
    "Waterfall": ("Deleveraged",),
}


def venue_losses(rpc: Rpc, deployment: Deployment) -> VenueLosses:
    """All bad debt since the deployment, from the logs of clearinghouse and waterfall."""
    topics = [
        "0x" + interface_of(contract).events[name][0].topic.hex()
        for contract, names in _LOSS_EVENTS.items()
        for name in names
    ]
    wanted = {
        "address": [deployment.address(name) for name in _LOSS_EVENTS],
        "topics": [topics],
        "fromBlock": quantity(deployment.block),
        "toBlock": "latest",
    }
    paid: dict[str, float] = {}
    recorded = deleveraged = socialised = notional = 0.0
    for raw in rpc.call("eth_getLogs", wanted):
        log = log_from_json(raw)
        name, told = decode_event(log.topics, log.data) or ("", {})
        if name == "BadDebtRecorded":
            recorded += from_wad(told["amount"])
        elif name == "BadDebtCovered":
            paid[told["payer"]] = paid.get(told["payer"], 0.0) + from_wad(told["amount"])
        elif name == "BadDebtSocialised":
            socialised += from_wad(told["amount"])
        elif name == "Deleveraged":
            deleveraged += from_wad(told["haircut"])
            notional += abs(from_wad(told["sizeDelta"])) * from_wad(told["price"])
    fund, pool = (paid.get(deployment.address(name), 0.0) for name in ("InsuranceFund", "LiquidityPool"))
    insured = _options_insured(rpc, deployment)
    return VenueLosses(recorded, fund, pool, deleveraged, socialised, notional, insured)


def _options_insured(rpc: Rpc, deployment: Deployment) -> float:
    """What the insurance fund has paid for options, at expiry and in auctions, USD."""
    fund = "0x" + deployment.address("InsuranceFund")[2:].lower().rjust(64, "0")
    event = "0x" + interface_of("Clearinghouse").events["CashMoved"][0].topic.hex()
    wanted = {
        "address": deployment.address("Clearinghouse"),
        "topics": [event, fund, None, "0x" + b"insurance".ljust(32, b"\0").hex()],
        "fromBlock": quantity(deployment.block),
        "toBlock": "latest",
    }
    moved = (log_from_json(raw) for raw in rpc.call("eth_getLogs", wanted))
    return sum(from_wad((decode_event(log.topics, log.data) or ("", {}))[1]["amount"]) for log in moved)


def results(recorder: Recorder, losses: VenueLosses) -> dict[str, Any]:
    """Vaults, venues and keeper, as assertions name them."""
    books, keeper = recorder.vaults, recorder.keeper
    snapshot = next((book.snapshot for book in books.values()), None)
    return {
        "vaults": {name: vault_results(book) for name, book in books.items()},
        "venues": {"home": venue_results(losses, snapshot)},
        "keeper": {
            "gas": keeper.gas,
            "rewards": keeper.rewards,
            "profit": keeper.profit,
            "reverted": keeper.reverted,
        },
    }


def vault_results(book: VaultBook) -> dict[str, Any]:
    """One vault's results, USD and fractions."""
    parts, costs = book.ledger.total, book.cost_summary
    snapshot = book.snapshot
    return {
        "kind": book.kind,
        "pnl": parts.pnl,
        "attribution": parts.parts(),
        "unexplained_ratio": book.ledger.unexplained_ratio,
        "hedges": costs.orders,
        "max_drawdown": book.ledger.max_drawdown,
        "share_price": snapshot.state.share_price if snapshot is not None else 0.0,
        "nav": snapshot.state.nav_mid if snapshot is not None else 0.0,
        "min_margin_ratio": min((row["margin_ratio"] for row in book.rows), default=math.inf),
        "costs": asdict(costs) | {"shortfall": costs.shortfall},
    }


def venue_results(losses: VenueLosses, snapshot: Snapshot | None) -> dict[str, Any]:
    """The venue's results, USD."""
    return {
        "bad_debt": losses.bad_debt,
        "bad_debt_recorded": losses.recorded,
        "insurance_used": losses.insurance_used + losses.options_insured,
        "pool_used": losses.pool_used,
        "deleveraged": losses.deleveraged,
        "socialised": losses.socialised,
        "adl_notional": losses.adl_notional,
        "skew": snapshot.venues[0].skew if snapshot is not None and snapshot.venues else 0.0,
    }
