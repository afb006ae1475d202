"""What a run leaves: tables, a summary, and a report that needs nothing else."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from small_world import small_run

from keeper.accounting.attribution import PARTS
from keeper.cli import run as keeper
from keeper.simulation import scenario
from keeper.simulation.runs import RunFolder
from keeper.views.formats import coins, money, ratio
from keeper.views.report import PICTURE, write_report

pytestmark = pytest.mark.anvil


class Page(HTMLParser):
    """Collects what a page would fetch, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.text: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.fetched += [str(value) for name, value in attrs if name in ("src", "href", "xlink:href")]

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(write_report(small_run().folder).read_text())


def test_the_report_fetches_nothing(page: Page) -> None:
    html = (small_run().folder.path / "report.html").read_text()
    assert [place for place in page.fetched if not place.startswith("#")] == []
    assert "@import" not in html
    assert not re.search(r"url\((?!#)", html)


def test_the_report_shows_every_part_and_every_assertion(page: Page) -> None:
    text = " ".join(page.text)
    for vault in small_run().summary["vaults"].values():
        assert money(vault["pnl"]) in text
        for part in PARTS:
            if round(vault["attribution"][part]):
                assert money(vault["attribution"][part]) in text
    for claim in small_run().summary["assertions"]:
        assert claim["text"] in text
    assert "solvent" in text
    assert str(small_run().summary["seed"]) in text


def test_the_report_has_its_six_figures_in_the_colours_of_the_page(page: Page) -> None:
    html = (small_run().folder.path / "report.html").read_text()
    assert html.count("<svg") == 6
    assert "var(--ink)" in html
    assert "#3b4252" not in html  # the placeholder of the page's ink
    assert (small_run().folder.path / PICTURE).stat().st_size > 10_000


def test_the_report_made_again_is_the_same(page: Page, capsys: pytest.CaptureFixture[str]) -> None:
    folder = small_run().folder
    before = (folder.path / "report.html").read_bytes()
    assert keeper(["report", str(folder.path), "--json"]) == 0
    assert (folder.path / "report.html").read_bytes() == before
    assert json.loads(capsys.readouterr().out)["run"] == folder.id


def test_the_summary_has_the_promised_shape() -> None:
    summary = small_run().folder.read_json("summary.json")
    for vault in summary["vaults"].values():
        assert set(vault["attribution"]) == set(PARTS)
        assert {"pnl", "hedges", "max_drawdown", "share_price"} <= set(vault)
    assert {"bad_debt", "insurance_used", "adl_notional"} <= set(summary["venues"]["home"])
    assert {"gas", "rewards", "profit"} <= set(summary["keeper"])
    assert summary["keeper"]["profit"] == pytest.approx(summary["keeper"]["rewards"] - summary["keeper"]["gas"])
    assert (summary["engine"], summary["seed"]) == ("anvil", 7)


def test_the_tables_agree_with_the_summary() -> None:
    folder, summary = small_run().folder, small_run().summary
    snapshots, fills = folder.read_table("snapshots.parquet"), folder.read_table("fills.parquet")
    for name, vault in summary["vaults"].items():
        gamma = [g for g, v in zip(snapshots["pnl_gamma"], snapshots["vault"], strict=True) if v == name]
        assert sum(part or 0.0 for part in gamma) == pytest.approx(vault["attribution"]["gamma"])
        assert fills["account"].count(name) == vault["hedges"]


def test_the_run_folder_holds_a_scenario_that_plays_it_again() -> None:
    folder = small_run().folder
    assert scenario.load(folder.path / "scenario.yaml").scenario.seed == 7


def test_a_run_is_found_by_the_beginning_of_its_name_and_as_the_latest() -> None:
    folder = small_run().folder
    assert RunFolder.open(folder.id[:-3], folder.path.parent) == folder
    assert RunFolder.open("latest", folder.path.parent) == folder


def test_a_run_that_is_not_there_exits_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert keeper(["report", "nothing", "--runs", str(tmp_path)]) == 2
    assert "no run in" in capsys.readouterr().err


def test_numbers_read_as_people_write_them() -> None:
    assert (money(1234.5), money(-0.2), money(-1234.5)) == ("+1,234", "0", "−1,234")
    assert (coins(12.34), coins(float("inf")), ratio(0.1234)) == ("+12.3", "none", "12.3%")
