"""The command line. Commands live in `keeper/commands/`, one file each; here they are only put together.

Exit codes: 0 success, 1 a failed assertion or something unhealthy, 2 bad input. An error that we raise on purpose is
one line on stderr.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Sequence
from typing import Annotated, Any, Final

import typer

from keeper import commands
from keeper.errors import KeeperError
from keeper.telemetry import configure_logging

TOUR: Final = (
    "demo", "up", "deploy", "run", "status", "explain", "doctor", "price", "simulate", "report", "scenario", "lab",
)  # fmt: skip
"""The order of the help: what somebody new would try first comes first."""

WrongUsage: Final[Any] = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")
"""What typer raises for arguments that it does not understand, wherever this version of it keeps that."""


def build() -> typer.Typer:
    """The application with every command mounted."""
    app = typer.Typer(
        name="keeper",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_everything)
    found = [module.name for module in pkgutil.iter_modules(commands.__path__) if not module.name.startswith("_")]
    for name in sorted(found, key=lambda each: (TOUR.index(each) if each in TOUR else len(TOUR), each)):
        module = importlib.import_module(f"keeper.commands.{name}")
        (getattr(module, "add", None) or getattr(module, f"add_{name}"))(app)
    return app


def _everything(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say more, on stderr.")] = False,
) -> None:
    """A laboratory and a working keeper for on-chain, delta-hedged options vaults.

    Start with [bold]keeper demo[/bold]: a chain, the whole protocol, two vaults, a keeper that hedges them through a
    crash, and a report that says where the money came from.
    """
    configure_logging(verbose)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and end the process with its exit code."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    try:
        # Outside its standalone mode typer returns the code of a typer.Exit, and else what the command returned: None.
        return int(build()(args=arguments, prog_name="keeper", standalone_mode=False) or 0)
    except typer.Exit as done:
        return int(done.exit_code)
    except WrongUsage as error:
        error.show()
        return int(error.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        print("stopped", file=sys.stderr)
        return 130
    except KeeperError as error:
        print(f"keeper: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        sys.stderr.close()
        return 1


if __name__ == "__main__":
    main()
