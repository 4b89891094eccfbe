"""Each rule of the house catches what is planted in a small house of its own, and nothing else does."""

from pathlib import Path

import pytest

from tests.architecture.habits import FILE_LINES, FUNCTION_LINES, TOP_LEVEL
from tests.architecture.test_tidy import RULES
from tests.architecture.tree import load_tree

CLEAN = {
    ".gitignore": "var/\n*.pyc\n",
    "contracts/__init__.py": '"""Values."""\n',
    "contracts/money.py": '"""Money."""\n\n\ndef half(fen: int) -> int:\n    """Half."""\n    return fen // 2\n',
    "contracts/ports.py": (
        '"""Ports."""\nfrom typing import Protocol\n\n\nclass Biller(Protocol):\n    """A biller."""\n\n'
        "    async def pay(self) -> None: ...\n"
    ),
    "certs/core/names.py": '"""Names."""\nfrom datetime import datetime, time\nfrom contracts import money\n',
    "adapters/transport/http.py": '"""HTTP."""\nimport asyncio\nfrom contracts.money import half\n',
    "adapters/kit/faults.py": '"""Faults."""\n',
    "adapters/telecom/__init__.py": (
        '"""Telecom."""\nfrom adapters.telecom import wire\nfrom adapters.transport.http import half\n'
        '\n\nclass Telecom:\n    """Telecom."""\n\n    async def pay(self) -> None:\n        open("x")\n'
    ),
    "adapters/telecom/wire.py": '"""Wire."""\nfrom . import codes\n',
    "adapters/telecom/codes.py": '"""Codes."""\n',
    "adapters/telecom/simulator/app.py": '"""Simulator."""\nfrom adapters.kit import faults\nfrom .. import wire\n',
    "gateway/clock.py": (
        "import time\nfrom datetime import UTC, datetime\n\nnow = lambda: datetime.now(UTC)\nt = time.time\n"
    ),
    "gateway/cli.py": (
        'print("hello")\ntry:\n    pass\nexcept Exception:  # boundary: a command ends with a sentence\n    pass\n'
    ),
    "gateway/core/states.py": '"""A TODO in a text is no note."""\nfrom contracts import money\nhalf = 7 // 2\n',
    "gateway/store/rows.py": "from gateway.core.states import half\nratio = 1.5 / 2\n",
    "gateway/terminal/sdk.py": "import time\nfrom certs.core import names\nd = time.strftime\n",
    "settlement/match.py": "from gateway.store import rows\nfrom contracts import money\n",
    "tests/unit/test_all.py": "import time\nfrom settlement import match\nprint(time.time())\n",
}
LONG_FUNCTION = "def f() -> None:\n" + "    x = 1\n" * FUNCTION_LINES
# rule, path, text to put there, words of the complaint
PLANTED = [
    ("direction", "contracts/a.py", "import certs.core.names", "may not import certs.core.names"),
    ("direction", "certs/a.py", "from gateway import clock", "may not import gateway.clock"),
    ("direction", "certs/core/a.py", "from certs import cli", "may not import certs.cli"),
    ("direction", "adapters/water/wire.py", "from adapters.telecom import wire", "adapters.telecom.wire"),
    ("direction", "adapters/water/wire.py", "from ..telecom.wire import codes", "adapters.telecom.wire.codes"),
    ("direction", "adapters/water/wire.py", "from adapters.kit import faults", "adapters.kit.faults"),
    ("direction", "adapters/water/wire.py", "def f():\n    from gateway.clock import now", "gateway.clock.now"),
    ("direction", "adapters/transport/a.py", "from adapters.kit import faults", "adapters.kit.faults"),
    ("direction", "adapters/kit/a.py", "import adapters.telecom", "adapters.telecom"),
    ("direction", "adapters/water/simulator.py", "from adapters.telecom import wire", "adapters.telecom.wire"),
    ("direction", "gateway/a.py", "import adapters.telecom", "adapters.telecom"),
    (
        "direction",
        "gateway/a.py",
        "from importlib import import_module as i\ni('adapters.telecom')",
        "adapters.telecom",
    ),
    ("direction", "gateway/a.py", "from settlement import match", "settlement.match"),
    ("direction", "gateway/core/a.py", "from gateway.store import rows", "gateway.store.rows"),
    ("direction", "gateway/terminal/a.py", "from gateway import clock", "gateway.clock"),
    ("direction", "settlement/a.py", "import adapters", "adapters"),
    ("direction", "gateway/a.py", "from tests.unit import test_all", "tests.unit.test_all"),
    ("contracts", "contracts/a.py", "import os", "standard library module os"),
    ("contracts", "contracts/a.py", "from aiohttp import web", "package aiohttp"),
    ("purity", "gateway/core/a.py", "async def f(): ...", "may not be asynchronous"),
    ("purity", "certs/core/a.py", "import time as t", "may not import time"),
    ("purity", "certs/core/a.py", "from os.path import join", "may not import os.path.join"),
    ("purity", "settlement/core/a.py", "import sqlalchemy.ext.asyncio", "sqlalchemy.ext.asyncio"),
    ("purity", "settlement/core/a.py", "def f():\n    import random", "may not import random"),
    ("purity", "gateway/core/a.py", "def f():\n    return open('x')", "may not call open()"),
    ("purity", "gateway/core/a.py", "import datetime as d\ndef f(): return d.datetime.now(d.UTC)", "datetime.now()"),
    ("purity", "gateway/core/a.py", "from datetime import date\ndef f(): return date.today()", "date.today()"),
    ("import-time", "gateway/a.py", "import sqlite3\nX = sqlite3.connect('x')", "sqlite3.connect()"),
    ("import-time", "certs/a.py", "class A:\n    x = open('y').read()", "open() runs at import"),
    ("import-time", "adapters/water/a.py", "from pathlib import Path\nX = Path('x').read_text()", "read_text()"),
    ("cycles", "gateway/store/a.py", "def f():\n    from gateway.store.a2 import g", "gateway.store.a"),
    ("top-level", "notes.txt", "", "notes.txt: does not belong"),
    ("top-level", "scripts/a.py", "", "scripts: does not belong"),
    ("file-size", "tests/unit/test_a.py", "x = 1\n" * (FILE_LINES + 1), f"{FILE_LINES + 1} lines"),
    ("function-size", "gateway/a.py", LONG_FUNCTION, f"f has {FUNCTION_LINES + 1} lines"),
    ("names", "gateway/http/utils.py", "", "utils.py says nothing"),
    ("names", "tests/common/test_a.py", "", "common says nothing"),
    ("docstrings", "contracts/a.py", "'''A.'''\nclass A: ...", "A has no docstring"),
    ("docstrings", "gateway/core/a.py", "'''A.'''\ndef f(): ...", "f has no docstring"),
    (
        "docstrings",
        "adapters/water/a.py",
        "'''A.'''\nclass A:\n    '''A.'''\n    def f(self): ...",
        "f has no docstring",
    ),
    ("docstrings", "adapters/water/a.py", "x = 1", "the module has no docstring"),
    ("floats", "gateway/core/a.py", "x = 0.5", "float literal 0.5"),
    ("floats", "settlement/core/a.py", "def f(x): x /= 2", "true division"),
    ("floats", "settlement/core/a.py", "def f(x): return x / 2", "true division"),
    ("floats", "contracts/money.py", '"""Money."""\nx = float("1")', "float()"),
    ("broad-except", "gateway/a.py", "try:\n    pass\nexcept Exception:\n    pass", "catches everything"),
    ("broad-except", "tests/unit/test_a.py", "try:\n    pass\nexcept:\n    pass", "catches everything"),
    (
        "broad-except",
        "certs/a.py",
        "try:\n    pass\nexcept (ValueError, BaseException):\n    pass",
        "catches everything",
    ),
    ("broad-except", "certs/a.py", "import contextlib as c\nc.suppress(Exception)", "suppresses everything"),
    ("notes-to-self", "gateway/a.py", "x = 1  # TO" + "DO later", "note to self"),
    ("prints", "gateway/a.py", "def f(): print(1)", "print() outside a command"),
    ("banned-references", "gateway/a.py", "import time\ntime.time()", "use clock.now()"),
    ("banned-references", "adapters/water/a.py", "from time import time\nf = time", "use clock.now()"),
    ("banned-references", "adapters/water/clock.py", "import time\nx = time.time_ns", "use clock.now()"),
    ("banned-references", "settlement/a.py", "from datetime import datetime as d\nd.now()", "use clock.now()"),
    ("banned-references", "gateway/clock.py", "import os\nos.system('x')", "use subprocess.run()"),
]


