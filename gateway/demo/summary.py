"""summary.json, exactly as scripts read it (api s3)."""

import json
import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

from gateway.demo.day import Result
from gateway.demo.system import Ground


def document(result: Result, ground: Ground) -> dict[str, Any]:
    """The result as the document. `settlement` names the day only: its night is not part of this demo."""
    return {
        "ok": result.ok,
        "version": version("bianmin-gateway"),
        "elapsed_s": result.elapsed_s,
        "engine": ground.engine,
        "bus": ground.bus,
        "keys": ground.keys,
        "scenarios": [
            {
                "name": told.title.name,
                "gateway_serial": told.row.gateway_serial if told.row else None,
                "states": list(told.row.states) if told.row else [],
                "evidence": told.row.evidence if told.row else None,
                "ok": told.row is not None,
            }
            for told in result.told
        ],
        "books": {
            name: {"ours_fen": book.ours_fen, "theirs_fen": book.theirs_fen, "equal": book.equal}
            for name, book in result.books.items()
        },
        "settlement": {"account_date": result.account_date},
        "audit": result.audit,
        "evidence": {
            proof.name: {
                "subject": proof.subject,
                "folder": str(proof.folder),
                "records": proof.records,
                "exit_code": proof.code,
                "word": proof.word,
                "ok": proof.ok,
            }
            for proof in result.proofs
        },
    }


def write(file: Path, result: Result, ground: Ground) -> None:
    """Write it whole or not at all."""
    half = file.with_suffix(".part")
    half.write_text(json.dumps(document(result, ground), ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    os.replace(half, file)
