"""The commands that start, stop and show the platform.

They import what they do only when they do it, so that none of the platform's processes pays for it.
"""

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    for command in (up, down, status, logs):
        app.command()(command)
    app.command("clean-data")(clean_data)


def up(
    foreground: Annotated[bool, typer.Option(help="Stay in front; Ctrl-C stops everything.")] = False,
) -> None:
    """Starts the platform and returns when it is healthy; changes nothing on one that runs."""
    from marketstream.launch import actions

    actions.up(foreground=foreground)


def down() -> None:
    """Stops the platform; the data stays."""
    from marketstream.launch import actions

    actions.down()


def status(as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False) -> None:
    """Tells how every service is, asked now; exit code 1 unless all are well."""
    from marketstream.launch import actions

    actions.status(as_json=as_json)


def logs(
    service: Annotated[str | None, typer.Argument(help="One service; all without it.")] = None,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on as they come.")] = False,
    lines: Annotated[int, typer.Option("-n", "--lines", min=0, help="How many of each.")] = 20,
) -> None:
    """Shows what the services say."""
    from marketstream.launch import actions

    actions.logs(service, follow=follow, lines=lines)


def clean_data(yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False) -> None:
    """Removes all data, logs and passwords; refuses while the platform runs."""
    from marketstream.launch import actions

    actions.clean_data(yes=yes)
