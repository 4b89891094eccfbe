"""`bianmin station suspend, resume`: who does it signs, and the shop is told whom to ask."""

from pathlib import Path

from tests.integration.certs.desk import Desk, say

CODE = "33078200017"


def test_suspend_and_resume(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "site")

    def reason() -> str:
        return str(desk.read("station", "show", CODE)["reason"])

    suspend, resume = ("station", "suspend", CODE), ("station", "resume", CODE)
    config = ("--config", desk.config)
    assert say([*suspend, "--reason", "检查", *config])[0] == 2, "nobody said so"
    assert say([*suspend, "--reason", "检查", "--by", "0007", *config])[0] == 2, "a typed name proves nobody"
    assert say([*suspend, *desk.who(1), *config])[0] == 2, "nobody said why"
    assert desk.done(1, *suspend) == f"station {CODE} is SUSPENDED\n"
    assert reason() == "按规定办理（经办：staff-1）"
    assert desk.do(1, *suspend)[0] == 1
    code, out, _ = desk.do(2, *resume, reason="查清")
    assert (code, out) == (0, f"station {CODE} is ACTIVE\n")
    assert reason() == "查清（经办：staff-2）"
    assert desk.do(1, "station", "resume", "460009")[0] == 1
    assert say(["station", "show", "460009", *config])[0] == 1
