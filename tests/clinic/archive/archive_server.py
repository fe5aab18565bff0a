"""An archive that is a web server in this process, and answers what it is told to."""

import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class FakeArchive:
    """What a server answers, by method, one after the other; the last one again and again."""

    answers: dict[str, list[tuple[int, str, bytes]]] = field(default_factory=dict)
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    url: str = ""

    def says(self, method, *answers):
        self.answers[method] = [(code, kind, body) for code, kind, body in answers]

    def stores(self, *uids, code=200, failed=()):
        answer = {"00081199": {"vr": "SQ", "Value": [{"00081155": {"Value": [uid]}} for uid in uids]}}
        if failed:
            answer["00081198"] = {"vr": "SQ", "Value": [{"00081197": {"Value": [n]}} for n in failed]}
        self.says("POST", (code, "application/dicom+json", json.dumps(answer).encode()))


@contextmanager
def served(archive, context=None):
    class Handler(BaseHTTPRequestHandler):
        def answer(self):
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            archive.asked.append((self.command, self.path, dict(self.headers)))
            waiting = archive.answers[self.command]
            code, kind, body = waiting.pop(0) if len(waiting) > 1 else waiting[0]
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = answer  # noqa: N815 - names that the library looks for

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        archive.url = f"{'http' if context is None else 'https'}://127.0.0.1:{server.server_port}/dicom-web"
        yield archive
        server.shutdown()
        thread.join()
