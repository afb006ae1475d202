"""The live keeper, as an operator runs it: `keeper up`, `keeper run`, and then only watching."""

from __future__ import annotations

import json
import signal
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from command import first_object, keeper, running, wait_for

from keeper.execution.journal import Journal
from keeper.state.decision import Call, OrderStatus


@dataclass
class Operator:
    """A chain that mines by itself with the market on it, and the folder where the operator sits."""

    url: str
    folder: Path

    def status(self) -> dict[str, Any]:
        done = keeper("status", "--rpc-url", self.url, "--json", folder=self.folder)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    @property
    def journal(self) -> Path:
        (path,) = (self.folder / "journals").glob("*.sqlite")
        return path


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    folder = tmp_path_factory.mktemp("operator")
    with running("up", "--port", 0, "--speed", 60, "--json", folder=folder) as chain:
        yield Operator(first_object(chain)["url"], folder)


@pytest.fixture(scope="module")
def hedged(operator: Operator) -> Operator:
    """`keeper run` has had the chain to itself for twenty blocks, and was then stopped with Ctrl-C."""
    options = ["--policy", "fixed-band", "--band", 0.5]
    with running("run", "--rpc-url", operator.url, *options, folder=operator.folder) as process:
        start = operator.status()["block"]
        wait_for(lambda: operator.status()["vaults"]["scalper"]["hedge"] != 0.0)
        wait_for(lambda: operator.status()["block"] >= start + 20)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    (operator.folder / "said.txt").write_text(out)
    return operator


def test_the_keeper_buys_decides_and_hedges_on_its_own(hedged: Operator):
    vaults = hedged.status()["vaults"]
    assert len(vaults["scalper"]["options"]) == 2
    for name in ("scalper", "underwriter"):
        assert vaults[name]["hedge"] + vaults[name]["pending"] != 0.0
        assert vaults[name]["last_decision"]["block"] > 0


def test_ctrl_c_leaves_a_consistent_journal_and_says_what_was_done(hedged: Operator):
    said = (hedged.folder / "said.txt").read_text()
    assert "(OUTSIDE_BAND)" in said
    assert "decisions" in said.splitlines()[-1]
    journal = Journal(hedged.journal)
    assert sqlite3.connect(hedged.journal).execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert journal.orders(OrderStatus.INTENDED, OrderStatus.SENT) == []
    confirmed = [order.transaction.order.call for order in journal.orders(OrderStatus.CONFIRMED)]
    assert {Call.LIST_SERIES, Call.ROLL, Call.HEDGE, Call.SETTLE} <= set(confirmed)


def test_the_journal_and_the_chain_tell_the_same_hedge(hedged: Operator):
    """Decided sizes of settled hedges add up to the position: the keeper's book is the chain's."""
    journal, status = Journal(hedged.journal), hedged.status()
    for name, vault in status["vaults"].items():
        sizes = [
            journal.decision(order.transaction.order.decision_id).decision.size
            for order in journal.orders(OrderStatus.CONFIRMED)
            if order.transaction.order.key.startswith(f"hedge:{name}:")
        ]
        assert vault["hedge"] + vault["pending"] == pytest.approx(sum(sizes), rel=1e-9)


def test_every_decision_explains_itself_the_same(hedged: Operator):
    journal = Journal(hedged.journal)
    hedges = [decision for decision in journal.decisions() if decision.size]
    assert hedges
    for decision in hedges[:2]:
        done = keeper("explain", decision.id, "--json", folder=hedged.folder)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["same"] is True


def test_a_killed_keeper_goes_on_where_it_stopped(hedged: Operator):
    """SIGKILL is the normal way to die: nothing is lost, nothing is sent twice."""
    options = ["run", "--rpc-url", hedged.url, "--policy", "fixed-band", "--band", 0.01]
    with running(*options, folder=hedged.folder) as process:
        known = len(Journal(hedged.journal).orders())
        wait_for(lambda: len(Journal(hedged.journal).orders()) > known + 2)
        process.kill()
        process.wait()
    done = keeper(*options, "--blocks", 6, folder=hedged.folder)
    assert done.returncode == 0, done.stderr
    orders = Journal(hedged.journal).orders()
    assert [order for order in orders if order.result.status in (OrderStatus.INTENDED, OrderStatus.SENT)] == []
    mined = [(o.transaction.sender, o.transaction.nonce) for o in orders if o.result.block_number > 0]
    assert len(set(mined)) == len(mined)
    test_the_journal_and_the_chain_tell_the_same_hedge(hedged)


def test_any_role_runs_alone_and_unknown_ones_are_refused(hedged: Operator):
    """Nobody is liquidatable here: the liquidator looks, and sends nothing."""
    before = len(Journal(hedged.journal).orders())
    done = keeper("run", "--rpc-url", hedged.url, "--role", "liquidator", "--blocks", 3, folder=hedged.folder)
    assert done.returncode == 0, done.stderr
    assert "running liquidator on chain" in done.stderr
    assert len(Journal(hedged.journal).orders()) == before
    refused = keeper("run", "--rpc-url", hedged.url, "--role", "relayer", "--blocks", 1, folder=hedged.folder)
    assert refused.returncode == 2
    assert "this deployment has no bridge" in refused.stderr


def test_a_chain_comes_up_with_another_venue_and_every_role_runs_on_it(tmp_path: Path):
    venue = ["--margin", "cross", "--liquidation", "rate-limited", "--remote-delay", "30s"]
    with running("up", "--port", 0, "--json", *venue, folder=tmp_path) as chain:
        told = first_object(chain)
        assert {"PortfolioMargin", "RateLimitedLiquidation", "remote/PerpMarket"} <= set(told["contracts"])
        roles = ["hedger", "settler", "roller", "liquidator", "relayer"]
        chosen = [text for role in roles for text in ("--role", role)]
        done = keeper("run", "--rpc-url", told["url"], *chosen, "--blocks", 4, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    bad = keeper("up", "--port", 0, "--liquidation", "never", folder=tmp_path)
    assert bad.returncode == 2
    assert "choose full, rate-limited, auction" in bad.stderr


def test_status_shows_a_table_to_people(hedged: Operator):
    done = keeper("status", "--rpc-url", hedged.url, folder=hedged.folder)
    assert done.returncode == 0
    for word in ("scalper", "underwriter", "net delta", "maintenance margin", "last decision"):
        assert word in done.stdout


def test_deploy_puts_everything_on_a_chain_that_runs_already(hedged: Operator, tmp_path: Path):
    from keeper.chain.node import Anvil

    with Anvil("live", block_time=None) as chain:
        done = keeper("deploy", "--rpc-url", chain.url, "--price", 1_234, "--json", folder=tmp_path)
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert (tmp_path / told["file"]).exists()
        status = keeper("status", "--rpc-url", chain.url, "--json", folder=tmp_path)
        assert json.loads(status.stdout)["price"] == 1_234.0
