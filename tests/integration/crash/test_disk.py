"""The disk is full, then read-only: a clear signed 503, nothing half-done, and it goes on when space returns."""

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.http.shops import Reply, new_key
from tests.stand.gateway import Stand


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """The folder's content on a file system of its own, of this size."""
    aside = folder.with_name(folder.name + ".aside")
    folder.rename(aside)
    folder.mkdir(mode=0o700)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=False)
    if done.returncode:
        pytest.skip("a tmpfs of a given size can be mounted by root only")
    try:
        for file in aside.iterdir():
            shutil.copy2(file, folder / file.name)
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def remount(folder: Path, option: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{option}", str(folder)], check=True)


async def pay_until(stand: Stand, slug: str, *, at_most: int) -> Reply:
    """Pay until a reply is refused with this slug."""
    shop = stand.shop()
    for number in range(at_most):
        reply = await shop.pay(1000, key=new_key(), biller_account=f"1390002{number:04d}")
        if reply.slug == slug:
            return reply
        assert reply.status in (201, 202), reply.json
    raise AssertionError(f"{at_most} payments, and none was refused with {slug}")


@pytest.mark.timeout(400)
def test_a_full_disk_refuses_clearly_and_recovers_when_space_returns(tmp_path: Path) -> None:
    with Stand(tmp_path) as stand:
        stand.deposit("90000", "V1")
        var = tmp_path / "pilot" / "var"
        with small_disk(var, "3m"):
            stand.start()
            refused = asyncio.run(pay_until(stand, "overloaded", at_most=2000))
            assert (refused.status, refused.signed) == (503, True)
            assert refused.header("Retry-After")
            assert "Traceback" not in stand.log()
            remount(var, "size=64m")
            again = asyncio.run(stand.shop().pay(1000, biller_account="13900099999"))
            assert again.status in (201, 202), again.json
            stand.settle()
            stand.stop()
            stand.check()
