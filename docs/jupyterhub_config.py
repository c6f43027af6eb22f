"""JupyterHub for a class that is graded with posttrain-lab: `jupyterhub -f jupyterhub_config.py`. docs/jupyterhub.md explains each part.

Students fetch and submit through nbgrader's exchange in their own servers. Graders share one server, the service `posttrain_lab`, which
runs as one account on the course's folder: formgrader is there, and a terminal for `posttrain-lab collect` and `grade`.
"""

import os
import sys
from pathlib import Path

c = get_config()  # noqa: F821  (JupyterHub defines get_config while it reads this file)

COURSE = "posttrain_lab"  # c.CourseDirectory.course_id in the course's nbgrader_config.py
FOLDER = Path(os.environ.get("POSTTRAIN_LAB_COURSE", "/srv/posttrain-lab"))  # with nbgrader_config.py, solutions/ and submitted/
PORT = int(os.environ.get("POSTTRAIN_LAB_FORMGRADER_PORT", "9999"))
ACCOUNT = os.environ.get("POSTTRAIN_LAB_ACCOUNT", "grader")  # owns FOLDER; empty: the user that runs the hub
GRADERS = os.environ.get("POSTTRAIN_LAB_GRADERS", "teacher").split()

# Who: everybody whom the authenticator lets in is a student; graders are in a group that opens the shared server.
c.Authenticator.allow_all = True
c.Authenticator.admin_users = set()
c.JupyterHub.load_groups = {f"formgrade-{COURSE}": {"users": GRADERS}}
c.JupyterHub.load_roles = [
    {"name": f"formgrade-{COURSE}", "groups": [f"formgrade-{COURSE}"], "scopes": [f"access:services!service={COURSE}"]},
]

# The graders' server.
c.JupyterHub.services = [
    {
        "name": COURSE,
        "url": f"http://127.0.0.1:{PORT}",
        "command": [sys.executable, "-m", "jupyterhub.singleuser"],
        "cwd": str(FOLDER),
        "environment": {"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1"},
        "oauth_no_confirm": True,
        **({"user": ACCOUNT} if ACCOUNT else {}),
    }
]

# A student's server. Docker, Kubernetes and systemd enforce the limits; a spawner of plain processes only tells the server of them.
c.Spawner.default_url = "/lab"
c.Spawner.environment = {"OMP_NUM_THREADS": "1"}  # libraries else start a thread for each core of the whole machine
c.Spawner.mem_limit = "2G"
c.Spawner.cpu_limit = 1.0
c.Spawner.start_timeout = c.Spawner.http_timeout = 120  # seconds; many start at once when a class begins
