"""Configuration: `KALENDS_*` variables, or a TOML file with the same names in lower case and without the prefix.

A variable wins over the file, which is `kalends.toml` in the working directory or the one that KALENDS_CONFIG names.
"""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from kalends.server.limits import Limits
from resolvers.services import SyncPatience
from storage.secrets import Vault

_LIMITS, _PATIENCE = Limits(), SyncPatience()


class Settings(BaseSettings):
    """Every setting, with what it means; `docs/settings.md` is made from here."""

    model_config = SettingsConfigDict(env_prefix="KALENDS_", extra="forbid", hide_input_in_errors=True)

    mode: Literal["production", "development"] = Field(
        "production",
        description="In `development` there are GraphiQL, introspection and field suggestions; in `production` none.",
    )
    database_url: SecretStr = Field(
        SecretStr("sqlite:///var/kalends.sqlite3"),
        description="Where the data is: `sqlite:///path` or `postgresql://user:password@host/database`.",
    )
    migration_url: SecretStr | None = Field(
        None,
        description="The database as its owner, for `kalends migrate` on PostgreSQL; `database_url` by default.",
    )
    database_pool: int = Field(10, ge=1, le=1000, description="Connections per process at most.")
    database_wait: float = Field(5.0, gt=0, description="Seconds to wait for one of them before answering 503.")
    database_prepared: bool = Field(
        True, description="Use prepared statements; off behind pgbouncer in transaction mode."
    )
    host: str = Field("127.0.0.1", description="The address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="The port to listen on.")
    graphql_get: bool = Field(False, description="Answer queries sent by GET, too.")
    receive_seconds: float = Field(20.0, gt=0, description="Seconds in which a request's body must arrive.")
    max_connections: int = Field(2000, ge=1, description="Connections at once; more are answered 503.")
    cors_origins: list[str] = Field(
        [], description="Web origins whose pages may call the API, such as `https://app.example.org`; none by default."
    )
    allowed_hosts: list[str] = Field(
        [],
        description="Names by which the server may be addressed, such as `calendar.example.org`; any by default. "
        "The demo takes loopback names only, so that no web page can reach it by a name of its own.",
    )
    public_url: str | None = Field(
        None,
        description="Where browsers and providers find this server, such as `https://calendar.example.org`: accounts "
        "are opened through it, and over HTTPS providers call it when something has changed.",
    )
    return_origins: list[str] = Field(
        [],
        description="Web origins to which `connectAccount` may send people back, such as `https://app.example.org`.",
    )
    anonymous_key: SecretStr | None = Field(
        None,
        description="The key with which requests without one act: only where nobody but a trusted gateway can connect.",
    )
    limit_depth: int = Field(_LIMITS.depth, ge=1, description="How deep an operation's fields may be nested.")
    limit_aliases: int = Field(_LIMITS.aliases, ge=0, description="How many aliases a document may have.")
    limit_directives: int = Field(_LIMITS.directives, ge=0, description="How many directives a document may have.")
    limit_tokens: int = Field(_LIMITS.tokens, ge=1, description="How many lexical tokens a document may have.")
    limit_fields: int = Field(_LIMITS.fields, ge=1, description="How many fields, with fragments written out.")
    limit_cost: int = Field(_LIMITS.cost, ge=1, description="How many fields, each times the lists that it is in.")
    limit_body_bytes: int = Field(_LIMITS.body_bytes, ge=1024, description="How large a request's body may be.")
    limit_operation_seconds: float = Field(_LIMITS.operation_seconds, gt=0, description="How long one may run.")
    secret_keys: SecretStr | None = Field(
        None,
        description="Keys that seal what opens other people's accounts, separated by commas; the first one seals, the "
        "others only open. `kalends secrets new` makes one. An embedded database needs none: it keeps one in a file.",
    )
    private_servers: list[str] = Field(
        [],
        description="Servers in your own network that users may name as CalDAV or ICS addresses, such as "
        "`radicale.internal:5232`; others must be public.",
    )
    google_client_id: str | None = Field(None, description="The OAuth client that you registered at Google.")
    google_client_secret: SecretStr | None = Field(None, description="Its secret.")
    google_endpoint: str | None = Field(None, description="Another address for all of Google, such as a simulator's.")
    microsoft_client_id: str | None = Field(None, description="The application that you registered at Microsoft.")
    microsoft_client_secret: SecretStr | None = Field(None, description="Its secret.")
    microsoft_tenant: str = Field("common", description="Whose accounts may be connected: `common`, or a tenant's id.")
    microsoft_endpoint: str | None = Field(
        None, description="Another address for all of Microsoft, such as a simulator's."
    )
    worker: bool = Field(True, description="Run the sync worker inside `kalends serve`; off where it runs alone.")
    worker_lanes: int = Field(16, ge=1, description="Calendars that one worker syncs at the same time.")
    worker_poll_seconds: float = Field(1.0, gt=0, description="Seconds between looks for work, where nothing wakes it.")
    worker_sweep_seconds: float = Field(30.0, gt=0, description="Seconds between sweeps for work that was forgotten.")
    sync_call_seconds: float = Field(_PATIENCE.call, gt=0, description="Seconds that one call to a provider may take.")
    sync_at_once_seconds: float = Field(
        _PATIENCE.at_once, gt=0, description="Seconds that a mutation with `syncProvider: true` may wait for it."
    )
    sync_lease_seconds: float = Field(
        30.0, gt=0, description="Seconds for which a worker holds a calendar: more than a call may take."
    )
    sync_attempts: int = Field(
        _PATIENCE.max_attempts, ge=1, description="Failed attempts after which an event waits for a person."
    )
    sync_poll_seconds: float | None = Field(
        None, gt=0, description="Seconds between looks for changes at providers; by default as often as suits each."
    )
    sync_brake_share: float = Field(
        _PATIENCE.brake_share,
        ge=0,
        le=1,
        description="The share of a calendar's events that a provider may delete at once; more wait for a person.",
    )
    sync_brake_least: int = Field(
        _PATIENCE.brake_least, ge=0, description="How many events it may always delete at once."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="What is logged.")
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="How it is logged; `auto` is `console` on a terminal and `json` elsewhere."
    )

    @field_validator("database_url", "migration_url")
    @classmethod
    def _known_database(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(("sqlite:///", "postgresql://")):
            raise ValueError("expected sqlite:///path or postgresql://user:password@host/database")
        return value

    @field_validator("public_url", "google_endpoint", "microsoft_endpoint")
    @classmethod
    def _web_address(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("expected an address such as https://calendar.example.org")
        return value.rstrip("/")

    @field_validator("secret_keys")
    @classmethod
    def _usable_keys(cls, value: SecretStr | None) -> SecretStr | None:
        Vault(_separated(value))
        return value

    @model_validator(mode="after")
    def _lease_outlives_a_call(self) -> Self:
        if self.sync_lease_seconds <= self.sync_call_seconds:
            raise ValueError("sync_lease_seconds must be more than sync_call_seconds")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  there are no .env files,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  and no secret folders
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Add the file below the variables."""
        path = Path(os.environ.get("KALENDS_CONFIG", "kalends.toml"))
        if "KALENDS_CONFIG" in os.environ and not path.is_file():
            raise ValueError(f"KALENDS_CONFIG names {path}, which is not a file")
        file = TomlConfigSettingsSource(settings_cls, toml_file=path)
        return (init_settings, env_settings, file)

    @property
    def development(self) -> bool:
        """Whether people are meant to explore."""
        return self.mode == "development"

    def limits(self) -> Limits:
        """Return the limits of one request."""
        return Limits(
            depth=self.limit_depth,
            aliases=self.limit_aliases,
            directives=self.limit_directives,
            tokens=self.limit_tokens,
            fields=self.limit_fields,
            cost=self.limit_cost,
            body_bytes=self.limit_body_bytes,
            operation_seconds=self.limit_operation_seconds,
        )

    def patience(self) -> SyncPatience:
        """Return how long sync waits."""
        return SyncPatience(
            call=self.sync_call_seconds,
            at_once=self.sync_at_once_seconds,
            lease=timedelta(seconds=self.sync_lease_seconds),
            max_attempts=self.sync_attempts,
            poll=None if self.sync_poll_seconds is None else timedelta(seconds=self.sync_poll_seconds),
            brake_share=self.sync_brake_share,
            brake_least=self.sync_brake_least,
        )

    def vault(self) -> Vault:
        """Return what seals secrets."""
        url = self.database_url.get_secret_value()
        embedded = url.removeprefix("sqlite:///") if url.startswith("sqlite:///") else None
        if self.secret_keys is None and embedded is not None:
            return Vault(file=Path(f"{embedded}.key"))
        return Vault(_separated(self.secret_keys))

    def provider_options(self) -> dict[str, str]:
        """Return what providers are told, by the settings' names."""
        options = {}
        for name in type(self).model_fields:
            value = getattr(self, name)
            if name.startswith(("google_", "microsoft_")) and value is not None:
                options[name] = value.get_secret_value() if isinstance(value, SecretStr) else value
        return options


def _separated(keys: SecretStr | None) -> list[str]:
    return [] if keys is None else [each.strip() for each in keys.get_secret_value().split(",") if each.strip()]
