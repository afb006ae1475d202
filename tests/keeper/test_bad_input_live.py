"""A live keeper that is given something wrong says so in one line, exits 2, and has sent nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from command import keeper

from keeper.chain.deploy_config import default_config
from keeper.chain.deployer import deploy
from keeper.chain.deployment import Deployment
from keeper.chain.dev_accounts import dev_addresses
from keeper.chain.node import Anvil
from keeper.execution.journal import Journal

ENDOWMENT = 10**24


@dataclass
class Place:
    """A deployed chain that mines each transaction as it comes, and a folder with its deployment file."""

    chain: Anvil
    deployment: Deployment
    folder: Path

    def run(self, *options: object, environment: dict[str, str] | None = None) -> str:
        """`keeper run` for one block; it must fail in the agreed way. Returns the line that it said."""
        before = self.nonces()
        command = ["run", "--rpc-url", self.chain.url, "--blocks", "1", *options]
        done = keeper(*command, folder=self.folder, environment=environment, timeout=60)
        assert (done.returncode, done.stdout) == (2, ""), done.stderr
        (line,) = done.stderr.splitlines()
        assert line.startswith("keeper: ")
        assert self.nonces() == before
        return line

    def nonces(self) -> list[int]:
        asked = [("eth_getTransactionCount", (each, "latest")) for each in dev_addresses().values()]
        return [int(each, 16) for each in self.chain.rpc.batch(asked)]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with Anvil("live", block_time=None) as chain:
        deployment = deploy(chain.backend(), replace(default_config(), price_heartbeat=86_400))
        deployment.save(tmp_path / "deployments")
        yield Place(chain, deployment, tmp_path)


def test_a_dead_node(tmp_path: Path):
    done = keeper("run", "--rpc-url", "http://127.0.0.1:9", folder=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "127.0.0.1:9" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_address_that_is_none(tmp_path: Path):
    done = keeper("status", "--rpc-url", "ftp://somewhere", folder=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "ftp://somewhere" in done.stderr


def test_a_deployment_of_another_chain(place: Place):
    path = place.folder / "deployments" / "31337.json"
    stored = json.loads(path.read_text())
    path.write_text(json.dumps({**stored, "chain_id": 1}))
    line = place.run()
    assert "is chain 31337" in line
    assert "for chain 1" in line


def test_no_deployment_file(place: Place):
    (place.folder / "deployments" / "31337.json").unlink()
    assert "deployments/31337.json" in place.run()


def test_a_stale_deployment_file(place: Place):
    """The chain was started afresh, so the file speaks of contracts that are gone."""
    with Anvil("live", block_time=None) as other:
        fresh = Place(other, place.deployment, place.folder)
        line = fresh.run()
    assert "stale" in line
    assert "keeper deploy" in line


def test_a_key_without_money(place: Place):
    place.chain.set_balance(place.deployment.address("hedger"), 10**15)
    line = place.run()
    assert place.deployment.address("hedger") in line
    assert "0.0010 ETH" in line


def test_a_key_that_does_not_hold_the_role(place: Place):
    wrong = "0x" + "11" * 32
    line = place.run("--role", "hedger", environment={"KEEPER_KEY_HEDGER": wrong})
    assert "belongs to" in line
    assert wrong not in line


def test_an_oracle_that_has_gone_silent(place: Place):
    place.chain.rpc.call("evm_increaseTime", 86_500)
    place.chain.rpc.call("evm_mine")
    line = place.run()
    assert "silent" in line
    assert "86400 s" in line


def test_a_role_that_does_not_exist(place: Place):
    assert "'gardener'" in place.run("--role", "gardener")


def test_a_reporter_without_a_market(place: Place):
    assert "--prices" in place.run("--role", "reporter")


def test_a_policy_that_does_not_exist(place: Place):
    assert "'hope'" in place.run("--policy", "hope")


def test_a_malformed_price_file_names_its_line(place: Place):
    (place.folder / "p.csv").write_text("timestamp,open,high,low,close\n0,1,1,1,1\n300,1,1,1,nan\n")
    line = place.run("--role", "reporter", "--prices", "p.csv")
    assert "p.csv" in line
    assert "3" in line


def test_a_journal_of_another_deployment(place: Place):
    first = keeper("run", "--rpc-url", place.chain.url, "--blocks", "0", "--journal", "j", folder=place.folder)
    assert first.returncode == 0, first.stderr
    again = deploy(place.chain.backend(), replace(default_config(), price_heartbeat=86_400))
    again.save(place.folder / "deployments")
    assert "another deployment" in place.run("--journal", "j")


def test_a_journal_that_another_keeper_writes(place: Place):
    writer = Journal(place.folder / "j").claim()
    try:
        assert f"another keeper (pid {os.getpid()}) uses this journal (j)" in place.run("--journal", "j")
    finally:
        writer.close()


def test_a_dry_run_decides_and_sends_nothing(place: Place):
    before = place.nonces()
    done = keeper("run", "--rpc-url", place.chain.url, "--blocks", "0", "--dry-run", "--json", folder=place.folder)
    assert done.returncode == 0, done.stderr
    assert place.nonces() == before
    assert json.loads(done.stdout).keys() == {"journal", "decisions"}
