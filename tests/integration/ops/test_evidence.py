"""Evidence of one payment as files: a stranger verifies them with a shell and openssl, and no file can be changed."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from certs.core.headers import content_digest
from certs.pilot import make_root, write_certificate
from tests.stand.house import NOON
from tests.stand.partner_pki import at_ms
from tests.stand.signed_house import SignedHouse, leaf_text, resum, verify


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SignedHouse]:
    house = SignedHouse(tmp_path_factory.mktemp("signed"))
    house.publish(1)
    yield house
    house.house.close()


@pytest.fixture(scope="module")
def written(signed: SignedHouse, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The evidence of the third of five payments of a signed day."""
    payments = [signed.pay(number) for number in range(10_001, 10_006)]
    signed.close_day()
    folder = tmp_path_factory.mktemp("out") / "evidence"
    signed.write(payments[2], folder)
    return folder


def copy_of(written: Path, folder: Path) -> Path:
    shutil.copytree(written, folder / "copy")
    return folder / "copy"


def test_a_stranger_can_verify_it(written: Path) -> None:
    code, said = verify(written)
    assert code == 0, said
    assert said.splitlines()[-1].startswith("OK ")
    assert said.splitlines()[-1].endswith(", 2 records: all are under a signed day, 1 signed by who asked for it too")
    assert said.count("\nPROVEN ") + said.startswith("PROVEN ") == 2
    about = json.loads((written / "payment.json").read_text())
    assert about["payment"]["state"] == "SUCCESS"
    assert [transaction["recipe"] for transaction in about["transactions"]] == ["R01", "R05"]
    assert len(about["transactions"][1]["postings"]) == 6
    assert about["attempts"][0]["outcome"] == "Paid"


def test_it_uses_no_more_than_openssl_and_posix_tools(written: Path, tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    posix = "sh awk basename cat cmp cut dirname find grep mkdir mktemp od rm sed sort tail tr wc xargs"
    for name in ["openssl", "sha256sum", *posix.split()]:
        found = shutil.which(name)
        assert found
        (tools / name).symlink_to(found)
    code, said = verify(written, PATH=str(tools))
    assert code == 0, said


def test_no_file_can_be_changed(written: Path, tmp_path: Path) -> None:
    folder = copy_of(written, tmp_path)
    names = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "verify.sh"]
    assert len(names) > 20
    for path in names:
        kept = path.read_bytes()
        path.write_bytes(kept + b"x")
        assert verify(folder)[0] == 1, path
        path.write_bytes(kept)
    (folder / "more").write_text("x")
    assert verify(folder)[0] == 1, "a file that was put beside"


FORGERIES = ["base", "body", "signature", "keyid", "record_id", "kind", "received_at", "leaf", "path", "index", "day"]


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_record_fails_even_with_new_sums(name: str, written: Path, tmp_path: Path) -> None:
    folder = copy_of(written, tmp_path)
    for record in (folder / "records").iterdir():
        if (record / "kind").read_text() == "request":
            (record / name).write_bytes(flip((record / name).read_bytes()))
    resum(folder)
    code, said = verify(folder)
    assert code == 1, said
    assert "SHA256SUMS" not in said, "it must not be the sums alone that tell"


def releaf(record: Path) -> None:
    """The leaf as somebody would write it who changed the record, and no place in a day."""
    (record / "leaf").write_text(leaf_text(record))
    for name in ("path", "index", "day"):
        (record / name).unlink(missing_ok=True)


@pytest.mark.parametrize("names", [("body",), ("base",), ("signature",), ("body", "base"), ("keyid",)])
def test_a_record_said_to_be_unsealed_is_held_by_its_signature(
    names: tuple[str, ...], written: Path, tmp_path: Path
) -> None:
    folder = copy_of(written, tmp_path)
    (record,) = (one for one in (folder / "records").iterdir() if (one / "kind").read_text() == "request")
    was = content_digest((record / "body").read_bytes())
    for name in names:
        path = record / name
        path.write_bytes(path.read_bytes().replace(b"1000", b"9000") if name == "body" else flip(path.read_bytes()))
    if names == ("body", "base"):
        now = content_digest((record / "body").read_bytes())
        (record / "base").write_bytes(flip((record / "base").read_bytes()).replace(was.encode(), now.encode()))
    releaf(record)
    resum(folder)
    code, said = verify(folder)
    assert code == 1, said
    assert "leaf" not in said
    assert "SHA256SUMS" not in said


