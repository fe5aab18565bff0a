"""Serves OHIF and an archive's DICOMweb from one address of this machine: a browser then lets them talk.

    python docs/how-to/ohif.py DIST http://127.0.0.1:8042/dicom-web --port 3000

DIST is the folder `dist` of the npm package @ohif/app. Nothing is fetched from elsewhere. Meant for looking
at results on one's own machine; a hospital puts a web server with a login in its place.
"""

from __future__ import annotations

import argparse
import http.client
import json
import mimetypes
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ROOT = "/dicom-web"
SOURCE = {
    "namespace": "@ohif/extension-default.dataSourcesModule.dicomweb",
    "sourceName": "archive",
    "configuration": {
        "friendlyName": "Archive",
        "name": "archive",
        "wadoUriRoot": ROOT,
        "qidoRoot": ROOT,
        "wadoRoot": ROOT,
        "qidoSupportsIncludeField": False,
        "imageRendering": "wadors",
        "thumbnailRendering": "wadors",
        "enableStudyLazyLoad": True,
        "supportsFuzzyMatching": False,
        "supportsWildcard": True,
        "bulkDataURI": {"enabled": True, "relativeResolution": "studies"},
    },
}
CONFIG = {
    "routerBasename": "/",
    "extensions": [],
    "modes": [],
    "showStudyList": True,
    "dataSources": [SOURCE],
    "defaultDataSourceName": "archive",
}
KEPT = ("content-type", "content-length", "accept")
mimetypes.add_type("text/javascript", ".js")
mimetypes.add_type("application/wasm", ".wasm")


class Handler(SimpleHTTPRequestHandler):
    """Files of OHIF; what begins with /dicom-web goes to the archive."""

    def __init__(self, *args: Any, archive: str, **options: Any) -> None:
        self.archive = urlsplit(archive.rstrip("/"))
        super().__init__(*args, **options)

    def do_GET(self) -> None:
        """A file, the archive's answer, or the page of OHIF for all its own addresses."""
        path = urlsplit(self.path).path
        if path.startswith(ROOT):
            self.pass_on()
        elif path == "/app-config.js":
            self.answer(200, "text/javascript", f"window.config = {json.dumps(CONFIG)};".encode())
        else:
            if not Path(self.translate_path(path)).is_file():
                self.path = "/index.html"
            super().do_GET()

    def do_POST(self) -> None:
        """OHIF stores what was drawn in it."""
        self.pass_on()

    def pass_on(self) -> None:
        """Asks the archive and gives its answer."""
        connection = http.client.HTTPConnection(self.archive.hostname, self.archive.port, timeout=60)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or None
        headers = {name: value for name, value in self.headers.items() if name.lower() in KEPT}
        here = f"http://{self.headers.get('Host')}{ROOT}".encode()
        try:
            connection.request(self.command, self.archive.path + self.path[len(ROOT) :], body, headers)
            answer = connection.getresponse()
            kind, content = answer.getheader("Content-Type", ""), answer.read()
        finally:
            connection.close()
        if "json" in kind:  # addresses of bulk data lead here as well
            content = content.replace(self.archive.geturl().encode(), here)
        self.answer(answer.status, kind, content)

    def answer(self, status: int, kind: str, content: bytes) -> None:
        """Sends an answer."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def end_headers(self) -> None:
        """Lets OHIF use threads that share memory, which it decodes images with."""
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()

    def log_message(self, *args: Any) -> None:
        """Says nothing: addresses name studies."""


def serve(dist: Path, archive: str, port: int) -> ThreadingHTTPServer:
    """The server, not yet running."""
    handler = partial(Handler, directory=str(dist), archive=archive)
    return ThreadingHTTPServer(("127.0.0.1", port), handler)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dist", type=Path)
    parser.add_argument("archive")
    parser.add_argument("--port", type=int, default=3000)
    given = parser.parse_args()
    serve(given.dist, given.archive, given.port).serve_forever()
