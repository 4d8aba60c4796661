"""The database: its tables, its address, its readiness."""

from pathlib import Path

import alembic.autogenerate
import alembic.migration
import pytest
from sqlalchemy.exc import SQLAlchemyError

from mien.errors import SettingError
from mien.web.config import WebConfig
from mien.web.store import sessions, tables
from mien.web.store.database import Database, database_url


def test_migrations_lead_to_the_tables_of_the_code(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'x.sqlite'}")
    with database.begin() as connection:
        context = alembic.migration.MigrationContext.configure(
            connection, opts={"compare_type": True}
        )
        assert alembic.autogenerate.compare_metadata(context, tables.metadata) == []
        assert context.get_current_revision() is not None
    Database(database.url).upgrade()


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_all_spellings_of_postgresql_are_understood(scheme: str, tmp_path: Path) -> None:
    given = f"{scheme}://user:p%40ss@db.example:5432/mien?sslmode=require"
    config = WebConfig(database_url=given, data_dir=tmp_path)
    wanted = "postgresql+psycopg://user:p%40ss@db.example:5432/mien?sslmode=require"
    assert database_url(config) == wanted


def test_without_an_address_the_database_lies_in_the_data_folder(tmp_path: Path) -> None:
    url = database_url(WebConfig(data_dir=tmp_path / "deep" / "down"))
    Database(url).upgrade()
    assert (tmp_path / "deep" / "down" / "mien.sqlite").is_file()


@pytest.mark.parametrize("url", ["mysql://host/name", "not an address"])
def test_other_databases_are_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="DATABASE_URL"):
        database_url(WebConfig(database_url=url, data_dir=tmp_path))


def test_a_database_that_is_away_is_used_when_it_comes(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'not there yet' / 'x.sqlite'}")
    assert database.problem() == "the database cannot be reached"
    with pytest.raises(SQLAlchemyError), database.begin():
        pass
    (tmp_path / "not there yet").mkdir()
    assert database.problem() is None


def test_a_transaction_that_breaks_leaves_nothing(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'x.sqlite'}")
    kept = sessions.start_recording(database, "", name="", days=1)

    def delete_and_break() -> None:
        with database.begin() as connection:
            connection.execute(tables.sessions.delete())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        delete_and_break()
    assert sessions.find_session(database, kept.session_id, "") is not None
