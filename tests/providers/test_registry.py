from __future__ import annotations

from importlib.metadata import EntryPoint, EntryPoints
from typing import Any

import pytest

from providers import registry
from providers.interface import Provider
from providers.local import LocalProvider
from providers.registry import GROUP, Registry
from providers.sandbox import SandboxProvider
from providers.surroundings import Surroundings
from tests.providers.surroundings import surroundings

SURROUNDINGS = surroundings()


class NotAProvider:
    """Has a name and nothing else."""

    name = "half"

    def __init__(self, _surroundings: Surroundings) -> None:
        pass


class Theirs(LocalProvider):
    name = "theirs"


def installed(monkeypatch: pytest.MonkeyPatch, **points: str) -> None:
    found = EntryPoints(EntryPoint(name, value, GROUP) for name, value in points.items())

    def select(**which: Any) -> EntryPoints:
        assert which == {"group": GROUP}
        return found

    monkeypatch.setattr(registry, "entry_points", select)


def test_the_providers_of_this_distribution_are_installed() -> None:
    providers = Registry.installed(SURROUNDINGS)
    assert {"local", "sandbox"} <= set(providers.names)
    assert isinstance(providers["local"], LocalProvider)
    assert isinstance(providers["sandbox"], SandboxProvider)


def test_a_provider_is_known_by_the_name_of_its_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, theirs=f"{__name__}:Theirs", local="providers.local:LocalProvider")
    providers = Registry.installed(SURROUNDINGS)
    assert providers.names == ("local", "theirs")
    assert isinstance(providers["theirs"], Theirs)
    assert all(providers[name].name == name for name in providers.names)


def test_a_class_that_is_not_a_provider_is_refused_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, half=f"{__name__}:NotAProvider")
    with pytest.raises(TypeError, match=r"entry point half of .*NotAProvider"):
        Registry.installed(SURROUNDINGS)


def test_an_entry_point_that_leads_nowhere_is_not_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, gone="providers.local:NoSuchProvider")
    with pytest.raises(AttributeError, match="NoSuchProvider"):
        Registry.installed(SURROUNDINGS)


def test_each_registry_has_providers_of_its_own() -> None:
    assert Registry.installed(SURROUNDINGS)["sandbox"] is not Registry.installed(SURROUNDINGS)["sandbox"]


def test_a_registry_knows_what_it_was_given_and_nothing_else() -> None:
    local: Provider = LocalProvider(SURROUNDINGS)
    providers = Registry({"local": local})
    assert providers["local"] is local
    assert "local" in providers
    assert "google" not in providers
    with pytest.raises(KeyError):
        providers["google"]
