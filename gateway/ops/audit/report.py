"""What an audit found (api s2): one line per check, every violation named."""

from collections.abc import Iterable, Sequence

import msgspec

VIOLATIONS_KEPT = 100
"""Of each check; the rest is counted, so that a ruined book does not fill the memory."""


class Violation(msgspec.Struct, frozen=True, kw_only=True):
    """about: the serial, key or id it is about."""

    about: str
    detail: str


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """One check. rows: how many things it looked at. warnings: true now, but no rule is broken by it."""

    name: str
    ok: bool
    rows: int
    violations: list[Violation]
    warnings: list[str] = msgspec.field(default_factory=list)


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All checks. ok: none has a violation."""

    ok: bool
    checks: list[Checked]

    def failed(self) -> list[str]:
        """Names of the checks that found something."""
        return [check.name for check in self.checks if not check.ok]

    def text(self) -> str:
        """For people: a line per check, then what is wrong."""
        width = max(len(check.name) for check in self.checks)
        lines = [f"{'ok  ' if c.ok else 'FAIL'}  {c.name:<{width}}  {c.rows:>10}" for c in self.checks]
        for check in self.checks:
            lines += [f"{check.name}: {found.about}: {found.detail}" for found in check.violations]
            lines += [f"{check.name}: note: {text}" for text in check.warnings]
        lines.append("the book is sound" if self.ok else f"VIOLATED: {', '.join(self.failed())}")
        return "\n".join(lines)


class Findings:
    """Collects for one check while it reads."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.rows = 0
        self._found: list[Violation] = []
        self._more = 0
        self._warnings: list[str] = []

    def add(self, about: str, detail: str) -> None:
        """A violation."""
        if len(self._found) < VIOLATIONS_KEPT:
            self._found.append(Violation(about=about, detail=detail))
        else:
            self._more += 1

    def take(self, about: str, details: Iterable[str]) -> None:
        """Look at one thing; each detail is a violation."""
        self.rows += 1
        for detail in details:
            self.add(about, detail)

    def warn(self, text: str) -> None:
        """True now, and to be looked at, but no violation."""
        self._warnings.append(text)

    def checked(self) -> Checked:
        """The check as it is reported."""
        found = list(self._found)
        if self._more:
            found.append(Violation(about="…", detail=f"{self._more} more"))
        return Checked(name=self.name, ok=not found, rows=self.rows, violations=found, warnings=list(self._warnings))


def make_report(checks: Sequence[Checked]) -> Report:
    """A report of these checks."""
    return Report(ok=all(check.ok for check in checks), checks=list(checks))
