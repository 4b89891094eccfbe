"""SoftHSM and the USB key before it; every test that needs them is skipped by name where they are not to be had."""

from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import pytest

from certs.tokens import library
from tests.integration.terminal.double import served
from tests.integration.tokens.material import Bureau, Shop, make_shop
from tests.integration.tokens.shopfront import Shopfront, WatchedDouble, make_keys, move_in
from tests.stand.softhsm import SoftHsm, UsbKey, build_usb_key, compiler, softhsm_module


@pytest.fixture
def hsm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SoftHsm]:
    """SoftHSM without tokens."""
    if softhsm_module() is None:
        pytest.skip("SoftHSM is not installed (package softhsm2)")
    made = SoftHsm(tmp_path / "softhsm")
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    yield made
    # A test that fails leaves its sessions behind; the next one must not meet them.
    for one in list(library._libraries.values()):
        one.run(partial(one.restart, one.generation), 10)
        one.end_thread()


@pytest.fixture(scope="session")
def usb_module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The module of the USB key to which things happen."""
    if softhsm_module() is None:
        pytest.skip("SoftHSM is not installed (package softhsm2)")
    if compiler() is None:
        pytest.skip("no C compiler: the scripted USB key cannot be built")
    return build_usb_key(tmp_path_factory.mktemp("usb"))


@pytest.fixture
def usb(usb_module: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> UsbKey:
    """The USB key to which things happen, over SoftHSM."""
    made = UsbKey(tmp_path / "usb", usb_module)
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    return made


@pytest.fixture(scope="session")
def bureau() -> Bureau:
    """One CA for all tests."""
    return Bureau()


@pytest.fixture
def shop(hsm: SoftHsm, bureau: Bureau) -> Shop:
    """A P-256 key with its certificate in plain SoftHSM."""
    return make_shop(hsm, bureau)


@pytest.fixture
def keyed(hsm: SoftHsm, usb: UsbKey, bureau: Bureau) -> Shop:
    """The same behind the USB key."""
    return make_shop(hsm, bureau, usb=usb)


@pytest.fixture
async def front(hsm: SoftHsm, usb: UsbKey, tmp_path: Path) -> AsyncIterator[Shopfront]:
    """A gateway that behaves, and a shop with its key in a token."""
    keys = make_keys(tmp_path / "keys")
    token = move_in(hsm, keys)
    async with served(WatchedDouble(keys)) as double:
        assert isinstance(double, WatchedDouble)
        yield Shopfront(double, usb, token)
