"""`http.partner_client_certs` in a gateway that serves: a notice without the pinned certificate goes nowhere."""

import contextlib
import http.client
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.cli import run
from tests.stand.partner_pki import PASSWORD, Held, PartnerCa
from tests.stand.ports import free_port

pytestmark = pytest.mark.slow


@contextlib.contextmanager
def serving(config: Path) -> Iterator[None]:
    """The real command, until the block ends."""
    command = [sys.executable, "-c", "from gateway.cli import main; main()", "serve", "--config", str(config)]
    with (config.parent / "serve.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line.startswith("serving"), (line, (config.parent / "serve.log").read_text())
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.stdout.close()
        assert process.wait(30) == 0


def notify(port: int, folder: Path, held: Held | None) -> int:
    """The status of one notice; 0 where the handshake was refused."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if held is not None:
        certificate, key, _ = held.write(folder, "client")
        context.load_cert_chain(certificate, key, PASSWORD)
    connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=10)
    try:
        connection.request("POST", "/notices/telecom", body=b"{}")
        return connection.getresponse().status
    except (ssl.SSLError, ConnectionError):
        return 0
    finally:
        connection.close()


def test_only_with_the_pinned_certificate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site, ports = tmp_path / "site", [free_port() for _ in range(3)]
    assert run(["init", str(site), "--listen", f"127.0.0.1:{ports[0]}", "--partner-port", str(ports[1]),
                "--admin-port", str(ports[2])]) == 0  # fmt: skip
    ca = PartnerCa(datetime.now(UTC))
    server, ours, other = ca.alone("gateway"), ca.leaf("telecom"), ca.leaf("telecom")
    certificate, key, password = server.write(site, "tls")
    config = site / "bianmin.toml"
    settings = (
        f'tls_cert_file = "{certificate}"\ntls_key_file = "{key}"\ntls_key_password_file = "{password}"\n'
        'partner_client_certs = ["telecom"]\n'
    )
    config.write_text(config.read_text().replace("[http]\n", f"[http]\n{settings}"))
    pinned, _, _ = ours.write(tmp_path, "theirs")

    def people(who: int) -> list[str]:
        keys, secrets = site / "keys", site / "secrets"
        words = ["--as", str(keys / f"staff-{who}.cert.pem"), "--key", str(keys / f"staff-{who}.key.pem")]
        words += ["--password-file", str(secrets / f"staff-{who}-key.password"), "--reason", "测试"]
        return [*words, "--config", str(config)]

    capsys.readouterr()
    assert run(["certs", "partner", "add", "telecom", str(pinned), "--use", "tls", *people(1)]) == 0
    assert run(["certs", "partner", "approve", capsys.readouterr().out.split()[-1], *people(2)]) == 0
    with serving(config):
        assert notify(ports[1], tmp_path, None) == 403
        assert notify(ports[1], tmp_path, other) == 0
        assert notify(ports[1], tmp_path, ours) not in (0, 403), "it reaches the adapter, whatever that says of it"
        assert run(["certs", "partner", "close", "telecom", ours.certificate.keyid, *people(1)]) == 0
        assert notify(ports[1], tmp_path, ours) == 403, "closed beside the running gateway"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('partner_client_certs = ["telecom"]', "no biller while there are no TLS files"),
        ('partner_server_certs = ["nobody"]', "not nobody"),
        ('partner_server_certs = ["telecom"]', "billers.telecom.base_url: expected an https:// address"),
        ('partner_client_certs = ["nobody"]\ntls_cert_file = "a"\ntls_key_file = "b"', "not nobody"),
    ],
)
def test_settings_that_mean_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, told: str) -> None:
    site = tmp_path / "site"
    assert run(["init", str(site)]) == 0
    config = site / "bianmin.toml"
    config.write_text(config.read_text().replace("[http]\n", f"[http]\n{text}\n"))
    capsys.readouterr()
    assert run(["config", "check", "--config", str(config)]) == 2
    assert told in capsys.readouterr().err
    if "partner_server_certs" in text:
        assert run(["serve", "--config", str(config)]) == 2, "nor does it start"
        assert told in capsys.readouterr().err
