"""Scenario files: what they say, and what is said of a bad one."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest
from ruamel.yaml import YAML
from small_world import SMALL

from keeper.errors import InputError
from keeper.simulation import library, scenario, schema
from keeper.simulation.plan import prepare
from keeper.simulation.runs import scenario_text
from keeper.simulation.scenario import Scenario, file_schema, loads
from keeper.simulation.script import compile_script
from keeper.simulation.world import deploy_config


def test_every_value_of_a_file_arrives() -> None:
    world = loads(SMALL).scenario
    assert world.clock.duration == 3 * 3_600
    assert world.clock.start == 1_583_625_600
    assert world.market.price.model == "gbm"
    assert world.venue.settlement_delay == 2
    assert world.vaults["scalper"].buys is not None
    assert world.vaults["scalper"].buys.tenor == 7_200
    assert world.keeper.risk_aversion == 1e-3  # YAML 1.2 reads 1e-3 as a number
    assert [claim.text for claim in world.assert_] == ["venues.home.bad_debt == 0", "vaults.scalper.hedges > 0"]


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("seed: 7", "sead: 7", "small.yaml:3: sead: unknown key; did you mean 'seed'?"),
        ("seed: 7", "seed: -7", "small.yaml:3: seed: -7 is not a whole number from 0 to 4294967295"),
        ("whalley-wilmott", "foo", "small.yaml:13: keeper.policy: 'foo' is not one of none, fixed-time"),
        ("duration: 3h", "duration: 3", "small.yaml:4: clock.duration: 3 is not a duration"),
        ("duration: 3h", "duration: soon", "small.yaml:4: clock.duration: 'soon' is not a duration"),
        ("duration: 3h, ", "", "small.yaml:4: clock: start and duration are needed unless prices are replayed"),
        ("2020-03-08T00:00:00Z", "yesterday", "small.yaml:4: clock.start: 'yesterday' is not a time"),
        ("deposit: 1000000", "deposit: -1", "small.yaml:11: vaults.scalper.deposit: -1 is out of range"),
        ("deposit: 1000000, ", "", "small.yaml:11: vaults.scalper: 'deposit' is missing"),
        ("from: underwriter", "from: nobody", "small.yaml:11: vaults.scalper.from: 'nobody' is not an underwriter"),
        ("kind: underwriter", "kind: bank", "small.yaml:12: vaults.underwriter.kind: 'bank' is not one of scalper"),
        ("model: gbm", "model: gbm, shape: crash", "small.yaml:6: market.price: give exactly one of replay, shape"),
        ("  home:", "  away:", "small.yaml:9: venues.away: there is one venue, and it is called 'home'"),
        ("vol: 1.2", "vol: high", "small.yaml:6: market.price.vol: 'high' is not a number"),
        ("bad_debt == 0", "bad_debt = 0", "small.yaml:15: assert[0]: 'venues.home.bad_debt = 0' is not a comparison"),
        ("seed: 7", "seed: [7", "small.yaml:4: not valid YAML"),
        ("seed: 7", "seed: \x01", "small.yaml: not valid YAML"),
        ("seed: 7", f"seed: {'[' * 3000}{']' * 3000}", "small.yaml: not a scenario: it is nested too deep"),
        ("settlement_delay: 2s", "settlement_delay: 2h", "small.yaml:9: venues.home.settlement_delay: '2h' is not a"),
        ("duration: 3h", "duration: 60s", "small.yaml:4: clock.step: a bar is longer than the whole run"),
        ("duration: 3h", f"duration: {'9' * 400}d", "small.yaml:4: clock.duration:"),
    ],
)
def test_a_bad_value_is_refused_with_its_line(old: str, new: str, complaint: str) -> None:
    with pytest.raises(InputError) as refusal:
        loads(SMALL.replace(old, new, 1), "small.yaml")
    assert str(refusal.value).startswith(complaint)


def test_a_file_of_random_bytes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "noise.yaml"
    path.write_bytes(bytes(range(128, 256)))
    with pytest.raises(InputError, match=r"noise.yaml: not a text file"):
        scenario.load(path)


@pytest.mark.parametrize(
    ("venue", "complaint"),
    [
        ("margin: crossed", "venues.home.margin: 'crossed' is not one of isolated, cross"),
        ("liquidation: half", "venues.home.liquidation: 'half' is not one of full, rate-limited, auction"),
        ("liquidation_cap: 5", "venues.home.liquidation_cap: only liquidation: rate-limited has one; this is 'full'"),
        ("liquidation: rate-limited, liquidation_window: 2m", "venues.home.liquidation_window: '2m' is not a whole"),
        ("liquidation: rate-limited, liquidation_cap: 50001", "rate_limit.cap is 50001 coins"),
    ],
)
def test_a_venue_that_cannot_be_is_refused_before_anything_starts(venue: str, complaint: str) -> None:
    with pytest.raises(InputError, match=re.escape(complaint)):
        prepare(loads(SMALL.replace("settlement_delay: 2s", f"settlement_delay: 2s, {venue}"), "small.yaml"))


def test_margin_engine_and_liquidator_reach_the_deployment() -> None:
    chosen = "settlement_delay: 2s, margin: cross, liquidation: rate-limited, liquidation_cap: 70, adl_window: 5m"
    source = loads(SMALL.replace("settlement_delay: 2s", chosen).replace("latency: 1s", "liquidator: true"))
    plan = prepare(source)
    config = deploy_config(plan.scenario, plan.script)
    assert (config.margin, config.liquidation, config.rate_limit.cap) == ("cross", "rate-limited", 70.0)
    assert (config.rate_limit.window, config.deleveraging.window) == (30, 300)
    assert plan.scenario.keeper.liquidator


def test_a_shock_after_the_end_is_refused_with_its_line() -> None:
    shock = "shocks:\n  - {at: 3h, outage: keeper, for: 1h}\n"
    with pytest.raises(InputError, match=r"small.yaml:2: shocks\[0\].at: 3h is not before the run's end at 3h"):
        prepare(loads(shock + SMALL, "small.yaml"))


def test_an_assertion_about_nothing_is_refused_before_anything_starts() -> None:
    source = loads(SMALL.replace("scalper.hedges > 0", "scalper.pln > 0"), "small.yaml")
    with pytest.raises(
        InputError, match=r"small.yaml:16: assert: 'vaults.scalper.pln' is not in the results: no 'pln'"
    ):
        prepare(source)


def test_a_scenario_written_out_with_its_defaults_reads_back_as_itself() -> None:
    for path in library.files():
        source = scenario.load(path)
        again = loads(scenario_text(source.scenario), "again.yaml").scenario
        assert schema.dump(again) == schema.dump(source.scenario)


def test_a_file_that_extends_another_changes_only_what_it_says(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(SMALL)
    (tmp_path / "child.yaml").write_text("extends: base.yaml\nname: child\nkeeper: {latency: 9s}\n")
    base, child = (scenario.load(tmp_path / f"{name}.yaml").scenario for name in ("base", "child"))
    assert (child.name, child.keeper.latency) == ("child", 9)
    assert child.keeper.risk_aversion == base.keeper.risk_aversion
    assert child.vaults == base.vaults


def test_a_file_that_extends_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text("extends: two.yaml\n")
    (tmp_path / "two.yaml").write_text("extends: one.yaml\n")
    with pytest.raises(InputError, match=r"two.yaml:1: extends: 'one.yaml' extends itself"):
        scenario.load(tmp_path / "one.yaml")


def test_the_other_run_differs_only_where_against_says() -> None:
    source = loads(SMALL + "against:\n  venues.home.settlement_delay: 60s\n", "small.yaml")
    assert source.other is not None
    assert source.other.scenario.venue.settlement_delay == 60
    assert source.other.scenario.assert_ == []
    assert source.other.scenario.vaults == source.scenario.vaults


def test_a_bad_value_in_against_is_refused() -> None:
    with pytest.raises(InputError, match=r"against:1: venues.home.settlement_delay: 60 is not a duration"):
        prepare(loads(SMALL + "against:\n  venues.home.settlement_delay: 60\n", "small.yaml"))


def test_replayed_prices_take_the_place_of_price_and_clock(tmp_path: Path) -> None:
    rows = "".join(f"{1_600_000_000 + 300 * i},100,101,99,100\n" for i in range(12))
    (tmp_path / "prices.csv").write_text("ts,open,high,low,close\n" + rows)
    script = compile_script(loads(SMALL).replay(str(tmp_path / "prices.csv")).scenario)
    assert (script.start, script.end) == (1_600_000_000, 1_600_003_600)


def test_the_script_depends_on_the_seed_alone() -> None:
    one, two = (compile_script(loads(SMALL).scenario) for _ in range(2))
    other = compile_script(loads(SMALL.replace("seed: 7", "seed: 8")).scenario)
    assert [one.price(t) for t in one.price_times] == [two.price(t) for t in two.price_times]
    assert one.price(one.end) != other.price(other.end)


def test_reporters_know_no_price_younger_than_their_lag() -> None:
    calm, wild = (loads(SMALL.replace("vol: 1.2", f"vol: {vol}")).scenario for vol in ("0.01", "3.0"))
    for world in (compile_script(calm), compile_script(wild)):
        assert world.vol(world.start + 3_599) == 0.4  # nothing known yet: the floor
    assert compile_script(wild).vol(compile_script(wild).end) > 0.4


def test_the_json_schema_accepts_every_scenario_and_refuses_a_bad_one() -> None:
    rules = json.loads(json.dumps(file_schema()))
    for path in library.files():
        document = YAML(typ="safe").load(path.read_text())
        if "clock" in document:
            document["clock"]["start"] = document["clock"]["start"].isoformat()
        jsonschema.validate(document, rules)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"name": "x", "shows": "y", "sead": 1}, rules)


def test_the_example_in_the_documentation_is_a_scenario() -> None:
    text = (Path(__file__).parents[2] / "docs" / "scenarios.md").read_text()
    example = text.split("```yaml\n")[1].split("```")[0]
    assert prepare(loads(example, "docs/scenarios.md")).script.tenor == 7 * 86_400


def test_every_setting_says_what_it_is_about() -> None:
    def described(rules: dict[str, object]) -> None:
        for name, rule in rules.get("properties", {}).items():  # type: ignore[union-attr]
            assert rule["description"], name
            described(rule)

    described(schema.json_schema(Scenario))
