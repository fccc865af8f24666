"""`marketstream dead-letters`: what was refused, and putting it back after a fix."""

from typing import Annotated, Any

import orjson
import typer
from rich.console import Console

from marketstream import bootstrap
from marketstream.clock import SystemClock
from marketstream.commands import letter_views
from marketstream.commands.times import TIME_HELP, parse_time
from marketstream.contracts.dead_letters import DeadLetterDesk, LetterFilter, LetterId
from marketstream.domain.outcomes import Reason
from marketstream.observability.logs import configure_logs
from marketstream.settings import load_settings

app = typer.Typer(no_args_is_help=True, help="What was refused: look at it, and put it back after a fix.")

ReasonOption = Annotated[Reason | None, typer.Option("--reason", "-r", help="Refused for this.")]
ProviderOption = Annotated[str | None, typer.Option("--provider", "-p", help="Of this provider, or this writer.")]
SymbolOption = Annotated[str | None, typer.Option("--symbol", "-s", help="Of this symbol.")]
SinceOption = Annotated[str | None, typer.Option("--since", help=f"Refused since: {TIME_HELP}")]
JsonOption = Annotated[bool, typer.Option("--json", help="For programs.")]


@app.command("list")
def list_letters(
    reason: ReasonOption = None,
    provider: ProviderOption = None,
    symbol: SymbolOption = None,
    since: SinceOption = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="The newest so many.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """Lists dead letters, the newest first."""
    letters = _desk().letters(_filter(reason, provider, symbol, since), limit)
    if as_json:
        _print_json(letters)
    else:
        letter_views.print_letters(letters)


@app.command()
def groups(
    reason: ReasonOption = None,
    provider: ProviderOption = None,
    symbol: SymbolOption = None,
    since: SinceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Counts dead letters by reason and provider."""
    counted = _desk().groups(_filter(reason, provider, symbol, since))
    if as_json:
        _print_json(counted)
    else:
        letter_views.print_groups(counted)


@app.command()
def show(
    letter_id: Annotated[str, typer.Argument(metavar="ID", help="partition:offset, as the list shows it.")],
    as_json: JsonOption = False,
) -> None:
    """Shows one dead letter with its bytes."""
    letter = _desk().letter(_id(letter_id))
    if letter is None:
        Console(stderr=True).print(f"[bold red]error[/] there is no dead letter {letter_id}, or none any more")
        raise typer.Exit(1)
    if as_json:
        _print_json(letter)
    else:
        letter_views.print_letter(letter)


@app.command()
def reinject(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="These; or name a filter.")] = None,
    reason: ReasonOption = None,
    provider: ProviderOption = None,
    symbol: SymbolOption = None,
    since: SinceOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would happen.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Reads dead letters with today's adapters and publishes what passes, each trade exactly once.

    Lateness is waived. Exit code 1 where a letter is still refused.
    """
    wanted = _filter(reason, provider, symbol, since)
    if bool(ids) == (wanted != LetterFilter()):
        raise typer.BadParameter("name ids, or a filter such as --reason late, and not both")
    result = _desk().reinject([_id(each) for each in ids] if ids else wanted, dry_run=dry_run)
    if as_json:
        _print_json(result)
    else:
        letter_views.print_reinjection(result)
    if result.count("refused"):
        raise typer.Exit(1)


def _desk() -> DeadLetterDesk:
    settings = load_settings()
    configure_logs(settings.log_level, settings.log_format)
    return bootstrap.build_dead_letter_desk(settings)


def _filter(reason: Reason | None, provider: str | None, symbol: str | None, since: str | None) -> LetterFilter:
    return LetterFilter(
        reason=reason,
        provider=provider,
        symbol=symbol.upper() if symbol else None,
        since_us=parse_time(since, SystemClock().now_us) if since else None,
    )


def _id(text: str) -> LetterId:
    try:
        return LetterId.parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _print_json(value: Any) -> None:
    typer.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2))


def register(root: typer.Typer) -> None:
    """Adds the commands."""
    root.add_typer(app, name="dead-letters")
