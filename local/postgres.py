"""The private PostgreSQL: its files, how it is started, the database in it."""

import os
import pwd
import re
import secrets
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import psycopg
from psycopg import sql

from local.failure import StackError
from local.layout import Layout
from local.programs import Program, Stage

DATABASE = "chat"
USER = "chat"
LOCALE = "C.UTF-8"
"""By which search knows letters, in either case; production's and compose.yaml's is the same."""

# What PostgreSQL runs as where root starts the stack: it refuses to be root.
UNPRIVILEGED_USER = "postgres"


def database_url(layout: Layout, port: int, database: str = DATABASE) -> str:
    """The URL of a database on the private server."""
    password = layout.postgres_password.read_text().strip()
    return f"postgresql://{USER}:{password}@127.0.0.1:{port}/{database}"


def prepare(layout: Layout) -> None:
    """Make the server's files, once."""
    if not layout.postgres_password.exists():
        layout.postgres_password.touch(mode=0o600)
        layout.postgres_password.write_text(secrets.token_hex(16) + "\n")
    data = layout.postgres
    if (data / "PG_VERSION").exists():
        return
    # initdb removes what it made when it fails, but not when it is killed.
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir(mode=0o700)
    password_file = layout.postgres_password
    if os.getuid() == 0:
        owner = _unprivileged()
        for path in (data, password_file):
            os.chown(path, owner.pw_uid, owner.pw_gid)
    log = layout.log("initdb")
    command = [
        *("setpriv", *_privileges(layout), "--", str(_binaries(data) / "initdb")),
        *("--pgdata", str(data), "--username", USER, "--pwfile", str(password_file)),
        *("--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", LOCALE),
    ]
    with log.open("w") as output:
        result = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False, cwd="/"
        )
    if result.returncode != 0:
        end = "\n".join(f"    {line}" for line in log.read_text().splitlines()[-8:])
        raise StackError(f"PostgreSQL's initdb failed:\n{end}\nIts log: {log}")


def program(layout: Layout, port: int) -> Program:
    """The server, with PostgreSQL's defaults but for where it listens and what it logs.

    fsync stays on.
    """
    options = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        # Everybody here uses TCP, and a deep clone's path would be too long for a socket.
        "unix_socket_directories": "",
        "max_connections": "200",
        # A statement's values are what users write, and so is a row that an error shows: neither
        # is logged, also where somebody has slow statements logged.
        "log_parameter_max_length": "0",
        "log_parameter_max_length_on_error": "0",
        "log_error_verbosity": "terse",
    }
    settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    server = _binaries(layout.postgres) / "postgres"
    return Program(
        name="postgres",
        stage=Stage.SERVERS,
        command=(str(server), "-D", str(layout.postgres), *settings),
        # Readable for whichever user the server runs as.
        folder=Path("/"),
        environment={"LANG": "C.UTF-8", "STACK_FOLDER": str(layout.folder)},
        bare=True,
        privileges=_privileges(layout),
        # A fast shutdown: TERM would wait until every client has left.
        stop_signal="INT",
        death_signal="INT",
        stop_seconds=60,
    )


def create_database(layout: Layout, port: int, *, fresh: bool) -> None:
    """Create the database unless it is there; `fresh` drops it first."""
    name = sql.Identifier(DATABASE)
    with psycopg.connect(database_url(layout, port, "postgres"), autocommit=True) as connection:
        if fresh:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
        query = "SELECT 1 FROM pg_database WHERE datname = %s"
        if connection.execute(query, (DATABASE,)).fetchone() is None:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(name))


def create_logins(layout: Layout, port: int, passwords: Mapping[str, str]) -> None:
    """Let these users in; `python -m migrations` says what they may do."""
    with psycopg.connect(database_url(layout, port, "postgres"), autocommit=True) as connection:
        for login, password in passwords.items():
            name, word = sql.Identifier(login), sql.Literal(password)
            query = "SELECT 1 FROM pg_roles WHERE rolname = %s"
            if connection.execute(query, (login,)).fetchone() is None:
                connection.execute(sql.SQL("CREATE ROLE {}").format(name))
            connection.execute(sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(name, word))


def answers(layout: Layout, port: int) -> bool:
    """Whether the server lets us in and answers a query."""
    url = database_url(layout, port, "postgres")
    try:
        with psycopg.connect(url, connect_timeout=2) as connection:
            connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


def _binaries(data: Path) -> Path:
    """The folder of PostgreSQL's programs: of the version that made `data`, else the newest."""
    found = {
        int(folder.parent.name): folder
        for folder in Path("/usr/lib/postgresql").glob("*/bin")
        if folder.parent.name.isdecimal() and (folder / "initdb").exists()
    }
    elsewhere = shutil.which("initdb")
    if elsewhere and not found:
        folder = Path(elsewhere).resolve().parent
        printed = subprocess.run(
            [folder / "postgres", "--version"], capture_output=True, text=True, check=True
        ).stdout
        version = re.search(r"\d+", printed)
        found[int(version[0]) if version else 0] = folder
    if not found:
        raise StackError("PostgreSQL is not installed; local/bootstrap installs it.")
    try:
        made_by = int((data / "PG_VERSION").read_text())
    except FileNotFoundError:
        return found[max(found)]
    if made_by not in found:
        raise StackError(
            f"The data in {data} was made by PostgreSQL {made_by}, but only "
            f"{', '.join(map(str, sorted(found)))} is installed here.\n"
            f"Install postgresql-{made_by}, or delete that folder to begin with an empty database."
        )
    return found[made_by]


def _unprivileged() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(UNPRIVILEGED_USER)
    except KeyError:
        raise StackError(
            f"PostgreSQL does not run as root, and the user {UNPRIVILEGED_USER} that it would run "
            "as does not exist here. Run this as an ordinary user."
        ) from None


def _privileges(layout: Layout) -> Sequence[str]:
    """Options of setpriv for the server's user.

    A clone of root's often lies where other users cannot look (/root, mktemp -d). There the server
    gets the one capability that lets it pass, rather than anything being opened up for all.
    """
    if os.getuid() != 0:
        return ()
    _unprivileged()
    user = (f"--reuid={UNPRIVILEGED_USER}", f"--regid={UNPRIVILEGED_USER}", "--init-groups")
    can_pass = subprocess.run(
        ["setpriv", *user, "--", "test", "-x", str(layout.folder)], check=False, cwd="/"
    )
    if can_pass.returncode == 0:
        return user
    return (*user, "--inh-caps=+dac_override", "--ambient-caps=+dac_override")
