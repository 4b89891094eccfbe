"""Rules about sizes, names, documentation and banned words; each is a pure function over the tree."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator, Mapping

from tests.architecture.tree import Function, Source, Tree

FILE_LINES = 400
FUNCTION_LINES = 70
# Paths of files that may be too large today. May shrink, never grow.
OVERSIZE: frozenset[str] = frozenset()
# Paths of files that a program wrote; sizes do not bind them.
GENERATED: frozenset[str] = frozenset()
TOP_LEVEL = frozenset(
    "pyproject.toml gateway adapters settlement certs contracts tests docker-compose.yml README.md Makefile Dockerfile "
    "LICENSE CHANGELOG.md requirements.lock requirements-dev.lock .ci".split()
)
BANNED_NAMES = frozenset("util utils helper helpers manager managers common misc".split())
MONEY_PATHS = ("gateway/core/", "settlement/core/", "contracts/money.py")
DOCUMENTED_ROOMS = ("contracts", "adapters")
NOTE_TO_SELF = re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b")
# The one clock of the product, and that of a simulator: it plays the partner, whose clock is not ours.
CLOCK_MODULE = re.compile(r"gateway/clock\.py|adapters/kit/clock\.py")
# Anything that reaches one of these names is refused, called or handed on. The text says what to use.
BANNED_REFERENCES: Mapping[str, str] = {
    "time.time": "clock.now()",
    "time.time_ns": "clock.now()",
    "time.monotonic": "clock.monotonic()",
    "time.monotonic_ns": "clock.monotonic()",
    "time.clock_gettime": "clock.boottime()",
    "time.sleep": "clock.sleep()",
    "time.localtime": "clock.now().astimezone(zone)",
    "time.gmtime": "clock.now()",
    "datetime.datetime.now": "clock.now()",
    "datetime.datetime.utcnow": "clock.now()",
    "datetime.datetime.today": "clock.now()",
    "datetime.date.today": "clock.now().astimezone(zone).date()",
    "datetime.datetime.utcfromtimestamp": "datetime.fromtimestamp(seconds, UTC)",
    "asyncio.get_event_loop": "asyncio.get_running_loop()",
    "random.random": "the secrets module, or a random.Random(seed) passed in",
    "random.randint": "the secrets module, or a random.Random(seed) passed in",
    "random.choice": "the secrets module, or a random.Random(seed) passed in",
    "random.getrandbits": "secrets.randbits()",
    "uuid.uuid1": "contracts.serials",
    "os.system": "subprocess.run() with a list",
    "os._exit": "sys.exit(), or a named crash point",
    "pickle.loads": "msgspec",
    "pickle.load": "msgspec",
    "ssl._create_unverified_context": "ssl.create_default_context()",
    "ssl._create_default_https_context": "ssl.create_default_context()",
    "requests.get": "aiohttp",
    "requests.post": "aiohttp",
}
OUTSIDE_CLOCK = frozenset(name for name, use in BANNED_REFERENCES.items() if use.startswith("clock"))
# A process that is stopped at a named point stops at once; a forked child must not run its parent's clean-up.
ALLOWED_REFERENCES = frozenset({("gateway/serve.py", "os._exit"), ("gateway/store/sqlite/process.py", "os._exit")})


def check_top_level(tree: Tree) -> Iterator[str]:
    """The top level is exactly what the design lists, plus dotfiles."""
    for name in sorted(tree.top - TOP_LEVEL):
        if not name.startswith("."):
            yield f"{name}: does not belong at the top level"
    for name in sorted(TOP_LEVEL - tree.top):
        yield f"{name}: missing at the top level"


def check_file_size(tree: Tree) -> Iterator[str]:
    """No file beyond the limit, and nothing listed as oversize that no longer is."""
    for source in tree.sources:
        lines = len(source.text.splitlines())
        if lines > FILE_LINES and source.path not in OVERSIZE | GENERATED:
            yield f"{source.path}: {lines} lines, at most {FILE_LINES}: split it by subject"
        if lines <= FILE_LINES and source.path in OVERSIZE:
            yield f"{source.path}: fits now, take it off OVERSIZE"


def check_function_size(tree: Tree) -> Iterator[str]:
    """No function beyond the limit, from its `def` to its last line."""
    for source in tree.sources:
        if source.path in GENERATED:
            continue
        for node in source.functions:
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES:
                yield f"{source.path}:{node.lineno}: {node.name} has {lines} lines, at most {FUNCTION_LINES}"


def check_names(tree: Tree) -> Iterator[str]:
    """Modules are nouns that say what is in them."""
    for source in tree.sources:
        for part in source.parts:
            if part.removesuffix(".py") in BANNED_NAMES:
                yield f"{source.path}: the name {part} says nothing: name it after what it holds"


def check_docstrings(tree: Tree) -> Iterator[str]:
    """Public names in core/, contracts/ and adapters/ say what they are.

    Methods of a protocol are described by it, wherever they are implemented.
    """
    promised = {name for source in tree.sources for name in _protocol_methods(source)}
    for source in tree.sources:
        if source.in_core or source.parts[0] in DOCUMENTED_ROOMS:
            if not ast.get_docstring(source.tree) and source.tree.body:
                yield f"{source.path}: the module has no docstring"
            yield from _undocumented(source, source.tree, promised)


def _protocol_methods(source: Source) -> Iterator[str]:
    for node in source.nodes:
        if source.parts[0] == "contracts" and isinstance(node, ast.ClassDef) and _is_protocol(node):
            yield from (method.name for method in node.body if isinstance(method, Function))


def _is_protocol(node: ast.ClassDef) -> bool:
    return any(ast.unparse(base).split("[")[0].endswith("Protocol") for base in node.bases)


def _undocumented(source: Source, holder: ast.Module | ast.ClassDef, promised: set[str]) -> Iterator[str]:
    for node in holder.body:
        if not isinstance(node, Function | ast.ClassDef) or node.name.startswith("_"):
            continue
        is_method = isinstance(holder, ast.ClassDef)
        if not ast.get_docstring(node) and not (is_method and node.name in promised):
            yield f"{source.path}:{node.lineno}: {node.name} has no docstring"
        if isinstance(node, ast.ClassDef) and not _is_protocol(node):
            yield from _undocumented(source, node, promised)


def check_floats(tree: Tree) -> Iterator[str]:
    """Money is integer fen (M1): no float literal, no float(), no true division where it is decided."""
    for source in tree.sources:
        if not source.path.startswith(MONEY_PATHS):
            continue
        for node in source.nodes:
            if isinstance(node, ast.Constant) and isinstance(node.value, float | complex):
                yield f"{source.path}:{node.lineno}: float literal {node.value}: money is integer fen"
            elif isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div):
                yield f"{source.path}:{node.lineno}: true division makes a float: use // or divmod()"
            elif isinstance(node, ast.Call) and source.dotted(node.func) == "float":
                yield f"{source.path}:{node.lineno}: float(): money is integer fen"


def check_broad_except(tree: Tree) -> Iterator[str]:
    """`except Exception` and wider only where the line says `# boundary`."""
    for source in tree.sources:
        lines = source.text.splitlines()
        for node in source.nodes:
            if isinstance(node, ast.ExceptHandler):
                marked = re.search(r"#.*\bboundary\b", lines[node.lineno - 1])
                if _is_broad(source, node) and not marked:
                    yield f"{source.path}:{node.lineno}: catches everything: name the errors, or mark it # boundary"
        for name, call in source.calls():
            everything = {"Exception", "BaseException"} & {source.dotted(argument) for argument in call.args}
            if name == "contextlib.suppress" and everything:
                yield f"{source.path}:{call.lineno}: suppresses everything: name the errors"


def _is_broad(source: Source, node: ast.ExceptHandler) -> bool:
    caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
    return any(kind is None or source.dotted(kind) in {"Exception", "BaseException"} for kind in caught)


def check_notes_to_self(tree: Tree) -> Iterator[str]:
    """What is to be done is an issue, not a comment."""
    for source in tree.sources:
        for token in tokenize.generate_tokens(io.StringIO(source.text).readline):
            if token.type == tokenize.COMMENT and NOTE_TO_SELF.search(token.string):
                yield f"{source.path}:{token.start[0]}: note to self: {token.string.strip()}"


def check_prints(tree: Tree) -> Iterator[str]:
    """Only a command speaks to a terminal; everything else logs or returns."""
    for source in tree.sources:
        stem = source.parts[-1].removesuffix(".py")
        is_command = stem == "cli" or stem.endswith("_cli") or stem == "__main__" or "cli" in source.parts
        if source.in_product and not is_command:
            for name, call in source.calls():
                if name == "print":
                    yield f"{source.path}:{call.lineno}: print() outside a command: log it or return it"


def check_banned_references(tree: Tree) -> Iterator[str]:
    """Time, randomness and a few sharp tools come in through what the text names."""
    for source in tree.sources:
        if not source.in_product:
            continue
        for node in source.nodes:
            name = source.dotted(node) if isinstance(node, ast.Attribute | ast.Name) else ""
            use = BANNED_REFERENCES.get(name)
            exempt = name in OUTSIDE_CLOCK and CLOCK_MODULE.fullmatch(source.path)
            if use and not exempt and (source.path, name) not in ALLOWED_REFERENCES:
                yield f"{source.path}:{getattr(node, 'lineno', 0)}: {name} is banned here: use {use}"
