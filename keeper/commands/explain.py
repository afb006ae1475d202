"""`keeper explain`: why the keeper did what it did, and proof that it would do it again."""

from __future__ import annotations

from typing import Annotated

import typer

from keeper.commands._common import AsJson, JournalFile, SettingsFile


def add(app: typer.Typer) -> None:
    """Mount the command."""
    app.command("explain")(explain)


def explain(
    decision_id: Annotated[
        str, typer.Argument(help="Id of a decision, or how it begins (`keeper status` shows some), or `last`.")
    ],
    journal: JournalFile = None,
    config: SettingsFile = None,
    as_json: AsJson = False,
) -> None:
    """Show one decision with every number behind it, and make it again from the journaled snapshot.

    The exit code is 1 if it does not come out the same.
    """
    from dataclasses import asdict

    from keeper.app import newest_journal
    from keeper.commands._common import settings_from
    from keeper.commands._output import print_json
    from keeper.hedging.decide import decide
    from keeper.risk.exposure import exposure

    book = newest_journal(settings_from(config=config, journal=journal))
    known = book.decision(decision_id)
    decision = known.decision
    again = decide(known.snapshot, exposure(known.snapshot), known.config, known.last_hedge_time)
    same = again == decision
    sent = [order.result for order in book.orders() if order.transaction.order.decision_id == decision.id]
    if as_json:
        print_json({
            "decision": asdict(decision), "config": asdict(known.config), "orders": [asdict(order) for order in sent],
            "replayed": asdict(again), "same": same,
        })  # fmt: skip
        raise typer.Exit(0 if same else 1)
    print(f"decision {decision.id}: {decision.vault} at block {decision.block_number} (time {decision.timestamp})")
    trade = f" {decision.size:+.6f} coins, no worse than {decision.acceptable_price:,.2f} USD" if decision.size else ""
    print(f"{decision.action}{trade}, because {decision.reason} (see docs/reasons.md)")
    for name, value in decision.facts.items():
        print(f"  {name:22} {value:>22,.8g}")
    print("configuration: " + ", ".join(f"{name}={value}" for name, value in asdict(known.config).items()))
    for order in sent:
        print(f"order {order.key}: {order.status} {order.tx_hash} {order.error}".rstrip())
    print("made again from the journal: the same" if same else f"made again from the journal: DIFFERENT: {again}")
    raise typer.Exit(0 if same else 1)
