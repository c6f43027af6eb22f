"""Many short processes for the price of one start: a process imports what is needed once, and each script runs in a fork of it."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

SERVER = """
import json, os, sys, traceback
{setup}
for line in sys.stdin:
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        print(json.dumps(status), flush=True)
        continue
    try:
        exec(json.loads(line), {{}})
        sys.stdout.flush()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
"""


class Forks:
    """What `forks` gives: `run(script)` is what a script prints, in a process that ends with it."""

    def __init__(self, server: subprocess.Popen):
        self.server = server

    def run(self, script: str) -> list[str]:
        """The lines that the script prints. Raises RuntimeError when it fails; what it complained of is on standard error."""
        assert self.server.stdin
        assert self.server.stdout
        print(json.dumps(script), file=self.server.stdin, flush=True)
        lines = []
        while (line := self.server.stdout.readline()) and not line.strip().isdigit():
            lines.append(line.strip())
        if line.strip() != "0":
            raise RuntimeError(f"the script ended with {line.strip() or 'its server'}; it printed {lines}")
        return lines


@contextmanager
def forks(setup: str, environment: Mapping[str, str]) -> Iterator[Forks]:
    """Starts the server, which runs `setup` (imports, and no threads: a fork has only the thread that asked for it)."""
    command = [sys.executable, "-c", SERVER.format(setup=setup)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, env=dict(environment), **pipes) as server:
        try:
            yield Forks(server)
        finally:
            server.kill()
