"""`marketstream keys` and `marketstream audit`: who may use the platform, and who changed what."""

import getpass
import uuid
from datetime import timedelta
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.table import Table

from marketstream import bootstrap
from marketstream.clock import SystemClock
from marketstream.commands.times import TIME_HELP, parse_time, time_text
from marketstream.contracts.access import ApiKey, AuditEntry
from marketstream.domain.errors import ConfigurationError
from marketstream.observability.logs import configure_logs
from marketstream.serving.access.keys import SCOPES, Wish, id_of, make_key, shown
from marketstream.serving.access.principal import Role
from marketstream.settings import Settings, load_settings

app = typer.Typer(no_args_is_help=True, help="API keys: make, list, rotate and revoke them.")

_SECOND_US = 1_000_000
NameArgument = Annotated[str, typer.Argument(help="Whose it is, such as grafana.")]
IdArgument = Annotated[str, typer.Argument(help="As `keys list` shows it, with or without msk_.")]
RoleOption = Annotated[str, typer.Option(help="viewer, trader or admin.")]
ScopeOption = Annotated[
    list[str] | None, typer.Option("--scope", help=f"Only for {', '.join(SCOPES)}; may be given again. All without.")
]
DaysOption = Annotated[float, typer.Option(min=0, help="How long it holds; 0 for ever.")]
JsonOption = Annotated[bool, typer.Option("--json", help="For programs.")]


