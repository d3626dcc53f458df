"""The `jali` command. A group is imported when it is asked for, so that `jali --help` starts at once."""

from __future__ import annotations

import sys
from importlib import import_module

import click

from components.core import settings
from components.core.errors import JaliError

_COMMANDS = {
    "run": ("components.commands.run", "Run a flow here and now: pipeline, dataset, train."),
    "up": ("components.commands.machine", "Start Prefect, a worker, MLflow and serving in the background."),
    "down": ("components.commands.machine", "Stop what `jali up` started."),
    "status": ("components.commands.machine", "Say what runs where."),
    "demo": ("components.commands.demo", "The whole way on public data, from collect to a served answer."),
    "tune": ("components.commands.tune", "Search for parameters: free on public data, charged on people's."),
    "plan": ("components.commands.plan", "How much quality will privacy cost? From measured curves."),
    "report": ("components.commands.report", "All services: quality, ε, verdicts and what is left of the budget."),
    "ledger": ("components.commands.ledger", "Show the privacy accounts."),
    "statement": ("components.commands.statement", "What is promised about a version, for people and programs."),
    "keys": ("components.commands.keys", "Make and list people's signing keys."),
    "promote": ("components.commands.promote", "Ask for, approve, reject and follow promotions."),
    "rollback": ("components.commands.promote", "Put the previous champion back."),
    "data": ("components.commands.data", "Bring back the dataset that a version was trained on."),
    "attack": ("components.commands.attack", "Attack a version's answers, with privacy and without (public sources)."),
    "serve": ("components.commands.serve", "Serve the champions on a loopback port."),
    "stage": ("components.commands.stage", "One stage of dvc.yaml; `dvc repro` calls it."),
}


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        command: click.Command = getattr(import_module(_COMMANDS[name][0]), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_text) for name, (_, help_text) in _COMMANDS.items()])


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="jali")
def jali() -> None:
    """Personalise an online shop under user-level differential privacy.

    Exit codes: 20-24 a verdict (21 data or evidence, 22 gate, 23 privacy budget, 24 approval), 75 try again later,
    78 mend the configuration.
    """
    settings.silence_telemetry()


def main() -> None:
    """Run the command; an error that was raised on purpose is one sentence and its own exit code."""
    try:
        jali(standalone_mode=False)
    except JaliError as error:
        click.echo(f"{click.style(type(error).__name__, fg='red')}: {error}", err=True)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted; run the same command again to go on from there.", err=True)
        sys.exit(130)
    except click.exceptions.Exit as leave:
        sys.exit(leave.exit_code)


if __name__ == "__main__":
    main()
