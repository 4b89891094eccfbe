"""token_sign: signatures a second out of a PKCS#11 token (SoftHSM), one thread, each verified before it is let out."""

import os
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from certs import pilot
from certs.certificates import Role
from certs.keys import PemSigner
from certs.tokens.library import TokenSpec
from certs.tokens.pins import Pin
from certs.tokens.signer import TokenSigner
from contracts.signer import Signer
from tests.bench.options import Options
from tests.bench.percentiles import percentile
from tests.bench.quiet import Window, mark
from tests.bench.results import BenchError, Reference, Result
from tests.stand.softhsm import PIN, SoftHsm, softhsm_module

SECONDS = 2.0
KEYS: dict[str, Callable[[], Any]] = {
    "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "rsa2048": lambda: rsa.generate_private_key(65537, 2048),
}


def measure(options: Options) -> list[Result]:
    """P-256, then RSA-2048; beside each the same key in memory. SoftHSM is not a USB key, which takes 100s of ms."""
    if softhsm_module() is None:
        raise BenchError("SoftHSM is not installed (package softhsm2)")
    with tempfile.TemporaryDirectory(prefix="bmb-") as folder:
        hsm = SoftHsm(Path(folder) / "hsm")
        before = {name: os.environ.get(name) for name in hsm.environment}
        os.environ.update(hsm.environment)
        try:
            return [_measure(hsm, name, make()) for name, make in KEYS.items()]
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


def _measure(hsm: SoftHsm, name: str, key: Any) -> Result:
    now = datetime.now(UTC)
    issuing = pilot.make_issuing(pilot.make_root("示范县邮政局", now), now)
    certificate = pilot.issue(
        issuing, Role.STATION, key.public_key(), operator="0001", institution_code="33078200017",
        usb_key_serial="UK1", now=now,
    )  # fmt: skip
    token = hsm.make_token(name)
    hsm.import_key(token, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), key_id="01")
    spec = TokenSpec(module=hsm.module, token=name)
    with Window() as window:
        beside = len(_sign(PemSigner(certificate, key))) / SECONDS
        signer = TokenSigner.open(spec, lambda ask: Pin(PIN), now=now, certificate=certificate)
        try:
            cpu, begun = time.process_time(), time.perf_counter()
            took = _sign(signer)
            spent, cpu = time.perf_counter() - begun, time.process_time() - cpu
        finally:
            signer.close()
    result = Result(
        name="token_sign",
        settings={"alg": certificate.alg, "module": hsm.module.name, "signatures": len(took)},
        per_s=len(took) / spent,
        p50_ms=percentile(took, 50),
        p99_ms=percentile(took, 99),
        cpu_s_per_1000=cpu / len(took) * 1000,
    )
    return mark(result.compared(Reference(name="key_in_memory", per_s=beside)), window.spent)


def _sign(signer: Signer) -> list[float]:
    """Milliseconds of each signature."""
    took, ends = [], time.perf_counter() + SECONDS
    while (begun := time.perf_counter()) < ends:
        signer.sign(b"%f" % begun)
        took.append((time.perf_counter() - begun) * 1000)
    return took