@app.command()
def create(
    name: NameArgument,
    role: RoleOption = "viewer",
    scope: ScopeOption = None,
    days: DaysOption = 90.0,
    as_json: JsonOption = False,
) -> None:
    """Makes a key and shows it, this once."""
    settings, now_us = _settings(), SystemClock().now_us()
    try:
        wish = Wish(
            name=name,
            role=Role.parse(role),
            scopes=frozenset(scope or ()),
            expires_us=now_us + round(timedelta(days=days).total_seconds() * _SECOND_US) if days else None,
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    key, stored = make_key(wish, _pepper(settings), by=_who(), now_us=now_us)
    entry = _entry("keys.create", stored.key_id, now_us, name=name, role=stored.role)
    bootstrap.build_key_keeper(settings).add(stored, entry)
    _show_key(key, stored, as_json=as_json)


@app.command("list")
def list_keys(
    ended: Annotated[bool, typer.Option("--all", help="Those that have ended, too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Lists the keys, without their secrets."""
    now_us = SystemClock().now_us()
    keys = bootstrap.build_key_keeper(_settings()).all_keys()
    listed = [key for key in keys if ended or _state(key, now_us) == "valid"]
    if as_json:
        typer.echo(orjson.dumps([_as_dict(key, now_us) for key in listed], option=orjson.OPT_INDENT_2).decode())
        return
    table = Table("key", "name", "role", "scopes", "made", "ends", "last used", "state", box=None)
    for key in listed:
        ends = key.revoked_us or key.expires_us
        table.add_row(
            shown(key.key_id),
            key.name,
            key.role,
            ", ".join(sorted(key.scopes)) or "all",
            f"{time_text(key.created_us)[:10]} by {key.created_by}",
            time_text(ends)[:19] if ends else "never",
            time_text(key.last_used_us)[:19] if key.last_used_us else "never",
            _state(key, now_us),
        )
    Console().print(table if listed else "no keys; `marketstream keys create NAME` makes one", highlight=False)


@app.command()
def rotate(
    key_id: IdArgument,
    overlap_hours: Annotated[float, typer.Option(min=0, help="How long the old key still holds.")] = 24.0,
    days: DaysOption = 90.0,
    as_json: JsonOption = False,
) -> None:
    """Makes a key with the name, role and scopes of another, which ends after a while in which both hold."""
    settings, now_us = _settings(), SystemClock().now_us()
    keeper, wanted = bootstrap.build_key_keeper(settings), _plain_id(key_id)
    old = next((key for key in keeper.all_keys() if key.key_id == wanted), None)
    if old is None:
        raise ConfigurationError(f"there is no key {shown(wanted)}: `marketstream keys list` shows them")
    expires_us = now_us + round(days * 86_400 * _SECOND_US) if days else None
    wish = Wish(name=old.name, role=Role.parse(old.role), scopes=old.scopes, expires_us=expires_us)
    key, stored = make_key(wish, _pepper(settings), by=_who(), now_us=now_us)
    entry = _entry("keys.rotate", wanted, now_us, name=old.name, new=stored.key_id)
    if not keeper.replace(wanted, stored, entry, ends_us=now_us + round(overlap_hours * 3_600 * _SECOND_US)):
        raise ConfigurationError(f"{shown(wanted)} has ended: make a new key with `marketstream keys create`")
    _show_key(key, stored, as_json=as_json)


@app.command()
def revoke(key_id: IdArgument) -> None:
    """Takes a key back; every process refuses it within seconds, and sessions that began with it end."""
    settings, wanted = _settings(), _plain_id(key_id)
    entry = _entry("keys.revoke", wanted, SystemClock().now_us())
    if not bootstrap.build_key_keeper(settings).revoke(wanted, entry):
        raise ConfigurationError(f"there is no key {shown(wanted)} that could be revoked")
    Console().print(f"revoked {shown(wanted)}", highlight=False)


def audit(
    since: Annotated[str, typer.Option(help=TIME_HELP)] = "7d",
    who: Annotated[str | None, typer.Option(help="Only this one's, such as key:desk.")] = None,
    action: Annotated[str | None, typer.Option(help="Only actions that begin with this.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 100,
    as_json: JsonOption = False,
) -> None:
    """Shows who changed what, the newest first."""
    since_us = parse_time(since, SystemClock().now_us)
    trail = bootstrap.build_audit_trail(_settings())
    entries = trail.entries(since_us=since_us, who=who, action=action, limit=limit)
    if as_json:
        typer.echo(orjson.dumps(entries, option=orjson.OPT_INDENT_2).decode())
        return
    table = Table("time", "who", "what", "to", "outcome", "from", "request", box=None)
    for entry in entries:
        table.add_row(
            time_text(entry.time_us),
            entry.who,
            entry.action,
            entry.target,
            entry.outcome,
            entry.address,
            entry.request_id,
        )
    Console().print(table if entries else "nothing was changed", highlight=False, markup=False)


def _settings() -> Settings:
    settings = load_settings()
    configure_logs(settings.log_level, settings.log_format)
    return settings


def _pepper(settings: Settings) -> str:
    pepper = settings.access.pepper.get_secret_value()
    if not pepper:
        raise ConfigurationError(
            "MARKETSTREAM_ACCESS__PEPPER is not set: keys are hashed with it. `marketstream up` generates one; "
            "otherwise take what `openssl rand -hex 24` prints"
        )
    return pepper


def _who() -> str:
    return f"cli:{getpass.getuser()}"


def _entry(action: str, key_id: str, now_us: int, **detail: str) -> AuditEntry:
    return AuditEntry(
        entry_id=str(uuid.uuid4()),
        time_us=now_us,
        who=_who(),
        action=action,
        target=shown(key_id),
        outcome="done",
        detail=detail,
    )


def _plain_id(text: str) -> str:
    return id_of(text) or text.removeprefix("msk_").removesuffix("_…").rstrip("_")


def _state(key: ApiKey, now_us: int) -> str:
    if key.revoked_us is not None:
        return "revoked"
    return "expired" if key.expires_us is not None and key.expires_us <= now_us else "valid"


def _as_dict(key: ApiKey, now_us: int) -> dict[str, object]:
    names = ("key_id", "name", "role", "created_us", "created_by", "expires_us", "revoked_us", "last_used_us")
    told = {name: getattr(key, name) for name in names}
    return {**told, "scopes": sorted(key.scopes), "state": _state(key, now_us)}


def _show_key(key: str, stored: ApiKey, *, as_json: bool) -> None:
    if as_json:
        typer.echo(orjson.dumps({"key": key, "key_id": stored.key_id, "expires_us": stored.expires_us}).decode())
        return
    typer.echo(key)
    ends = time_text(stored.expires_us)[:10] if stored.expires_us else "never"
    note = f"{stored.name}, {stored.role}, ends {ends}. Keep it now: it is shown this once and stored nowhere."
    Console(stderr=True).print(note, highlight=False, markup=False, soft_wrap=True)


def register(root: typer.Typer) -> None:
    """Adds the commands."""
    root.add_typer(app, name="keys")
    root.command()(audit)
