"""Secrets and logs on disk."""

import stat
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest

from marketstream.launch.logfiles import bound, follow, open_log, tail
from marketstream.launch.secrets import ADMIN_FILE, admin_secret, ensure_secrets, write_private
from marketstream.settings import SECRETS_FILE, load_settings


def test_secrets_are_made_once_private_and_read_by_the_settings(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    ensure_secrets(data_dir)
    before = (data_dir / SECRETS_FILE).read_text()
    ensure_secrets(data_dir)
    assert (data_dir / SECRETS_FILE).read_text() == before
    settings = load_settings(data_dir=data_dir)
    passwords = [
        settings.postgres.owner_password,
        settings.postgres.writer_password,
        settings.postgres.reader_password,
        settings.postgres.access_password,
        settings.access.pepper,
        settings.redis.password,
        settings.influx.token,
    ]
    assert len({password.get_secret_value() for password in passwords}) == len(passwords)
    assert min(len(password.get_secret_value()) for password in passwords) >= 24
    for name in (SECRETS_FILE, ADMIN_FILE):
        assert stat.S_IMODE((data_dir / name).stat().st_mode) == 0o600
    assert stat.S_IMODE(data_dir.stat().st_mode) == 0o700


def test_a_secret_that_exists_is_kept(tmp_path: Path) -> None:
    (tmp_path / SECRETS_FILE).write_text("MARKETSTREAM_REDIS__PASSWORD=mine\n")
    ensure_secrets(tmp_path)
    settings = load_settings(data_dir=tmp_path)
    assert settings.redis.password.get_secret_value() == "mine"
    assert settings.influx.token.get_secret_value()


def test_admin_secrets_stay_the_same(tmp_path: Path) -> None:
    first = admin_secret(tmp_path, "POSTGRES_SUPERUSER_PASSWORD")
    assert admin_secret(tmp_path, "POSTGRES_SUPERUSER_PASSWORD") == first
    assert admin_secret(tmp_path, "INFLUXDB_ADMIN_PASSWORD") != first


def test_private_files_are_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    write_private(path, "one")
    write_private(path, "two")
    assert path.read_text() == "two"
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]


def test_a_log_past_its_limit_moves_aside_and_its_writer_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "service.log"
    with open_log(path) as log:
        subprocess.run([sys.executable, "-c", "print('x' * 100)"], stdout=log, check=True)
        bound(path, limit_bytes=50)
        assert path.read_text() == ""
        subprocess.run([sys.executable, "-c", "print('after')"], stdout=log, check=True)
    assert path.read_text() == "after\n"
    assert (tmp_path / "service.log.1").read_text() == "x" * 100 + "\n"


def test_a_log_within_its_limit_stays(tmp_path: Path) -> None:
    path = tmp_path / "service.log"
    path.write_text("short\n")
    bound(path, limit_bytes=50)
    assert path.read_text() == "short\n"


@pytest.mark.parametrize(("lines", "expected"), [(0, []), (1, ["c"]), (2, ["b", "c"]), (9, ["a", "b", "c"])])
def test_tail(tmp_path: Path, lines: int, expected: list[str]) -> None:
    path = tmp_path / "log"
    path.write_text("a\nb\nc\n")
    assert tail(path, lines) == expected


def test_tail_of_nothing(tmp_path: Path) -> None:
    assert tail(tmp_path / "none", 5) == []


def test_tail_reads_the_end_of_a_large_log(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("".join(f"line {number}\n" for number in range(100_000)))
    assert tail(path, 2) == ["line 99998", "line 99999"]


def test_following_shows_new_whole_lines_and_survives_truncation(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("a long line from before\n")
    lines = follow([path])
    with path.open("a") as log:
        log.write("one\ntwo\nhal")
    assert [line for _, line in islice(lines, 1)] == ["one"]
    assert next(lines) == (path, "two")
    path.write_text("anew\n")
    assert next(lines) == (path, "anew")
