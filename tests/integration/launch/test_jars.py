"""Resolving jars with the real Ivy, from a repository made here, so without any network."""

import zipfile
from pathlib import Path

import pytest

from marketstream.domain.errors import LaunchError
from marketstream.launch import jars

POM = """<project><modelVersion>4.0.0</modelVersion>
<groupId>org.example</groupId><artifactId>{name}</artifactId><version>1.0</version></project>"""
IVY = """<ivy-module version="2.0"><info organisation="o" module="m"/>
<configurations><conf name="kafka"/><conf name="spark"/></configurations><dependencies>
<dependency org="org.example" name="broker" rev="1.0" conf="kafka->default"/>
<dependency org="org.example" name="connector" rev="{connector}" conf="spark->default"/>
</dependencies></ivy-module>"""
SETTINGS = """<ivysettings><settings defaultResolver="here"/><resolvers>
<ibiblio name="here" m2compatible="true" root="{root}"/></resolvers></ivysettings>"""


@pytest.fixture
def versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An `ivy.xml` whose two modules are in a repository of files."""
    for name in ("broker", "connector"):
        folder = tmp_path / "repository" / "org" / "example" / name / "1.0"
        folder.mkdir(parents=True)
        (folder / f"{name}-1.0.pom").write_text(POM.format(name=name))
        with zipfile.ZipFile(folder / f"{name}-1.0.jar", "w") as jar:
            jar.writestr("content", name)
    (tmp_path / "ivy.xml").write_text(IVY.format(connector="1.0"))
    (tmp_path / "ivysettings.xml").write_text(SETTINGS.format(root=(tmp_path / "repository").as_uri() + "/"))
    monkeypatch.setattr(jars, "infra", lambda _folder, name: tmp_path / name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "ivy.xml"


@pytest.mark.usefixtures("versions")
def test_each_configuration_gets_its_folder_once() -> None:
    said: list[str] = []
    assert not jars.jars_present(jars.KAFKA)
    jars.ensure_jars(said.append)
    assert [path.name for path in jars.jars_directory(jars.KAFKA).iterdir()] == ["broker-1.0.jar"]
    assert [path.name for path in jars.jars_directory(jars.SPARK).iterdir()] == ["connector-1.0.jar"]
    assert any("1 jars in place" in line for line in said)
    said.clear()
    jars.ensure_jars(said.append)
    assert said == []


def test_a_version_that_does_not_exist_is_named_and_leaves_the_old_in_place(versions: Path) -> None:
    jars.ensure_jars(lambda _line: None)
    versions.write_text(IVY.format(connector="9.9"))
    assert not jars.jars_present(jars.SPARK)
    with pytest.raises(LaunchError, match=r"org\.example#connector;9\.9"):
        jars.ensure_jars(lambda _line: None)
    assert [path.name for path in jars.jars_directory(jars.SPARK).iterdir()] == ["connector-1.0.jar"]
    assert {path.name for path in jars.jars_directory(jars.SPARK).parent.iterdir()} == {"kafka", "spark", ".lock"}
