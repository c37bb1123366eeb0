"""The GraphiQL page, its assets, and what a first visit shows."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
import pytest
from graphql import OperationDefinitionNode, parse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from kalends.server.graphiql_page import ASSETS_PATH, graphiql_assets, graphiql_page
from kalends.server.welcome import Tab, welcome_tabs

pytestmark = pytest.mark.anyio

SCRIPT = "assets/main-Bd2u.js"
STYLE = "assets/style-C06r.css"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    (tmp_path / "assets").mkdir()
    (tmp_path / SCRIPT).write_text("export {};" * 200)
    (tmp_path / STYLE).write_text("body {}")
    (tmp_path / "assets/codicon-DCmg.ttf").write_bytes(b"\0")
    manifest = {"src/main.jsx": {"file": SCRIPT, "css": [STYLE]}, "style.css": {"file": STYLE}}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    return tmp_path


@pytest.fixture
async def client(bundle: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with _client(bundle) as client:
        yield client


def _client(bundle: Path) -> httpx.AsyncClient:
    async def page(_: Request) -> Response:
        return graphiql_page("/graphql", bundle=bundle)

    app = Starlette(routes=[Mount(ASSETS_PATH, graphiql_assets(bundle)), Route("/graphql", page)])
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://kalends.test")


def _text(response: Response) -> str:
    return bytes(response.body).decode()


def _config(html: str) -> dict[str, object]:
    found = re.search(r'<script type="application/json" id="config">(.*?)</script>', html, re.DOTALL)
    assert found
    config = json.loads(found[1])
    assert isinstance(config, dict)
    return config


def _policy(response: httpx.Response | Response) -> dict[str, str]:
    directives = response.headers["content-security-policy"].split("; ")
    return {name: value for name, _, value in (directive.partition(" ") for directive in directives)}


async def test_the_page_loads_only_what_this_server_has(client: httpx.AsyncClient) -> None:
    page = await client.get("/graphql")

    assert page.headers["content-type"] == "text/html; charset=utf-8"
    links = [unescape(link) for link in re.findall(r'(?:src|href)="([^"]+)"', page.text)]
    assert [link for link in links if not link.startswith("data:")] == [f"/graphql/{STYLE}", f"/graphql/{SCRIPT}"]
    for link in (f"/graphql/{STYLE}", f"/graphql/{SCRIPT}"):
        assert (await client.get(link)).status_code == 200


async def test_nothing_is_allowed_that_is_not_listed(client: httpx.AsyncClient) -> None:
    page = await client.get("/graphql")

    policy = _policy(page)
    assert policy["default-src"] == "'none'"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert policy["script-src"] == policy["worker-src"] == policy["connect-src"] == policy["font-src"] == "'self'"
    assert page.headers["x-frame-options"] == "DENY"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["x-content-type-options"] == "nosniff"


async def test_the_page_is_never_cached_as_it_may_carry_a_key(client: httpx.AsyncClient) -> None:
    assert (await client.get("/graphql")).headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        (SCRIPT, "text/javascript; charset=utf-8"),
        (STYLE, "text/css; charset=utf-8"),
        ("assets/codicon-DCmg.ttf", "font/ttf"),
    ],
)
async def test_an_asset_is_kept_for_good(client: httpx.AsyncClient, path: str, media_type: str) -> None:
    asset = await client.get(f"/graphql/{path}")

    assert asset.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert asset.headers["content-type"] == media_type
    assert asset.headers["x-content-type-options"] == "nosniff"
    again = await client.get(f"/graphql/{path}", headers={"If-None-Match": asset.headers["etag"]})
    assert again.status_code == 304


async def test_a_script_is_compressed_on_the_way(client: httpx.AsyncClient, bundle: Path) -> None:
    asset = await client.get(f"/graphql/{SCRIPT}")

    assert asset.headers["content-encoding"] == "gzip"
    assert asset.text == (bundle / SCRIPT).read_text()


async def test_only_assets_are_served(client: httpx.AsyncClient) -> None:
    for path in ("", "../manifest.json", "%2e%2e/manifest.json", "manifest.json", "missing.js"):
        assert (await client.get(f"{ASSETS_PATH}/{path}")).status_code == 404


async def test_without_a_bundle_the_page_says_how_to_get_it(tmp_path: Path) -> None:
    async with _client(tmp_path) as client:
        page = await client.get("/graphql")
        asset = await client.get(f"/graphql/{SCRIPT}")

    assert page.status_code == 200
    assert "make graphiql" in page.text
    assert "curl /graphql" in page.text
    assert "<script" not in page.text
    assert _policy(page)["default-src"] == "'none'"
    assert "'unsafe-inline'" not in page.headers["content-security-policy"]
    assert asset.status_code == 404


def test_the_stand_in_never_shows_the_default_headers(tmp_path: Path) -> None:
    page = graphiql_page("/graphql", headers={"Authorization": "Bearer kal_1"}, bundle=tmp_path)

    assert "kal_" not in _text(page)


def test_the_curl_example_has_the_full_address(tmp_path: Path) -> None:
    page = graphiql_page("/graphql", url="https://cal.example.com/graphql?<b>", bundle=tmp_path)

    assert "curl https://cal.example.com/graphql?&lt;b&gt; " in _text(page)


def test_a_key_is_in_the_page_only_where_it_was_given(bundle: Path) -> None:
    without = _text(graphiql_page("/graphql", bundle=bundle))
    given = _text(graphiql_page("/graphql", headers={"Authorization": "Bearer kal_1"}, bundle=bundle))

    assert _config(without)["headers"] == ""
    assert "Authorization" not in without
    assert json.loads(str(_config(given)["headers"])) == {"Authorization": "Bearer kal_1"}


def test_no_text_can_end_the_config_or_the_title(bundle: Path) -> None:
    hostile = "</script><!--<script>alert(1)</script>"
    html = _text(graphiql_page("/graphql", title=hostile, tabs=[Tab("X", hostile)], workspace=hostile, bundle=bundle))

    assert html.count("<script") == html.count("</script>") == 2
    assert "<!--" not in html
    config = _config(html)
    assert config["tabs"] == [{"title": "X", "query": hostile, "variables": ""}]
    assert config["workspace"] == hostile


@pytest.mark.parametrize("tab", welcome_tabs("019a", datetime(2026, 11, 24, 10, tzinfo=UTC)), ids=lambda tab: tab.title)
def test_a_welcome_tab_is_one_operation_with_its_variables(tab: Tab) -> None:
    (operation,) = parse(tab.query).definitions

    assert isinstance(operation, OperationDefinitionNode)
    assert operation.name
    assert operation.name.value == tab.title
    declared = {definition.variable.name.value for definition in operation.variable_definitions or ()}
    assert set(json.loads(tab.variables or "{}")) == declared


def test_the_first_tab_blocks_an_hour_in_the_week_that_the_second_lists() -> None:
    start = datetime(2026, 3, 29, 10, tzinfo=ZoneInfo("Europe/Berlin"))  # a Sunday; summer time begins at 02:00
    block, week, _ = (json.loads(tab.variables or "{}") for tab in welcome_tabs("019a", start))

    assert block["input"]["start"] == "2026-03-29T10:00:00+02:00"
    assert block["input"]["end"] == "2026-03-29T11:00:00+02:00"
    assert block["input"]["timeZone"] == "Europe/Berlin"
    assert block["input"]["invite"] is False
    assert week == {"calendarId": "019a", "from": "2026-03-23T00:00:00+01:00", "to": "2026-03-30T00:00:00+02:00"}
