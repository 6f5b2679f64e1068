"""What is in memory, by the names that requests use."""

from __future__ import annotations

from policyd_server.models.loaded_versions import LoadedVersions
from tests.policyd_server.conftest import Load


def test_defaults_are_the_only_policy_and_the_champion(load: Load) -> None:
    """Empty names find the champion of the only policy. With two policies they find nothing."""
    version = load("catalogued")
    loaded_versions = LoadedVersions(0)
    loaded_versions.set_policies(["catalogued"])
    loaded_versions.swap("catalogued", {"champion": version, "staging": version})
    for names in (("", ""), ("catalogued", ""), ("", "staging"), ("catalogued", "champion")):
        assert loaded_versions.by_alias(*names) is version
    assert loaded_versions.by_version("", version.version) is version
    loaded_versions.set_policies(["another", "catalogued"])
    assert loaded_versions.by_alias("", "") is None
    assert loaded_versions.by_alias("catalogued", "") is version


def test_the_least_recently_kept_version_goes_first(load: Load) -> None:
    """Beyond its bound the catalogue drops the version that was kept longest ago.

    It never drops one that an alias serves.
    """
    served, *others = (load("kept") for _ in range(4))
    loaded_versions = LoadedVersions(2)
    loaded_versions.set_policies(["kept"])
    loaded_versions.swap("kept", {"champion": served})
    for version in (*others[:2], others[0], others[2]):
        loaded_versions.keep(version)
    assert loaded_versions.loaded("kept") == {served.version, others[0].version, others[2].version}
