"""The page: the built files, and `index.html` for every path that the page itself knows."""

from typing import Final

from tornado.web import StaticFileHandler

from apsis_web.handlers.resource import Resource

#: scripts from files only; `unsafe-inline` in styles alone, for the positions that a virtual list computes
_CSP: Final = (
    "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
_NOT_BUILT: Final = b"""<!doctype html><html lang="en"><meta charset="utf-8"><title>Apsis</title>
<h1>The page has not been built</h1>
<p>The services run, and REST answers under <code>/api/v1</code>. Build the page with <code>pip install .</code> in the
source folder (or <code>npm ci &amp;&amp; npm run build</code> in <code>web/ui</code>), and load this again.</p>
"""


class Page(Resource):
    """`/`, `/runs`, `/jobs`...: the page, which then asks for a login itself."""

    public = True

    def head(self, *_: str) -> None:
        """As GET."""
        self.get()

    def get(self, *_: str) -> None:
        """Send index.html, never from a cache: it names the assets of this very version."""
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.set_header("Content-Security-Policy", _CSP)
        self.set_header("X-Frame-Options", "DENY")
        self.set_header("Cache-Control", "no-cache")
        try:
            page = (self.site.static / "index.html").read_bytes()
        except FileNotFoundError:
            self.set_status(503)
            page = _NOT_BUILT
        self.finish(page)


class Asset(Resource, StaticFileHandler):
    """`/assets/...`: their names hold a hash of what they are, so they are kept for ever."""

    public = True

    def set_extra_headers(self, path: str) -> None:
        """Let them be kept."""
        self.set_header("Cache-Control", "public, max-age=31536000, immutable")
        self.set_header("Content-Security-Policy", _CSP)


class RootFile(Resource, StaticFileHandler):
    """`/favicon.svg` and the like: files beside index.html."""

    public = True

    def set_extra_headers(self, path: str) -> None:
        """Let them be kept for an hour."""
        self.set_header("Cache-Control", "public, max-age=3600")