@pytest.mark.parametrize("name", ["statement", "signature", "keyid"])
def test_a_forged_day_fails_even_with_new_sums(name: str, written: Path, tmp_path: Path) -> None:
    folder = copy_of(written, tmp_path)
    (day,) = (folder / "days").iterdir()
    (day / name).write_bytes(flip((day / name).read_bytes()))
    resum(folder)
    code, said = verify(folder)
    assert code == 1, said
    assert "SHA256SUMS" not in said


def test_another_root_is_refused(written: Path, tmp_path: Path) -> None:
    other = make_root("示范县邮政局", at_ms(NOON))
    write_certificate(tmp_path / "other.pem", other.certificate)
    assert verify(written, ROOT=str(tmp_path / "other.pem"))[0] == 1


def test_what_is_not_sealed_yet_says_so(signed: SignedHouse, written: Path, tmp_path: Path) -> None:
    payment = signed.pay(20_001)
    folder = tmp_path / "fresh"
    signed.write(payment, folder)
    code, said = verify(folder)
    assert code == 3, said
    assert [line.split()[0] for line in said.splitlines()[:2]] == ["UNPROVEN"] * 2
    assert "(signed by the station, time not proven: its day is not signed)" in said
    last = said.splitlines()[-1]
    assert last.startswith("尚未证明 NOT PROVEN YET")
    assert "签名后请重新导出" in last
    assert ", 2 records: 2 UNPROVEN" in last
    assert not any(line.startswith("OK") for line in said.splitlines())


def forge_reply(folder: Path) -> None:
    """Another answer of the biller, with leaf and sums as its forger would write them."""
    (record,) = (one for one in (folder / "records").iterdir() if (one / "kind").read_text() == "reply")
    (record / "body").write_bytes(b"<paid amount='999999'/>")
    releaf(record)
    resum(folder)


def test_a_forged_reply_of_an_unsigned_day_is_not_ok(signed: SignedHouse, written: Path, tmp_path: Path) -> None:
    folder = tmp_path / "fresh"
    signed.write(signed.pay(20_003), folder)
    forge_reply(folder)
    code, said = verify(folder)
    assert code == 3, said
    assert "OK" not in said
    assert any(line.startswith("UNPROVEN") and " reply " in line for line in said.splitlines())


def test_a_forged_reply_taken_out_of_its_signed_day_is_not_ok(written: Path, tmp_path: Path) -> None:
    folder = copy_of(written, tmp_path)
    forge_reply(folder)
    assert verify(folder)[0] == 3


def test_a_day_outside_the_verified_ones_proves_nothing(written: Path, tmp_path: Path) -> None:
    folder = copy_of(written, tmp_path)
    (day,) = (folder / "days").iterdir()
    shutil.copytree(day, folder / "evil")
    (folder / "evil" / "signature").write_bytes(b"nobody's")
    for record in (folder / "records").iterdir():
        (record / "day").write_text("../evil\n")
    resum(folder)
    code, said = verify(folder)
    assert code == 1, said


def test_a_kind_cannot_speak_for_the_script(written: Path, tmp_path: Path) -> None:
    folder = copy_of(written, tmp_path)
    (record,) = (one for one in (folder / "records").iterdir() if (one / "kind").read_text() == "reply")
    (record / "kind").write_text("reply\nOK all 2 records are proven")
    releaf(record)
    resum(folder)
    code, said = verify(folder)
    assert code == 1, said
    assert "\nOK" not in said


def test_a_day_whose_signature_was_taken_away_proves_nothing(written: Path, tmp_path: Path) -> None:
    folder = copy_of(written, tmp_path)
    (day,) = (folder / "days").iterdir()
    for name in ("signature", "keyid", "signed_at"):
        (day / name).unlink()
    resum(folder)
    assert verify(folder)[0] == 3


def test_a_folder_that_exists_is_left_alone(signed: SignedHouse, written: Path, tmp_path: Path) -> None:
    with pytest.raises(FileExistsError):
        signed.write(signed.pay(20_002), tmp_path)
    assert not list(tmp_path.iterdir())


def flip(data: bytes) -> bytes:
    """The same with its first byte replaced by a likely other one."""
    return (b"2" if data[:1] == b"1" else b"1") + data[1:]
