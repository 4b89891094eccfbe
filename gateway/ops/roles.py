"""Departments, their roles and what these may do, out of the packaged roles.toml."""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from gateway.core.actions import RIGHTS
from gateway.core.rights import Rights, build_rights

FILE = "roles.toml"


@cache
def load_rights() -> Mapping[str, Rights]:
    """Rights by department. Raises Malformed for a role or an action that is not there."""
    table = tomllib.loads(files("gateway.ops").joinpath(FILE).read_text(encoding="utf-8"))
    return build_rights(table["departments"], table["roles"], RIGHTS)
