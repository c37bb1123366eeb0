"""Configuration: every setting is documented, a variable wins over the file, and no secret is shown."""

from __future__ import annotations

import os
from base64 import b64encode
from pathlib import Path
from uuid import uuid4

import pytest
from pydantic import SecretStr, ValidationError

from kalends.server import settings_table
from kalends.server.limits import Limits
from kalends.server.settings import Settings
from resolvers.services import SyncPatience
from storage.secrets import NoSecretKey, new_key

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"
KEY = b64encode(bytes(32)).decode()


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable and no file, but those that a test makes."""
    for name in [each for each in os.environ if each.upper().startswith("KALENDS_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def message(error: ValidationError) -> str:
    (only,) = error.errors()
    return str(only["msg"])


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_says_what_it_means_and_is_in_the_page(name: str) -> None:
    description = Settings.model_fields[name].description

    assert description
    assert description.endswith(".")
    assert f"| `KALENDS_{name.upper()}` |" in PAGE.read_text()


def test_the_page_is_the_generated_one() -> None:
    assert PAGE.read_text() == settings_table.markdown(), "run make schema"


def test_every_limit_of_a_request_that_has_a_setting_takes_it() -> None:
    changed = Settings(limit_depth=3, limit_operation_seconds=1.5, limit_body_bytes=2048).limits()

    assert (changed.depth, changed.operation_seconds, changed.body_bytes) == (3, 1.5, 2048)
    assert Settings().limits() == Limits()


def test_the_patience_of_the_defaults_is_the_resolvers_own() -> None:
    assert Settings().patience() == SyncPatience()


def test_a_variable_wins_over_the_file_and_the_file_over_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("kalends.toml").write_text('host = "10.0.0.1"\nport = 8001\n')
    monkeypatch.setenv("KALENDS_PORT", "8002")

    settings = Settings()

    assert (settings.host, settings.port, settings.mode) == ("10.0.0.1", 8002, "production")


def test_an_argument_wins_over_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KALENDS_PORT", "8002")

    assert Settings(port=8003).port == 8003


def test_the_file_may_lie_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "elsewhere.toml"
    file.write_text('cors_origins = ["https://app.example.org"]\n')
    monkeypatch.setenv("KALENDS_CONFIG", str(file))

    assert Settings().cors_origins == ["https://app.example.org"]


def test_a_named_file_that_is_missing_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KALENDS_CONFIG", "missing.toml")

    with pytest.raises(ValueError, match=r"KALENDS_CONFIG names missing\.toml, which is not a file"):
        Settings()


def test_a_list_in_a_variable_is_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KALENDS_CORS_ORIGINS", '["https://a.example", "https://b.example"]')

    assert Settings().cors_origins == ["https://a.example", "https://b.example"]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("PORT", "eighty", "valid integer"),
        ("PORT", "65536", "less than or equal to 65535"),
        ("MODE", "test", "'production' or 'development'"),
        ("WORKER", "perhaps", "valid boolean"),
        ("DATABASE_POOL", "0", "greater than or equal to 1"),
        ("DATABASE_URL", "mysql://db/kalends", "expected sqlite:///path or postgresql://user:password@host/database"),
        ("MIGRATION_URL", "db", "expected sqlite:///path or postgresql://user:password@host/database"),
        ("SYNC_LEASE_SECONDS", "10", "sync_lease_seconds must be more than sync_call_seconds"),
        ("PUBLIC_URL", "calendar.example.org", "expected an address such as https://calendar.example.org"),
        ("PUBLIC_URL", "ftp://calendar.example.org", "expected an address such as https://calendar.example.org"),
        ("PUBLIC_URL", "https://calendar.example.org/?a=b", "expected an address such as"),
        ("PUBLIC_URL", "https://[calendar", "Invalid IPv6 URL"),
        ("GOOGLE_ENDPOINT", "localhost:9100", "expected an address such as"),
        ("SECRET_KEYS", "hunter2", "a secret key must be 32 random bytes in base64"),
        ("SECRET_KEYS", f"{KEY},hunter2", "a secret key must be 32 random bytes in base64"),
        ("SYNC_BRAKE_SHARE", "1.5", "less than or equal to 1"),
    ],
)
def test_a_bad_value_is_named(monkeypatch: pytest.MonkeyPatch, name: str, text: str, said: str) -> None:
    monkeypatch.setenv(f"KALENDS_{name}", text)

    with pytest.raises(ValidationError) as caught:
        Settings()

    assert said in message(caught.value)


def test_a_name_in_the_file_that_is_no_setting_is_refused() -> None:
    Path("kalends.toml").write_text("prot = 8001\n")

    with pytest.raises(ValidationError) as caught:
        Settings()

    assert caught.value.errors()[0]["loc"] == ("prot",)


def test_a_variable_that_is_no_setting_is_found() -> None:
    environment = {"KALENDS_PROT": "1", "KALENDS_PORT": "1", "KALENDS_CONFIG": "x", "PORT": "1"}

    assert settings_table.unknown_variables(environment) == ["KALENDS_PROT"]


def test_no_secret_is_in_what_is_printed_of_the_settings() -> None:
    settings = Settings(
        database_url=SecretStr("postgresql://kalends:hunter2@db/kalends"),
        migration_url=SecretStr("postgresql://owner:hunter2@db/kalends"),
        anonymous_key=SecretStr("kal_hunter2"),
        google_client_secret=SecretStr("hunter2"),
        microsoft_client_secret=SecretStr("hunter2"),
        secret_keys=SecretStr(KEY),
    )
    shown = {row.variable: row.value for row in settings_table.rows(settings)}

    printed = f"{settings!r} {settings} {settings.model_dump_json()} {shown}"
    assert "hunter2" not in printed
    assert KEY not in printed
    assert shown["KALENDS_DATABASE_URL"] == settings_table.HIDDEN


def test_every_setting_that_can_hold_a_password_or_key_is_a_secret() -> None:
    endings = ("_url", "_key", "_keys", "_secret", "_token")
    secret = {name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)}

    assert secret == {name for name in Settings.model_fields if name.endswith(endings)} - {"public_url"}


def test_a_wrong_database_url_is_refused_without_being_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KALENDS_DATABASE_URL", "mysql://kalends:hunter2@db/kalends")

    with pytest.raises(ValidationError) as caught:
        Settings()

    assert "hunter2" not in str(caught.value)


def test_a_wrong_secret_key_is_refused_without_being_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KALENDS_SECRET_KEYS", f"{KEY}, hunter2")

    with pytest.raises(ValidationError) as caught:
        Settings()

    assert "hunter2" not in str(caught.value)
    assert KEY not in str(caught.value)


def test_the_public_address_has_no_slash_at_its_end() -> None:
    assert Settings(public_url="https://calendar.example.org/").public_url == "https://calendar.example.org"


def test_providers_are_told_their_own_settings_and_no_others() -> None:
    settings = Settings(google_client_id="ours", google_client_secret=SecretStr("hunter2"), secret_keys=SecretStr(KEY))

    assert settings.provider_options() == {
        "google_client_id": "ours",
        "google_client_secret": "hunter2",
        "microsoft_tenant": "common",
    }


# Keys

APP, OWNER = uuid4(), uuid4()


def test_several_keys_are_separated_by_commas_and_the_first_one_seals() -> None:
    old, new = Settings(secret_keys=SecretStr(KEY)), Settings(secret_keys=SecretStr(f" {new_key()} ,{KEY},"))
    sealed = old.vault().seal(b"grant", app_id=APP, owner=OWNER, kind="grant")

    assert new.vault().open(sealed, app_id=APP, owner=OWNER, kind="grant") == b"grant"
    assert new.vault().is_old(sealed)
    assert not old.vault().is_old(sealed)


def test_an_embedded_database_has_a_key_in_a_file_beside_it(tmp_path: Path) -> None:
    settings = Settings(database_url=SecretStr(f"sqlite:///{tmp_path / 'kalends.sqlite3'}"))
    sealed = settings.vault().seal(b"grant", app_id=APP, owner=OWNER, kind="grant")

    assert settings.vault().open(sealed, app_id=APP, owner=OWNER, kind="grant") == b"grant"
    assert [each.name for each in tmp_path.iterdir()] == ["kalends.sqlite3.key"]


def test_without_a_key_nothing_can_be_sealed_beside_postgresql() -> None:
    settings = Settings(database_url=SecretStr("postgresql://db/kalends"))

    assert not settings.vault().usable
    with pytest.raises(NoSecretKey, match="KALENDS_SECRET_KEYS"):
        settings.vault().seal(b"grant", app_id=APP, owner=OWNER, kind="grant")
