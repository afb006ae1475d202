"""Every command of the README is run, and its Python session gives the numbers that it shows.

Nothing is changed but what would collide with the rest of the machine: the chain's port and the folder of the runs.
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from command import ROOT, first_object, keeper, running, wait_for

README = (ROOT / "README.md").read_text()
COMMANDS = re.findall(r"^\$ (.+)$", README, flags=re.MULTILINE)
PORT = "http://127.0.0.1:8545"
LIVE = {"keeper up", f"keeper run --rpc-url {PORT}", "keeper status", "keeper explain last"}
MADE = {"make demo", "make test", 'make demo ARGS="--prices prices.csv"'}

pytestmark = [pytest.mark.anvil, pytest.mark.timeout(600), pytest.mark.xdist_group("readme")]


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """`keeper up`, on a free port, and `keeper run` until it has decided a few times."""
    folder = tmp_path_factory.mktemp("readme")
    with running("up", "--port", 0, "--json", folder=folder) as node:
        url = first_object(node)["url"]
        with running("run", "--rpc-url", url, folder=folder) as process:
            wait_for(lambda: keeper("explain", "last", folder=folder).returncode == 0)
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0
        yield url, folder


def test_readme_names_every_command_of_this_test() -> None:
    assert set(COMMANDS) >= LIVE | MADE
    assert len(COMMANDS) == len(set(COMMANDS))


@pytest.mark.parametrize("command", [one for one in COMMANDS if one not in LIVE | MADE])
def test_readme_command_works(command: str, tmp_path: Path) -> None:
    done = subprocess.run(
        command.replace("keeper ", f"{sys.executable} -m keeper.cli ", 1)
        + (f" --runs {tmp_path}" if "scenario run" in command else ""),
        shell=True, cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_readme_live_keeper_is_up_and_running(chain: tuple[str, Path]) -> None:
    url, folder = chain
    status = keeper("status", "--rpc-url", url, folder=folder)
    assert status.returncode == 0, status.stderr
    assert "scalper" in status.stdout
    explained = keeper("explain", "last", folder=folder)
    assert explained.returncode == 0, explained.stderr


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_readme_make_test_runs_the_tests() -> None:
    """The suite cannot run itself; what `make test` would do is to run it."""
    done = subprocess.run(["make", "--dry-run", "test"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "pytest" in done.stdout, done.stderr


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_readme_make_demo_ends_in_a_report(tmp_path: Path) -> None:
    """The main job, all nine days of it, as a newcomer starts it."""
    done = subprocess.run(
        ["make", "demo", f"ARGS=--runs {tmp_path}"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (report,) = tmp_path.glob("demo-*/report.html")
    assert "<svg" in report.read_text()


def test_readme_session_prints_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    session = re.search(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert session is not None
    exec(session.group(1), {})
    prices, result = capsys.readouterr().out.splitlines()
    python, contract = map(float, prices.split())
    assert python == pytest.approx(141.361235814757, abs=1e-9)
    assert contract == pytest.approx(141.361235814757, abs=1e-9)
    assert float(result.split()[0]) > 0.0  # bought at 60%, realised 80%
