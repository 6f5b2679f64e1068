"""What is in memory, by the names that requests use."""

from __future__ import annotations

from server.models.catalog import Catalog
from tests.server.conftest import Load


def test_defaults_are_the_only_policy_and_the_champion(load: Load) -> None:
    """Empty names find the champion of the only policy; with two policies no name means nothing."""
    version = load("catalogued")
    catalog = Catalog(0)
    catalog.set_policies(["catalogued"])
    catalog.swap("catalogued", {"champion": version, "staging": version})
    for names in (("", ""), ("catalogued", ""), ("", "staging"), ("catalogued", "champion")):
        assert catalog.by_alias(*names) is version
    assert catalog.by_version("", version.version) is version
    catalog.set_policies(["another", "catalogued"])
    assert catalog.by_alias("", "") is None
    assert catalog.by_alias("catalogued", "") is version


def test_the_least_recently_kept_version_goes_first(load: Load) -> None:
    """Beyond its bound the catalogue lets go of what was kept longest ago, never of what an alias serves."""
    served, *others = (load("kept") for _ in range(4))
    catalog = Catalog(2)
    catalog.set_policies(["kept"])
    catalog.swap("kept", {"champion": served})
    for version in (*others[:2], others[0], others[2]):
        catalog.keep(version)
    assert catalog.loaded("kept") == {served.version, others[0].version, others[2].version}
