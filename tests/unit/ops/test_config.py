"""The configuration file: forms of worked example s5.1, s5.2; each error names file, key and expected form."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from contracts.biller import Adapter
from gateway.config import (
    ConfigError,
    PostgresStore,
    SqliteStore,
    build_env,
    check_roles,
    find_adapters,
    load_config,
    with_ports,
)

SQLITE = """
bureau = { name = "示范县邮政局", zone = "Asia/Shanghai", policy = "mianyang" }
http = { listen = "0.0.0.0:8443", authorities = ["pay.bianmin.example:8443"], admin_port = 9090, partner_port = 9443, tls_cert_file = "keys/tls.cert.pem", tls_key_file = "keys/tls.key.pem" }
keys = { root_cert_file = "keys/root.cert.pem", issuing_cert_file = "keys/issuing.cert.pem", reply_cert_file = "keys/reply.cert.pem", reply_key_file = "keys/reply.key.pem", reply_key_password_file = "secrets/reply-key.password" }
store = { engine = "sqlite", path = "var/bianmin.db", batch_max = 64, http_processes = 1 }
bus = { driver = "embedded" }
billers.telecom = { base_url = "https://telecom.example:7401", agent_no = "8801000123", key_no = "01", sign_key_file = "secrets/telecom.key", other_key_files = { "02" = "secrets/telecom-2.key" }, connect_timeout_ms = 2000, reply_timeout_ms = 18000 }
"""  # noqa: E501 - the file of worked example s5.1
POSTGRES_STORE = (
    'store = { engine = "postgresql", hosts = ["pg-1.example:5432"], standby_hosts = ["pg-2.example:5432"],'
    ' database = "bianmin", user = "bianmin", password_file = "secrets/postgresql.password", connections = 4,'
    " batch_max = 64 }"
)


@pytest.fixture(scope="module")
def adapters() -> Mapping[str, Adapter]:
    return find_adapters()


def write(folder: Path, text: str) -> Path:
    file = folder / "bianmin.toml"
    file.write_text(text, encoding="utf-8")
    return file


def postgres_text() -> str:
    lines = [POSTGRES_STORE if line.startswith("store") else line for line in SQLITE.splitlines()]
    return "\n".join(lines)


def test_the_form_for_sqlite(tmp_path: Path, adapters: Mapping[str, Adapter]) -> None:
    config = load_config(write(tmp_path, SQLITE), adapters)
    assert isinstance(config.store, SqliteStore)
    assert config.store.path == tmp_path / "var/bianmin.db"
    assert config.keys.reply_key_file == tmp_path / "keys/reply.key.pem"
    assert config.http.tls
    assert (config.http.host, config.http.port) == ("0.0.0.0", 8443)
    telecom = config.billers["telecom"]
    assert telecom.sign_key_file == str(tmp_path / "secrets/telecom.key")
    assert telecom.other_key_files == {"02": str(tmp_path / "secrets/telecom-2.key")}
    assert telecom.tls_ca_file == ""
    assert set(build_env(config, adapters).billers) == {"mobile.topup", "mobile.bill", "broadband.bill"}


def test_the_form_for_postgresql(tmp_path: Path, adapters: Mapping[str, Adapter]) -> None:
    config = load_config(write(tmp_path, postgres_text()), adapters)
    assert isinstance(config.store, PostgresStore)
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/postgresql.password").write_text("geheim\n")
    assert config.store.connection().password == "geheim"
    assert config.store.connection().standby_hosts == ("pg-2.example:5432",)
    assert config.store.url().startswith("postgresql://bianmin:geheim@")
    with pytest.raises(ConfigError, match="kafka for any role but `all`"):
        check_roles(config, ["api", "worker"])


FAULTS: dict[str, tuple[str, str, str, str]] = {
    "engine": ('"sqlite"', '"mysql"', "store.engine", "sqlite or postgresql"),
    "bus": ('"embedded"', '"rabbit"', "bus.driver", "embedded or kafka"),
    "bus without brokers": ('"embedded"', '"kafka"', "bus.bootstrap", "required"),
    "listen": ("0.0.0.0:8443", "0.0.0.0", "http.listen", "host:port"),
    "type": ("admin_port = 9090", 'admin_port = "x"', "http.admin_port", "`int`"),
    "bool is no number": ("admin_port = 9090", "admin_port = true", "http.admin_port", "`int`"),
    "unknown key": ("zone =", "zon =", "bureau.zon", "name, zone, policy"),
    "unknown section": ("bureau =", "burea =", "burea", "bureau, http, keys"),
    "missing key": (' path = "var/bianmin.db",', "", "store.path", "required"),
    "missing section": ("bus = {", "log = {", "log.driver", "level"),
    "zone": ("Asia/Shanghai", "Mars/Olympus", "bureau.zone", "IANA"),
    "policy": ("mianyang", "other", "bureau.policy", "default or mianyang"),
    "limit": ("batch_max = 64", "batch_max = 0", "store.batch_max", "1 to 512"),
    "fronts": ("http_processes = 1", "http_processes = 9", "store.http_processes", "1 to 8"),
    "adapter": ("billers.telecom", "billers.carrier", "billers.carrier", "telecom"),
    "adapter's form": ("8801000123", "88", "billers.telecom.agent_no", "10 digits"),
    "adapter's limit": (
        "connect_timeout_ms = 2000",
        "connect_timeout_ms = 1",
        "billers.telecom.connect_timeout_ms",
        "",
    ),
    "adapter's key": ("agent_no =", "agent_nr =", "billers.telecom.agent_nr", "agent_no"),
    "adapter's type": ("reply_timeout_ms = 18000", "reply_timeout_ms = 1.5", "billers.telecom.reply_timeout_ms", "int"),
    "path": ('path = "var/bianmin.db"', "path = 7", "store.path", "a path"),
    "empty path": ('"keys/root.cert.pem"', '""', "keys.root_cert_file", "a path"),
    "half of TLS": (', tls_key_file = "keys/tls.key.pem"', "", "http.tls_key_file", "together"),
    "default port": (
        'authorities = ["pay.bianmin.example:8443"]',
        'authorities = ["pay.bianmin.example:443"]',
        "http.authorities",
        "left out",
    ),
    "capitals": ("pay.bianmin", "Pay.bianmin", "http.authorities", "lower case"),
    "no authority": ('["pay.bianmin.example:8443"]', "[]", "http.authorities", "at least one"),
    "half an archive": (
        'reply_cert_file = "',
        'archive_cert_file = "keys/a.pem", reply_cert_file = "',
        "keys.archive_key_file",
        "together",
    ),
    "one port twice": ("admin_port = 9090", "admin_port = 8443", "http.admin_port", "another port"),
    "TOML": ("bureau = {", "bureau = {{", "", "TOML"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_an_error_names_file_key_and_form(fault: str, tmp_path: Path, adapters: Mapping[str, Adapter]) -> None:
    was, now, key, form = FAULTS[fault]
    assert was in SQLITE
    file = write(tmp_path, SQLITE.replace(was, now, 1))
    with pytest.raises(ConfigError) as caught:
        load_config(file, adapters)
    assert caught.value.file == file
    assert caught.value.key == key
    assert form in caught.value.expected
    assert str(caught.value).startswith(f"{file}: ")


def test_an_error_repeats_no_value(tmp_path: Path, adapters: Mapping[str, Adapter]) -> None:
    canary = "Canary-Secret-0123456789"
    for was, now in (
        ('sign_key_file = "secrets/telecom.key"', f'sign_key = "{canary}"'),
        ('"sqlite"', f'"{canary}"'),
        ('"embedded"', f'"{canary}"'),
        ("admin_port = 9090", f'admin_port = "{canary}"'),
        ("8801000123", canary),
    ):
        with pytest.raises(ConfigError) as caught:
            load_config(write(tmp_path, SQLITE.replace(was, now, 1)), adapters)
        assert canary not in str(caught.value)


def test_a_value_outside_its_list_is_not_repeated_but_the_list_is_told(
    tmp_path: Path, adapters: Mapping[str, Adapter]
) -> None:
    canary = "13805791357"
    sign_type = SQLITE.replace("agent_no", f'sign_type = "{canary}", agent_no', 1)
    for text, told in (
        (postgres_text().replace("connections = 4", f'tls = "{canary}"', 1), "store.tls: expected off, prefer, "),
        (sign_type, "billers.telecom.sign_type: expected one of HMAC-SHA256, MD5"),
    ):
        with pytest.raises(ConfigError) as caught:
            load_config(write(tmp_path, text), adapters)
        assert told in str(caught.value)
        assert canary not in str(caught.value)


def test_postgres_errors(tmp_path: Path, adapters: Mapping[str, Adapter]) -> None:
    for was, now, key in (
        ('hosts = ["pg-1.example:5432"]', "hosts = []", "store.hosts"),
        ("pg-2.example:5432", "pg-2.example", "store.standby_hosts"),
        ('user = "bianmin"', 'user = ""', "store.database"),
        ("connections = 4", 'tls = "verify"', "store.ca_file"),
        ("connections = 4", "path = 'x'", "store.path"),
    ):
        with pytest.raises(ConfigError) as caught:
            load_config(write(tmp_path, postgres_text().replace(was, now, 1)), adapters)
        assert caught.value.key == key


def test_no_file(tmp_path: Path, adapters: Mapping[str, Adapter]) -> None:
    with pytest.raises(ConfigError, match=r"absent\.toml: expected a readable TOML file: No such file"):
        load_config(tmp_path / "absent.toml", adapters)


def test_without_tls_only_loopback_is_listened_on(tmp_path: Path, adapters: Mapping[str, Adapter]) -> None:
    bare = SQLITE.replace(', tls_cert_file = "keys/tls.cert.pem", tls_key_file = "keys/tls.key.pem"', "")
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, bare), adapters)
    assert caught.value.key == "http.listen"
    local = bare.replace("0.0.0.0:8443", "127.0.0.1:8443")
    assert not load_config(write(tmp_path, local), adapters).http.tls
    behind = bare.replace("admin_port = 9090", "admin_port = 9090, plain_http = true")
    assert load_config(write(tmp_path, behind), adapters).http.plain_http


def test_roles(tmp_path: Path, adapters: Mapping[str, Adapter]) -> None:
    config = load_config(write(tmp_path, SQLITE), adapters)
    check_roles(config, ["all"])
    with pytest.raises(ConfigError, match="postgresql for any role but `all`"):
        check_roles(config, ["api"])
    for wrong in (["boss"], [], [""], ["api", "api"]):
        with pytest.raises(ConfigError, match="one of all, api, relay, worker, resolver, sealer"):
            check_roles(config, wrong)
    with pytest.raises(ConfigError, match="`all` alone"):
        check_roles(config, ["all", "api"])
    spread = load_config(
        write(tmp_path, postgres_text().replace('"embedded"', '"kafka", bootstrap = ["k:9092"]')), adapters
    )
    check_roles(spread, ["api", "worker"])
    check_roles(spread, ["all"])


def test_ports_of_one_process(tmp_path: Path, adapters: Mapping[str, Adapter]) -> None:
    config = load_config(write(tmp_path, SQLITE), adapters)
    assert with_ports(config) is config
    other = with_ports(config, port=0, partner_port=1, admin_port=2)
    assert (other.http.listen, other.http.partner_port, other.http.admin_port) == ("0.0.0.0:0", 1, 2)
    assert other.http.authorities == config.http.authorities


def test_only_configured_adapters_are_imported(tmp_path: Path, adapters: Mapping[str, Adapter]) -> None:
    class Refusing(dict[str, Adapter]):
        def __getitem__(self, name: str) -> Adapter:
            raise AssertionError(f"{name} was looked up")

    text = "\n".join(line for line in SQLITE.splitlines() if not line.startswith("billers"))
    assert load_config(write(tmp_path, text), Refusing(adapters)).billers == {}


def test_two_billers_of_one_service(tmp_path: Path, adapters: Mapping[str, Adapter]) -> None:
    config = load_config(write(tmp_path, SQLITE), adapters)
    telecom = adapters["telecom"]
    both = type(config)(**{name: getattr(config, name) for name in config.__struct_fields__ if name != "billers"},
                        billers={"telecom": None, "twin": None})  # fmt: skip
    with pytest.raises(ConfigError, match="each service at one biller"):
        build_env(both, {"telecom": telecom, "twin": telecom})
