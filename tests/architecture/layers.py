"""Rules about who may import whom, and about what a pure core may touch."""

import ast
import sys
from collections.abc import Iterator

from tests.architecture.tree import CODE, Import, Source, Tree

# What may be imported, by the longest prefix of the importing module. {adapter} is the adapter's own folder.
PURE = ("contracts", "certs.core")
ALLOWED: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("contracts", ("contracts",)),
    ("certs", ("contracts", "certs")),
    ("certs.core", PURE),
    ("adapters", ("contracts", "certs", "adapters.transport", "{adapter}")),
    ("adapters.transport", ("contracts", "certs", "adapters.transport")),
    ("adapters.kit", ("contracts", "certs", "adapters.transport", "adapters.kit")),
    ("gateway", ("contracts", "certs", "gateway")),
    ("gateway.core", (*PURE, "gateway.core")),
    ("gateway.terminal", ("contracts", "certs", "gateway.terminal")),
    ("settlement", ("contracts", "certs", "gateway", "settlement")),
    ("settlement.core", (*PURE, "gateway.core", "settlement.core")),
    ("tests", CODE),
)
# contextvars: for the trace context of a task alone (contracts/traces.py).
CONTRACTS_STDLIB = frozenset(
    "__future__ abc base64 collections contextvars dataclasses datetime decimal enum functools hashlib itertools json "
    "re string types typing unicodedata".split()
)
IMPURE_MODULES = frozenset(
    (
        "aiohttp aiokafka aiosqlite asyncio asyncpg concurrent fcntl glob http.client http.server httpx logging "
        "multiprocessing os pathlib psycopg queue random requests secrets select shutil signal socket sqlalchemy "
        "sqlite3 ssl structlog subprocess tempfile tenacity threading time urllib.request uvloop zeep"
    ).split()
)
IMPURE_CALLS = frozenset(
    "open input print exec eval datetime.datetime.now datetime.datetime.utcnow datetime.datetime.today "
    "datetime.date.today zoneinfo.ZoneInfo importlib.import_module importlib.resources.files "
    "uuid.uuid1 uuid.uuid4".split()
)
IMPORT_TIME_IO = frozenset(
    "open socket.socket socket.create_connection sqlite3.connect sqlalchemy.create_engine "
    "sqlalchemy.ext.asyncio.create_async_engine asyncio.run subprocess.run subprocess.Popen "
    "os.mkdir os.makedirs os.open".split()
)
IMPORT_TIME_METHODS = frozenset("read_text read_bytes write_text write_bytes open_text open_binary mkdir".split())


def below(name: str, prefix: str) -> bool:
    """Whether a dotted name is `prefix` or inside it."""
    return name == prefix or name.startswith(prefix + ".")


def allowed_for(source: Source) -> tuple[str, ...]:
    """Prefixes this module may import from our own code."""
    longest = max((row for row in ALLOWED if below(source.module, row[0])), key=lambda row: len(row[0]))
    own = ".".join(source.module.split(".")[:2])
    prefixes = tuple(prefix.format(adapter=own) for prefix in longest[1])
    if longest[0] == "adapters" and "simulator" in (part.removesuffix(".py") for part in source.parts):
        prefixes += ("adapters.kit",)
    return prefixes


def check_direction(tree: Tree) -> Iterator[str]:
    """Imports of our own code follow the table; `import adapters` alone gives nothing away but is refused too."""
    for source in tree.sources:
        allowed = allowed_for(source)
        for found in source.imports:
            ours = found.name.split(".")[0] in CODE
            if ours and not any(below(found.name, prefix) for prefix in allowed):
                yield f"{source.path}:{found.line}: may not import {found.name}; may import {', '.join(allowed)}"


def check_contracts(tree: Tree) -> Iterator[str]:
    """contracts/ holds values: a short list of the standard library, and msgspec."""
    for source in tree.sources:
        if source.parts[0] == "contracts":
            for found in source.imports:
                first = found.name.split(".")[0]
                if first not in CONTRACTS_STDLIB | {"contracts", "msgspec"}:
                    kind = "standard library module" if first in sys.stdlib_module_names else "package"
                    yield f"{source.path}:{found.line}: contracts may not import the {kind} {first}"


def check_purity(tree: Tree) -> Iterator[str]:
    """core/ decides: no await, clock, random, log, SQL or file."""
    for source in tree.sources:
        if source.in_core:
            yield from _impure_imports(source)
            yield from _impure_nodes(source)


def _impure_imports(source: Source) -> Iterator[str]:
    for found in source.imports:
        if any(below(found.name, module) for module in IMPURE_MODULES):
            yield f"{source.path}:{found.line}: core may not import {found.name}: pass the value in"


def _impure_nodes(source: Source) -> Iterator[str]:
    for node in source.nodes:
        if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith):
            yield f"{source.path}:{node.lineno}: core may not be asynchronous: the shell awaits"
    for name, call in source.calls():
        if name in IMPURE_CALLS:
            yield f"{source.path}:{call.lineno}: core may not call {name}(): pass the value in"


def check_import_time(tree: Tree) -> Iterator[str]:
    """Importing a module opens no socket, file or database: only statements outside functions are looked at."""
    for source in tree.sources:
        if not source.in_product:
            continue
        for node in _at_import(source.tree):
            if isinstance(node, ast.Call):
                name = source.dotted(node.func)
                method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
                if name in IMPORT_TIME_IO or method in IMPORT_TIME_METHODS:
                    yield f"{source.path}:{node.lineno}: {name or method}() runs at import: do it in a function"


def _at_import(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or _is_main_guard(child):
            continue
        yield child
        yield from _at_import(child)


def _is_main_guard(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "__name__" in ast.unparse(node.test)


def check_cycles(tree: Tree) -> Iterator[str]:
    """No module reaches itself over imports that run, however late; a package stands for its `__init__`."""
    graph = {source.module: _targets(tree, source) for source in tree.sources}
    done: set[str] = set()
    for start in sorted(graph):
        yield from _walk(start, graph, done)


def _targets(tree: Tree, source: Source) -> dict[str, int]:
    found: dict[str, int] = {}
    for item in source.imports:
        target = None if item.typing_only else _target(tree, item)
        if target and target != source.module:
            found.setdefault(target, item.line)
    return found


def _target(tree: Tree, item: Import) -> str | None:
    return tree.owner(item.name) if item.name.split(".")[0] in CODE else None


def _walk(start: str, graph: dict[str, dict[str, int]], done: set[str]) -> Iterator[str]:
    """Depth first without recursion; each cycle is reported once, where it closes."""
    path: list[str] = []
    stack: list[tuple[str, bool]] = [(start, False)]
    while stack:
        module, leaving = stack.pop()
        if leaving:
            path.pop()
            done.add(module)
        elif module in path:
            yield f"{module}: import cycle {' -> '.join([*path[path.index(module) :], module])}"
        elif module not in done:
            path.append(module)
            stack.append((module, True))
            stack.extend((target, False) for target in graph[module])
