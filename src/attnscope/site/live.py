"""Serve the site with a kernel behind it, on this machine alone: a Jupyter server that also has the pages."""

import json
from pathlib import Path
from typing import Any

from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.serverapp import ServerApp
from jupyter_server.utils import url_path_join
from tornado.web import HTTPError, StaticFileHandler, authenticated

PAGES = "lesson"  # where the pages are: http://127.0.0.1:8888/lesson/


class Page(JupyterHandler, StaticFileHandler):
    """A file of the site, for a browser that has the token."""

    @property
    def content_security_policy(self) -> str:
        """Nothing from elsewhere: the pages are programs that reach the kernel."""
        return "default-src 'self' 'unsafe-inline' data:; frame-ancestors 'self'"

    @authenticated
    async def get(self, path: str, include_body: bool = True) -> None:
        await StaticFileHandler.get(self, path, include_body)


class Server(JupyterHandler):
    """What the pages' program needs to reach the kernel."""

    @authenticated
    def get(self) -> None:
        if not self.check_referer():
            raise HTTPError(403)
        self.set_header("Content-Type", "application/json")
        self.set_header("Cache-Control", "no-store")
        self.finish(json.dumps({"token": self.identity_provider.token, "base": self.base_url}))


class LiveServer(ServerApp):
    """A Jupyter server with the site's pages beside its interfaces."""

    site: Path
    first: str

    def init_webapp(self) -> None:
        super().init_webapp()
        base = url_path_join(self.base_url, PAGES)
        self.web_app.add_handlers(
            ".*$",
            [
                (url_path_join(base, "_static/server.json"), Server),
                (url_path_join(base, "(.*)"), Page, {"path": str(self.site)}),
            ],
        )

    def start_ioloop(self) -> None:
        print(f"\n    {self.address}\n\nCtrl-C ends it.", flush=True)
        super().start_ioloop()

    @property
    def address(self) -> str:
        """The first page, with the token."""
        path = url_path_join(self.base_url, PAGES, self.first)
        return f"http://127.0.0.1:{self.port}{path}?token={self.identity_provider.token}"


def serve(site: Path, folder: Path, *, first: str, port: int | None, browser: bool) -> None:
    """Serve until Ctrl-C. The notebooks are those in `folder`; `first` is the page to open."""
    server: Any = LiveServer.instance()
    server.site, server.first = site.resolve(), first
    options: dict[str, Any] = {
        "ip": "127.0.0.1",
        "root_dir": str(folder.resolve()),
        "default_url": f"/{PAGES}/{first}",
        "open_browser": browser,
        "log_level": "WARN",
        "answer_yes": True,
        "allow_root": True,  # containers: the server listens on this machine alone, with a token
        **({} if port is None else {"port": port, "port_retries": 0}),
    }
    for name, value in options.items():
        setattr(server, name, value)
    server.initialize(argv=[], find_extensions=False)
    server.start()
