"""`marketstream checkpoints`: where the Spark queries stand, what a start would do, and starting them afresh."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from marketstream import bootstrap
from marketstream.commands import checkpoint_views
from marketstream.observability.logs import configure_logs
from marketstream.settings import load_settings

if TYPE_CHECKING:
    from marketstream.streaming.checkpoint_desk import CheckpointDesk

app = typer.Typer(no_args_is_help=True, help="Where the Spark queries stand: look at it, and start them afresh.")

QueryArgument = Annotated[str, typer.Argument(help="Such as bars.")]
JsonOption = Annotated[bool, typer.Option("--json", help="For programs.")]


@app.command("list")
def list_checkpoints(as_json: JsonOption = False) -> None:
    """Lists every query's checkpoint: its age and size, what it was made for, and how far it has got."""
    states = _desk().states()
    if as_json:
        typer.echo(checkpoint_views.states_json(states))
    else:
        checkpoint_views.print_states(states)


@app.command()
def explain(query: QueryArgument, as_json: JsonOption = False) -> None:
    """Tells whether the query's next start would resume its checkpoint or replace it, why, and where it would read."""
    explanation = _desk().explain(query)
    if as_json:
        typer.echo(checkpoint_views.explanation_json(explanation))
    else:
        checkpoint_views.print_explanation(explanation)


@app.command()
def reset(
    query: QueryArgument,
    from_oldest: Annotated[
        bool, typer.Option("--from-oldest", help="Read everything again that the topics have.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Even while it runs.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
) -> None:
    """Throws a query's state and offsets away; its next start reads again from where open bars began.

    Nothing stored is lost: what is made anew is the same, and readers keep what they have over anything less complete.
    """
    console, desk = Console(), _desk()
    start = desk.after_reset(query, from_oldest=from_oldest)
    if not start:
        console.print(f"{query} has no checkpoint: its next start is its first", highlight=False)
        return
    if desk.running(query) and not force:
        Console(stderr=True).print(
            f"[bold red]error[/] {query} runs: stop it first (`marketstream down`), or add --force: it then fails at "
            "its next commit, and its supervisor starts it again",
            highlight=False,
            soft_wrap=True,
        )
        raise typer.Exit(1)
    console.print(f"{query} loses its state and begins afresh, {start}.", highlight=False, soft_wrap=True)
    if not yes:
        typer.confirm("Reset it?", abort=True)
    desk.reset(query, from_oldest=from_oldest, force=force)
    console.print("done", highlight=False)


def _desk() -> "CheckpointDesk":
    settings = load_settings()
    configure_logs(settings.log_level, settings.log_format)
    return bootstrap.build_checkpoint_desk(settings)


def register(root: typer.Typer) -> None:
    """Adds the commands."""
    root.add_typer(app, name="checkpoints")
