"""Bad input to `keeper demo` and `keeper scenario`, and Ctrl-C in the middle of a run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from small_world import SMALL

from keeper.cli import run as keeper
from keeper.execution.journal import Journal
from keeper.simulation import tape
from keeper.state.decision import OrderStatus

HEADER = "ts,open,high,low,close,volume"
ROWS = [f"{1_600_000_000 + 300 * i},100,101,99,100,5" for i in range(24)]


def write(path: Path, rows: list[str], header: str = HEADER) -> Path:
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def replaced(place: int, row: str) -> list[str]:
    return [*ROWS[:place], row, *ROWS[place + 1 :]]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (replaced(4, f"{1_600_001_200},100,101,99,nan,5"), "line 6"),
        (replaced(4, f"{1_600_001_200},100,101,99,,5"), "line 6"),
        (replaced(4, f"{1_600_001_200},100,101,0,100,5"), "line 6"),
        (replaced(4, f"{1_600_001_200},100,101,-1,100,5"), "line 6"),
        (replaced(4, f"{1_600_001_200},100,99,101,100,5"), "line 6"),
        (replaced(4, f"{1_600_001_200},100,1e300,99,100,5"), "line 6"),
        (replaced(4, f"{1_600_001_200},100,101,1e-30,100,5"), "line 6"),
        (replaced(4, f"{1_600_001_200},100,2001,99,100,5"), "line 6"),
        ([*ROWS[:4], *ROWS[5:]], "line 6"),  # a gap
        ([*ROWS[:4], ROWS[5], ROWS[4], *ROWS[6:]], "line"),  # out of order
        ([*ROWS[:5], *ROWS[4:]], "line 7"),  # twice the same bar
    ],
    ids=["nan", "empty", "zero", "negative", "low-above-high", "huge", "tiny", "wide", "gap", "unsorted", "repeated"],
)
def test_a_malformed_file_of_prices_names_its_line_and_starts_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rows: list[str], said: str
) -> None:
    prices = write(tmp_path / "prices.csv", rows)
    assert keeper(["demo", "--prices", str(prices), "--runs", str(tmp_path / "runs")]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "prices.csv" in error
    assert len(error.strip().splitlines()) == 1
    assert not (tmp_path / "runs").exists()


def test_wrong_columns_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prices = write(tmp_path / "prices.csv", ["1,2,3"], "ts,price,size")
    assert keeper(["demo", "--prices", str(prices), "--runs", str(tmp_path / "runs")]) == 2
    assert "open" in capsys.readouterr().err


def test_a_missing_file_of_prices_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert keeper(["demo", "--prices", str(tmp_path / "none.csv")]) == 2
    assert "none.csv" in capsys.readouterr().err


def test_an_unknown_scenario_names_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert keeper(["scenario", "run", "dmeo"]) == 2
    assert "demo, keeper_outage, settlement_delay" in capsys.readouterr().err


def test_an_engine_that_is_not_there_exits_2_and_names_the_one_that_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert keeper(["scenario", "run", "demo", "--engine", "twin"]) == 2
    assert "available: anvil" in capsys.readouterr().err


def test_check_says_what_is_wrong_and_where(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.yaml").write_text(SMALL.replace("whalley-wilmott", "foo"))
    assert keeper(["scenario", "check", str(tmp_path / "x.yaml")]) == 2
    assert "x.yaml:13: keeper.policy: 'foo' is not one of" in capsys.readouterr().err


def test_check_list_and_schema_of_what_comes_with_us(capsys: pytest.CaptureFixture[str]) -> None:
    assert keeper(["scenario", "check", "demo"]) == 0
    assert keeper(["scenario", "list"]) == 0
    assert "demo.yaml" in capsys.readouterr().out
    assert keeper(["scenario", "schema"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "Scenario"


@pytest.mark.anvil
def test_a_failed_assertion_exits_1_and_prints_one_json_object(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = SMALL.replace("vaults.scalper.hedges > 0", "vaults.scalper.hedges < 0").replace(
        "duration: 3h", "duration: 15m"
    )
    (tmp_path / "x.yaml").write_text(text)
    assert keeper(["scenario", "run", str(tmp_path / "x.yaml"), "--runs", str(tmp_path / "runs"), "--json"]) == 1
    summary = json.loads(capsys.readouterr().out)
    assert [claim["passed"] for claim in summary["assertions"]] == [True, False]


@pytest.mark.anvil
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "terminate"])
def test_stopping_a_run_leaves_a_report_and_a_consistent_journal(tmp_path: Path, stop: signal.Signals) -> None:
    (tmp_path / "x.yaml").write_text(SMALL)
    command = [sys.executable, "-m", "keeper.cli", "scenario", "run", str(tmp_path / "x.yaml"), "--speed", "1"]
    process = subprocess.Popen(
        [*command, "--runs", str(tmp_path / "runs"), "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert process.stderr is not None
    wait_for(process.stderr.readline, "spot")
    process.send_signal(stop)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 130
    summary = json.loads(out)
    assert not summary["finished"]
    assert summary["assertions"] == []

    folder = tmp_path / "runs" / summary["run"]
    assert "stopped before its end" in (folder / "report.html").read_text()
    told = {
        record["order"]: record["status"] for record in tape.read(folder / "tape.jsonl") if record["kind"] == "result"
    }
    journal = Journal(folder / "journal.sqlite")
    for journaled in journal.orders():
        key, status = journaled.transaction.order.key, journaled.result.status
        assert status == told.get(key, OrderStatus.SENT)  # what never left the outbox is known to be on its way
    journal.close()


def wait_for(read: Callable[[], str], word: str) -> None:
    """Lines until one has the word."""
    while word not in (line := read()):
        assert line, f"ended before '{word}'"


@pytest.mark.anvil
def test_nothing_stays_behind_when_ctrl_c_comes_before_the_run_begins(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(SMALL)
    process = subprocess.Popen(
        [sys.executable, "-m", "keeper.cli", "scenario", "run", str(tmp_path / "x.yaml")],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, "TMPDIR": str(tmp_path)}, cwd=tmp_path,
    )  # fmt: skip
    deadline = time.monotonic() + 60.0
    while not list(tmp_path.glob("gamma-keeper-*/anvil.ipc")):  # the node is up and being deployed to
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert list(tmp_path.glob("gamma-keeper-*")) == []
