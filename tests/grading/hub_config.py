"""docs/jupyterhub_config.py with what a test's machine has: no accounts, no passwords, free ports, a folder for everything.

The hub reads this file; HUB_TEST is that folder, HUB_PORTS the ports. Every student is `jovyan` to their own server, as in a container.
"""

import os
import sys
from pathlib import Path

if "get_config" in globals():  # pytest imports this file to look for doctests
    c = get_config()  # noqa: F821
    HERE, FOLDER = Path(__file__).resolve().parent, Path(os.environ["HUB_TEST"])
    load_subconfig(str(HERE.parents[1] / "docs" / "jupyterhub_config.py"))  # noqa: F821
    public, hub, proxy = os.environ["HUB_PORTS"].split()
    c.JupyterHub.authenticator_class = "dummy"
    c.JupyterHub.spawner_class = "simple"
    c.SimpleLocalProcessSpawner.home_dir_template = str(FOLDER / "home" / "{username}")
    c.Spawner.cmd = [sys.executable, str(HERE / "as_jovyan.py")]
    c.Spawner.env_keep = ["PATH", "PYTHONPATH", "LANG", "JUPYTER_CONFIG_PATH", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR"]
    c.JupyterHub.bind_url = f"http://127.0.0.1:{public}"
    c.JupyterHub.hub_port = int(hub)
    c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{proxy}"
    c.JupyterHub.db_url = f"sqlite:///{FOLDER / 'jupyterhub.sqlite'}"
    c.JupyterHub.cookie_secret_file = str(FOLDER / "cookie_secret")
    c.ConfigurableHTTPProxy.pid_file = str(FOLDER / "proxy.pid")
    if os.geteuid() == 0:
        c.Spawner.args = ["--allow-root"]
        c.JupyterHub.services[0]["command"].append("--allow-root")
    kept = {name: os.environ[name] for name in ("PYTHONPATH", "JUPYTER_CONFIG_PATH", "JUPYTER_CONFIG_DIR") if name in os.environ}
    c.JupyterHub.services[0]["environment"].update(kept, HOME=str(FOLDER / "home" / "grader"))
    c.Spawner.start_timeout = c.Spawner.http_timeout = 600
