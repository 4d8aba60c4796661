"""The database: tables, address, availability."""

import stat
from pathlib import Path

import alembic.autogenerate
import alembic.migration
import pytest
from sqlalchemy.exc import SQLAlchemyError

from mien.errors import SettingError
from mien.web.config import WebConfig
from mien.web.store import sessions, tables
from mien.web.store.database import Database, database_url


def test_migrations_match_the_tables(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'x.sqlite'}")
    with database.begin() as connection:
        context = alembic.migration.MigrationContext.configure(
            connection, opts={"compare_type": True}
        )
        assert alembic.autogenerate.compare_metadata(context, tables.metadata) == []
        assert context.get_current_revision() is not None
    Database(database.url).upgrade()


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


def test_failed_transaction_is_rolled_back(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'x.sqlite'}")
    kept = sessions.start_recording(database, "", name="", days=1)

    def delete_and_fail() -> None:
        with database.begin() as connection:
            connection.execute(tables.sessions.delete())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        delete_and_fail()
    assert sessions.find_session(database, kept.session_id, "") is not None
