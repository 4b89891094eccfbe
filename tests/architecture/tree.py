"""The sources under one root, parsed once: what every rule looks at."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOMS = ("contracts", "certs", "adapters", "gateway", "settlement")
CODE = (*ROOMS, "tests")
UNSEEN = {"__pycache__", "node_modules"}
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Import:
    """One imported dotted name. `typing_only`: below `if TYPE_CHECKING`, so it never runs."""

    name: str
    line: int
    typing_only: bool


@dataclass(frozen=True)
class Source:
    """One Python file: path relative to the root with slashes, its text, its tree."""

    path: str
    text: str
    tree: ast.Module

    @property
    def parts(self) -> tuple[str, ...]:
        """Folders and file of the path."""
        return tuple(self.path.split("/"))

    @property
    def module(self) -> str:
        """Dotted name: `adapters/telecom/__init__.py` is `adapters.telecom`."""
        dotted = self.path.removesuffix(".py").replace("/", ".")
        return dotted.removesuffix(".__init__")

    @property
    def in_product(self) -> bool:
        """Whether it is shipped."""
        return self.parts[0] in ROOMS

    @property
    def in_core(self) -> bool:
        """Whether it belongs to a pure `core` package."""
        return self.in_product and self.parts[1:2] == ("core",)

    @cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        """All nodes."""
        return tuple(ast.walk(self.tree))

    @cached_property
    def functions(self) -> tuple[Function, ...]:
        """All functions and methods, nested ones too."""
        return tuple(node for node in self.nodes if isinstance(node, Function))

    @cached_property
    def imports(self) -> tuple[Import, ...]:
        """Every import, also inside functions; `from a import b` counts as `a.b`; import_module("a") counts too."""
        typing_only = {
            id(inner)
            for node in self.nodes
            if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
            for statement in node.body
            for inner in ast.walk(statement)
        }
        return tuple(
            Import(name, node.lineno, id(node) in typing_only)
            for node in self.nodes
            if isinstance(node, ast.Import | ast.ImportFrom | ast.Call)
            for name in self._imported(node)
        )

    @cached_property
    def aliases(self) -> Mapping[str, str]:
        """What each imported name stands for: `from datetime import datetime as dt` gives dt: datetime.datetime."""
        found: dict[str, str] = {}
        for node in self.nodes:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    first = alias.name.split(".")[0]
                    found[alias.asname or first] = alias.name if alias.asname else first
            elif isinstance(node, ast.ImportFrom) and not node.level:
                for alias in node.names:
                    found[alias.asname or alias.name] = f"{node.module}.{alias.name}"
        return found

    def dotted(self, node: ast.AST) -> str:
        """Full dotted name of a name or attribute chain, through the imports; "" for anything else."""
        if isinstance(node, ast.Name):
            return self.aliases.get(node.id, node.id)
        if isinstance(node, ast.Attribute):
            base = self.dotted(node.value)
            return f"{base}.{node.attr}" if base else ""
        return ""

    def calls(self) -> Iterator[tuple[str, ast.Call]]:
        """Every call with the full dotted name of what is called."""
        for node in self.nodes:
            if isinstance(node, ast.Call):
                yield self.dotted(node.func), node

    def _imported(self, node: ast.Import | ast.ImportFrom | ast.Call) -> list[str]:
        if isinstance(node, ast.Import):
            return [alias.name for alias in node.names]
        if isinstance(node, ast.ImportFrom):
            base = self._base(node)
            return [f"{base}.{alias.name}".strip(".") for alias in node.names]
        dynamic = self.dotted(node.func) in {"importlib.import_module", "__import__"}
        first = node.args[0] if node.args else None
        if dynamic and isinstance(first, ast.Constant) and isinstance(first.value, str):
            return [first.value]
        return []

    def _base(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        package = self.parts[: len(self.parts) - node.level]
        return ".".join((*package, node.module) if node.module else package)


@dataclass(frozen=True)
class Tree:
    """All sources under a root and the names at its top level (what git would ignore is left out)."""

    sources: tuple[Source, ...]
    top: frozenset[str]

    @cached_property
    def modules(self) -> Mapping[str, Source]:
        """Sources by dotted name."""
        return {source.module: source for source in self.sources}

    def owner(self, name: str) -> str | None:
        """The module of this tree that an imported dotted name leads to, or None: `a.b.Thing` leads to `a.b`."""
        while name:
            if name in self.modules:
                return name
            name = name.rpartition(".")[0]
        return None


def load_tree(root: Path) -> Tree:
    """Read and parse every Python file in the rooms and the tests below `root`. SyntaxError names the file."""
    ignored = UNSEEN | _ignored(root)
    sources = []
    for folder in CODE:
        for path in sorted((root / folder).rglob("*.py")):
            relative = path.relative_to(root)
            if not UNSEEN & set(relative.parts):
                text = path.read_text(encoding="utf-8")
                sources.append(Source(relative.as_posix(), text, ast.parse(text, filename=str(relative))))
    return Tree(tuple(sources), frozenset(entry.name for entry in root.iterdir() if entry.name not in ignored))


def _ignored(root: Path) -> set[str]:
    """Plain folder names of .gitignore: they exist at run time and belong to nobody."""
    listing = root / ".gitignore"
    lines = listing.read_text().splitlines() if listing.exists() else []
    return {line.strip().rstrip("/") for line in lines if line.strip() and "*" not in line and line[0] != "#"}
