"""Tests run at any hour: the simulators of an installation keep no maintenance, so the gateway must not either."""

from pathlib import Path


def never_closed(config_file: Path, *billers: str) -> None:
    """Tell the installation that these billers have no windows in which nothing is sent."""
    lines = "".join(f"{name} = []\n" for name in billers or ("telecom",))
    with config_file.open("a", encoding="utf-8") as file:
        file.write(f"\n[closed]\n{lines}")
