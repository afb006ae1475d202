"""`keeper doctor`: what is installed, where it came from, and what is wrong with it."""

from __future__ import annotations

import typer

from keeper.commands._common import AsJson


def add(app: typer.Typer) -> None:
    """Mount the command."""
    app.command("doctor")(doctor)


def doctor(as_json: AsJson = False) -> None:
    """Check the environment: every tool, its version, where it was found. The exit code is 1 if one is missing."""
    from dataclasses import asdict

    from keeper.chain.doctor import examine
    from keeper.commands._output import print_json

    findings = examine()
    healthy = all(not finding.problem for finding in findings)
    if as_json:
        print_json({"healthy": healthy, "tools": [asdict(finding) for finding in findings]})
        raise typer.Exit(0 if healthy else 1)
    for finding in findings:
        print(f"{finding.name:14} {finding.version or '-':12} {finding.origin or '-'}")
        if finding.problem:
            print(f"{'':14} {finding.problem}")
    print("everything is in place" if healthy else "something is missing; see above")
    raise typer.Exit(0 if healthy else 1)
