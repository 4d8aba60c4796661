"""The database: tables, address, availability."""

import stat
from pathlib import Path

import alembic.autogenerate
import alembic.migration
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from mien.errors import SettingError
from mien.web.config import WebConfig
from mien.web.store import database as tables
from mien.web.store.database import Database, database_url, one_line
from mien.web.store.sessions import SessionStore


def test_migrations_match_the_tables(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'x.sqlite'}")
    with database.begin() as connection:
        context = alembic.migration.MigrationContext.configure(
            connection, opts={"compare_type": True}
        )
        assert alembic.autogenerate.compare_metadata(context, tables.metadata) == []
        assert context.get_current_revision() is not None
    Database(database.url).upgrade()


def test_sizes_of_earlier_sessions_are_counted(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'x.sqlite'}")
    kept = [SessionStore(database).start("", name="", days=1).session_id for _ in range(2)]
    with database.begin() as connection:
        for sequence, size in enumerate((30, 12)):
            connection.execute(
                sa.insert(tables.session_chunks).values(
                    session_id=kept[0], sequence=sequence, data=bytes(size)
                )
            )
        # As the migration before the column left the table.
        connection.execute(sa.text("ALTER TABLE sessions DROP COLUMN size"))
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '0006'"))
    again = Database(database.url)
    found = again.rows(sa.select(tables.sessions.c.id, tables.sessions.c.size))
    assert {row["id"]: row["size"] for row in found} == {kept[0]: 42, kept[1]: 0}
    with again.begin() as connection:
        assert tables.stored_bytes(connection) == 42


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_accepts_all_postgresql_schemes(scheme: str, tmp_path: Path) -> None:
    given = f"{scheme}://user:p%40ss@db.example:5432/mien?sslmode=require"
    config = WebConfig(database_url=given, data_dir=tmp_path)
    wanted = "postgresql+psycopg://user:p%40ss@db.example:5432/mien?sslmode=require"
    assert database_url(config) == wanted


def test_default_database_is_private_in_the_data_folder(tmp_path: Path) -> None:
    url = database_url(WebConfig(data_dir=tmp_path / "deep" / "down"))
    Database(url).upgrade()
    folder = tmp_path / "deep" / "down"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes["mien.sqlite"] == 0o600
    assert set(modes.values()) == {0o600}


def test_existing_data_folder_becomes_private(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o755)
    for name in ("mien.sqlite", "mien.sqlite-wal", "secret_key", "models"):
        (folder / name).touch(mode=0o644)
    (folder / "mien.sqlite-shm").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").touch(mode=0o644)
    WebConfig(data_dir=folder).ready_data_dir()
    modes = {path.name: stat.S_IMODE(path.lstat().st_mode) for path in folder.iterdir()}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {modes[name] for name in ("mien.sqlite", "mien.sqlite-wal", "secret_key")} == {0o600}
    assert modes["models"] == 0o644
    assert stat.S_IMODE((tmp_path / "elsewhere").stat().st_mode) == 0o644


@pytest.mark.parametrize("kind", ["sticky", "home"])
def test_shared_folder_keeps_its_mode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    tmp_path.chmod(0o1777 if kind == "sticky" else 0o755)
    if kind == "home":
        monkeypatch.setenv("HOME", str(tmp_path))
    before = tmp_path.stat().st_mode
    WebConfig(data_dir=tmp_path).ready_data_dir()
    assert tmp_path.stat().st_mode == before


def test_existing_database_becomes_private(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    path.touch(mode=0o644)
    Database(f"sqlite:///{path}").upgrade()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("url", ["mysql://host/name", "not an address"])
def test_rejects_other_databases(url: str, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="DATABASE_URL"):
        database_url(WebConfig(database_url=url, data_dir=tmp_path))


def test_uses_a_database_once_it_is_available(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'not there yet' / 'x.sqlite'}")
    assert database.problem() == "the database is unreachable"
    with pytest.raises(SQLAlchemyError), database.begin():
        pass
    (tmp_path / "not there yet").mkdir()
    assert database.problem() is None


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (" a\nb\0c ", "a b c"),
        ("\ud800x\x1b[31m", "x [31m"),
        ("a\u202e4pm.exe", "a 4pm.exe"),
        ("\U0001f468\u200d\U0001f469 é 疲", "\U0001f468\u200d\U0001f469 é 疲"),
        ("\0\u202e", ""),
        ("x" * 300, "x" * 120),
    ],
)
def test_names_are_one_printable_line(text: str, name: str) -> None:
    assert one_line(text, 120) == name


def test_failed_transaction_is_rolled_back(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'x.sqlite'}")
    kept = SessionStore(database).start("", name="", days=1)

    def delete_and_fail() -> None:
        with database.begin() as connection:
            connection.execute(tables.sessions.delete())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        delete_and_fail()
    assert SessionStore(database).find(kept.session_id, "") is not None
