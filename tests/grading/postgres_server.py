"""A PostgreSQL server of its own, on a socket in a folder of its own: no port, no password, gone with its context.

apt's `postgresql` has the programs. PostgreSQL does not run as root: root starts it as the user `postgres`, which apt made.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DATABASE = "gradebook"
START = 120.0  # seconds


def programs() -> Path | None:
    """The folder with PostgreSQL's programs; Debian keeps them off the PATH."""
    found = shutil.which("initdb")
    places = [Path(found).resolve().parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return next((place for place in reversed(places) if (place / "initdb").is_file()), None)


@contextlib.contextmanager
def postgres_server() -> Iterator[str]:
    """The address of an empty database, as c.CourseDirectory.db_url wants it."""
    places = programs()
    assert places is not None
    with tempfile.TemporaryDirectory(
        prefix="postgres-"
    ) as name:  # a socket's path is short, and root's tmp_path is closed to others
        folder = Path(name)
        user: dict[str, Any] = {}
        if os.geteuid() == 0:
            import pwd

            owner = pwd.getpwnam("postgres")
            os.chown(folder, owner.pw_uid, owner.pw_gid)
            user = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
        made = [places / "initdb", "-D", folder / "data", "-U", "teacher", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        subprocess.run(made, check=True, cwd=folder, capture_output=True, **user)
        settings = {"unix_socket_directories": name, "listen_addresses": "", "fsync": "off", "max_connections": "30"}
        command = [places / "postgres", "-D", folder / "data", *(f"--{key}={value}" for key, value in settings.items())]
        with (folder / "log").open("w") as log, subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, **user) as server:
            try:
                _wait_until_ready(places, folder, server)
                subprocess.run([places / "createdb", "-h", name, "-U", "teacher", DATABASE], check=True, cwd=folder)
                yield f"postgresql+psycopg://teacher@/{DATABASE}?host={name}"
            finally:
                server.send_signal(signal.SIGINT)  # ends the connections too
                server.wait(60)


def _wait_until_ready(places: Path, folder: Path, server: subprocess.Popen) -> None:
    for _ in range(int(START / 0.1)):
        asked = subprocess.run([places / "pg_isready", "-q", "-h", folder], check=False, cwd=folder)
        if asked.returncode == 0:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(0.1)
            break
    raise AssertionError("PostgreSQL did not start:\n" + (folder / "log").read_text())
