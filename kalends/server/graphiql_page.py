"""The GraphiQL page and its assets, all from this server: it works without internet.

`npm` bundles GraphiQL from `kalends/server/graphiql/` into `kalends/server/static/graphiql/` (`make graphiql`).
Without that bundle the page says so, and how to get it.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from hashlib import sha256
from html import escape
from os import PathLike, stat_result
from pathlib import Path

from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Scope

from kalends.server.welcome import Tab

ASSETS_PATH = "/graphql/assets"
"""Where the app mounts `graphiql_assets()`."""

BUNDLE = Path(__file__).parent / "static" / "graphiql"
"""Where the build writes: `manifest.json`, `LICENSES.md` and `assets/`."""

_NO_SOURCES = {"default-src": "'none'", "base-uri": "'none'", "form-action": "'none'", "frame-ancestors": "'none'"}

_POLICY = {
    **_NO_SOURCES,
    "script-src": "'self'",
    "worker-src": "'self'",  # Monaco parses and validates in workers
    "connect-src": "'self'",
    "style-src": "'self' 'unsafe-inline'",  # Monaco writes <style> elements and style attributes while it runs
    "font-src": "'self'",  # Monaco's icons
    "img-src": "data:",  # the page's icon, and images inside Monaco's stylesheet
}

_ASSET_HEADERS = {
    "Cache-Control": "public, max-age=31536000, immutable",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}

# Not left to the machine's own table: under nosniff a browser refuses a script or style of another type.
_MEDIA_TYPES = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".ttf": "font/ttf"}

_ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E"
    "%3Crect x='1' y='2' width='14' height='13' rx='3' fill='%23d60590'/%3E"
    "%3Cpath d='M4 7h8M4 11h5' stroke='%23fff' stroke-width='2' stroke-linecap='round'/%3E%3C/svg%3E"
)

_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<link rel="icon" href="{icon}">
{head}
</head>
<body>
{body}
</body>
</html>
"""

_STYLE = """
body { max-width: 42rem; margin: 12vh auto; padding: 0 1.5rem; font: 1rem/1.6 system-ui, sans-serif; }
h1 { font-size: 1.5rem; font-weight: 600; }
code, pre { font: 0.9rem/1.6 ui-monospace, Menlo, Consolas, monospace; }
pre { padding: 1rem; overflow-x: auto; border-radius: 0.5rem; background: rgb(127 127 127 / 0.12); }
"""

_NOT_BUNDLED = """\
<h1>{title}</h1>
<p>GraphiQL is not bundled in this installation. The API works all the same:</p>
<pre>curl {url} \\
  -H 'Content-Type: application/json' \\
  -H 'Authorization: Bearer <em>your key</em>' \\
  -d '{{"query": "{{ __typename }}"}}'</pre>
<p>To have GraphiQL here, build it in a checkout of Kalends (this needs npm) and reload the page:</p>
<pre>make graphiql</pre>"""


def graphiql_page(
    endpoint: str,
    *,
    title: str = "Kalends GraphiQL",
    headers: Mapping[str, str] | None = None,
    tabs: Sequence[Tab] = (),
    workspace: str = "",
    url: str | None = None,
    bundle: Path = BUNDLE,
) -> HTMLResponse:
    """Return the page that talks to the GraphQL API at `endpoint`, a path on this server.

    Args:
        endpoint: the path that GraphiQL posts to; the assets are expected below it, see `ASSETS_PATH`.
        title: the browser tab's title.
        headers: what every new tab sends. Whoever can load the page can read them: the demo's key, nothing else.
        tabs: what a first visit shows.
        workspace: the browser keeps a visitor's tabs per workspace; a new value (the demo's calendar) starts afresh.
        url: the API's full address, for the example on the page that stands in for a missing bundle.
        bundle: the directory that the build wrote.
    """
    try:
        manifest = json.loads((bundle / "manifest.json").read_text())
    except FileNotFoundError:
        return _not_bundled(title, url or endpoint)
    config = {
        "endpoint": endpoint,
        "headers": json.dumps(headers, indent=2) if headers else "",
        "tabs": [asdict(tab) for tab in tabs],
        "workspace": workspace,
    }
    script, style = (escape(f"{endpoint}/{manifest[name]['file']}") for name in ("src/main.jsx", "style.css"))
    return _html(
        title,
        f'<link rel="stylesheet" href="{style}">\n<script type="module" src="{script}"></script>',
        '<div id="graphiql"></div>\n<noscript>GraphiQL needs JavaScript.</noscript>\n'
        f'<script type="application/json" id="config">{_json(config)}</script>',
        _POLICY,
    )


def graphiql_assets(bundle: Path = BUNDLE) -> ASGIApp:
    """Return the app to mount at `ASSETS_PATH`: scripts, workers, styles and fonts, compressed on the way."""
    return GZipMiddleware(_Assets(directory=bundle / "assets", check_dir=False), minimum_size=1024)


class _Assets(StaticFiles):
    """Files whose names carry a hash of their content: a browser may keep them for good."""

    async def check_config(self) -> None:
        """Accept a missing directory: without a bundle every asset is 404."""

    def file_response(
        self, full_path: str | PathLike[str], stat_result: stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        """Add what every asset says of itself."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers.update(_ASSET_HEADERS)
        if media_type := _MEDIA_TYPES.get(Path(full_path).suffix):
            response.headers["Content-Type"] = media_type
        return response


def _not_bundled(title: str, url: str) -> HTMLResponse:
    digest = b64encode(sha256(_STYLE.encode()).digest()).decode()
    return _html(
        title,
        f"<style>{_STYLE}</style>",
        _NOT_BUNDLED.format(title=escape(title), url=escape(url)),
        {**_NO_SOURCES, "style-src": f"'sha256-{digest}'", "img-src": "data:"},
    )


def _html(title: str, head: str, body: str, policy: Mapping[str, str]) -> HTMLResponse:
    return HTMLResponse(
        _PAGE.format(title=escape(title), icon=_ICON, head=head, body=body),
        headers={
            "Cache-Control": "no-store",  # it may carry a key
            "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
        },
    )


def _json(value: object) -> str:
    """Write JSON that cannot end the script element, nor open a comment in it."""
    return json.dumps(value).replace("<", "\\u003c")
