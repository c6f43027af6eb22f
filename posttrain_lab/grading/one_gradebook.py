"""nbgrader opens its gradebook anew for every step, about twenty times for a submission, and looks for all tables each time.

While a class is graded, the tables are looked for once, and one engine keeps the SQL that it has compiled. The file itself is still opened
for each step, so a gradebook that is taken away in the middle is noticed, and is not written to where nobody will find it.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

from alembic.script import ScriptDirectory
from nbgrader import api
from nbgrader.api import Gradebook
from nbgrader.dbutil import ALEMBIC_DIR
from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import scoped_session, sessionmaker
from sqlalchemy.pool import NullPool


@contextlib.contextmanager
def one_gradebook() -> Iterator[None]:
    """Within the block, every `Gradebook` of one address and course works with the same engine.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, one_gradebook():
    ...     first, second = (Gradebook(f"sqlite:///{folder}/gradebook.db") for _ in range(2))
    ...     first.engine is second.engine
    True
    """
    engines: dict[tuple[str, str], Engine] = {}
    opened, closed, newest = Gradebook.__init__, Gradebook.close, api.get_alembic_version

    def open_again(self: Any, db_url: str, course_id: str = "default_course", authenticator: Any = None) -> None:
        key = (db_url, course_id)
        if key not in engines:
            opened(self, db_url, course_id, authenticator)  # which makes what is missing
            closed(self)
            engines[key] = _engine(db_url)
        self.engine, self.course_id, self.authenticator = engines[key], course_id, authenticator
        self.db = scoped_session(sessionmaker(autoflush=True, bind=self.engine, future=True))

    def end_session(self: Any) -> None:
        self.db.remove()

    Gradebook.__init__, Gradebook.close = open_again, end_session  # type: ignore[method-assign]
    api.get_alembic_version = _version
    try:
        yield
    finally:
        Gradebook.__init__, Gradebook.close = opened, closed  # type: ignore[method-assign]
        api.get_alembic_version = newest
        for engine in engines.values():
            engine.dispose()


def _engine(address: str) -> Engine:
    return create_engine(address, future=True, **({"poolclass": NullPool} if address.startswith("sqlite") else {}))


def _version() -> str:
    """The number of nbgrader's last change of its tables. (nbgrader asks the program `alembic`, wherever the PATH has one.)"""
    return str(ScriptDirectory(ALEMBIC_DIR).get_current_head())
