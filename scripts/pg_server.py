"""A PostgreSQL server of a script's own, on a Unix socket in a folder that goes with it."""
import contextlib
import glob
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path


class Server:
    """`folder` is its host; user and database are `postgres`, and everybody is let in."""

    def __init__(self, folder, programs):
        self.folder, self.programs = folder, programs
        # The server refuses to run as root.
        self.user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []

    def run(self, program, *words, stdout=subprocess.PIPE, **more):
        command = [*self.user, self.programs / program, *words]
        done = subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, text=True, cwd=self.folder, **more)
        if done.returncode:
            raise RuntimeError(done.stderr.strip() or done.stdout.strip())
        return done.stdout

    def psql(self, *words, options=""):
        """The lines that psql prints, a row each where no value has line breaks."""
        flags = ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", self.folder, "-U", "postgres", "-d", "postgres"]
        return self.run("psql", *flags, *words, env={**os.environ, "PGOPTIONS": options}).splitlines()

    def version(self):
        return self.psql("-c", "SHOW server_version")[0].split()[0]


@contextlib.contextmanager
def server():
    """Runs one; None where PostgreSQL is not installed."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb")) or [shutil.which("initdb")]
    if not found[-1]:
        yield None
        return
    # Whoever ends the script ends its server too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="pg-") as folder:
        one = Server(folder, Path(found[-1]).resolve().parent)
        if one.user:
            shutil.chown(folder, "postgres")
        control = ["-D", f"{folder}/data", "-w"]
        one.run("initdb", "-D", f"{folder}/data", "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale", "C")
        # Not through a pipe: the server would hold it open.
        with open(os.devnull, "w") as nowhere:
            options = f"-k {folder} -c listen_addresses='' -c fsync=off -c autovacuum=off"
            subprocess.run([*one.user, one.programs / "pg_ctl", *control, "-l", f"{folder}/log", "-o", options, "start"], check=True,
                           cwd=folder, stdout=nowhere)
        try:
            yield one
        finally:
            one.run("pg_ctl", *control, "-m", "immediate", "stop")