def build(root: Path, *more: tuple[str, str]) -> None:
    """Write the clean house and what is planted in it."""
    for name in TOP_LEVEL:
        (root / name).touch() if "." in name[1:] or name.isupper() else (root / name).mkdir(exist_ok=True)
    for path, text in [*CLEAN.items(), *more]:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")


@pytest.mark.parametrize("rule", RULES)
def test_clean_house_passes(rule: str, tmp_path: Path) -> None:
    build(tmp_path)
    (tmp_path / "var").mkdir()
    assert list(RULES[rule](load_tree(tmp_path))) == []


@pytest.mark.parametrize(("rule", "path", "text", "words"), PLANTED, ids=lambda value: str(value)[:40])
def test_planted_violation_is_caught(rule: str, path: str, text: str, words: str, tmp_path: Path) -> None:
    more = [(path, text)]
    if rule == "cycles":
        more.append(("gateway/store/a2.py", "from gateway.store import a"))
    build(tmp_path, *more)
    found = list(RULES[rule](load_tree(tmp_path)))
    assert len(found) == 1, found
    assert words in found[0]
    assert path.partition("/")[0] in found[0]


def test_missing_top_level_entry_is_caught(tmp_path: Path) -> None:
    build(tmp_path)
    (tmp_path / "README.md").unlink()
    assert list(RULES["top-level"](load_tree(tmp_path))) == ["README.md: missing at the top level"]


def test_every_rule_has_a_plant() -> None:
    assert {row[0] for row in PLANTED} == set(RULES)
