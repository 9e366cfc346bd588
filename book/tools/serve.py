"""Show the built book at a local address, until Ctrl-C.

python -m book.tools.serve [PORT]
"""

from __future__ import annotations

import functools
import sys
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from book.tools.asking import Parser, whole
from book.tools.build_book import no_book

SITE = Path(__file__).resolve().parents[2] / "_build" / "html"


class Handler(SimpleHTTPRequestHandler):
    """Have the browser ask for everything each time: the book may have been built anew."""

    # A machine's own table may say otherwise, and no browser takes a style sheet that is said to be plain text.
    extensions_map = SimpleHTTPRequestHandler.extensions_map | {
        ".html": "text/html",
        ".css": "text/css",
        ".js": "text/javascript",
        ".svg": "image/svg+xml",
    }

    def send_head(self) -> Any:
        # What is older than what the browser has may be new all the same.
        del self.headers["If-Modified-Since"]
        return super().send_head()

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    """A browser that goes away before it has all, as one does that is closed, is no fault."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def server(site: Path, port: int) -> ThreadingHTTPServer:
    """A server on `port`, or on any free one if that is taken."""
    handler = functools.partial(Handler, directory=str(site))
    try:
        return Server(("127.0.0.1", port), handler)
    except OSError:
        return Server(("127.0.0.1", 0), handler)


def main(arguments: list[str] | None = None) -> int:
    parser = Parser(description="Show the built book at a local address.")
    parser.add_argument("port", nargs="?", type=whole("the port", 0, 65_535), default=8000)
    asked = parser.parse_args(arguments).port
    if no_book(SITE):
        return 1
    with server(SITE, asked) as running:
        port = running.server_address[1]
        taken = f"port {asked} was taken; " if asked not in (0, port) else ""
        print(f"The book is at http://127.0.0.1:{port}/ ({taken}Ctrl-C ends this)", flush=True)
        try:
            running.serve_forever()
        except KeyboardInterrupt:
            print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
