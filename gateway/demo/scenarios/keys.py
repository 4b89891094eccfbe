"""A shop's keys: one is lost, a USB key takes its place, and is renewed while the old one still works."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import msgspec

from certs.keys import load_certificate
from contracts import api
from contracts.money import Fen
from contracts.problems import URN
from gateway.demo.expect import Expect
from gateway.demo.faults import Mismatch
from gateway.demo.office import FIRST, Office
from gateway.demo.own_keys import OwnKey, OwnKeys, answer_of, own_keys
from gateway.demo.scenarios.requests import fresh_key, request
from gateway.demo.stage import CARRIER, FINAL, Row, Scenario, Stage, Title, need, paid, refused, top_up
from gateway.demo.system import KEYED
from gateway.terminal import load_config

PRICE = Fen(3_000)
LOST, USB, OLD, NEW, NEVER = "13805790120", "13805790121", "13805790122", "13805790123", "13805790124"
GOOD = Expect(
    states=("RESERVED", "SENT", "SUCCESS"),
    evidence="notice",
    paid_fen=PRICE.value,
    tries=("Accepted",),
    charged_fen=PRICE.value,
)
REVOKED = "certificate-revoked"


async def keys_of_a_shop(stage: Stage) -> Sequence[Row]:
    """The clerks prepare the USB key while the biller is away; then the shop loses its first key."""
    await stage.moments.keyed_shop.wait()
    office, own = Office(stage.system), await own_keys(stage.system, KEYED)
    place = ("--station", KEYED.code, "--terminal", "T1", "--operator", "0001", "--key-serial", own.serial)
    key, _ = await asyncio.gather(own.make(), _handed_out(stage, office, own.serial))
    keyid = await office.issued(("certs", "apply", str(key.request), *place), key.certificate)
    await stage.moments.biller_back.wait()
    lost = await _lost(stage, office)
    await office.activated(keyid, place)
    await own.install(key)
    enrolled = await _pays(stage, own, key, USB, note=_medium(stage, own))
    renewed = await _renewed(stage, office, own, key, place)
    return [lost, enrolled, renewed]


async def _handed_out(stage: Stage, office: Office, serial: str) -> None:
    """The stock of USB keys; files have none."""
    if stage.system.ground.module is None:
        return
    await office.both("到货验收", "certs", "key", "receive", serial)
    handed = ("--station", KEYED.code, "--holder", "赵六")
    await office.both("发放U盾", "certs", "key", "hand-out", serial, *handed)


async def _lost(stage: Stage, office: Office) -> Row:
    """The key pays; it is reported lost; the very next request is refused, and so is whatever comes after it."""
    config = load_config(stage.system.layout.installation / KEYED.terminal)
    async with stage.terminal("key-lost", KEYED, held_s=10) as terminal:
        payment = paid(await top_up(terminal, LOST, PRICE))
        payment = await stage.until(terminal, payment.gateway_serial, FINAL)
        keyid = load_certificate(Path(config.cert_file)).keyid
        await office.alone(FIRST, "电话报失", "certs", "freeze", keyid)
        await _refused(stage)
        problem = refused(await terminal.balance(), REVOKED)
    note = f"报失冻结后的下一个请求 the next request after the freeze: 401 {REVOKED} {problem.shop_text}"
    return await stage.judge(payment, GOOD, shop=KEYED, note=note)


async def _refused(stage: Stage) -> None:
    """A payment that is signed as well as the last one was; it leaves no trace in either book."""
    key, wanted = fresh_key(), request(NEVER, PRICE.value, "000124")
    async with stage.signed(KEYED) as client:
        answer = await client.send(client.payment(wanted, key=key))
    need((answer.status, answer.slug) == (401, REVOKED), f"the lost key was answered {answer}")
    need(await stage.book.key(KEYED.code, key) is None, "a lost key decided an idempotency key")
    need(await stage.book.under_key(KEYED.code, key) == [], "a lost key paid")
    known = [line for line in await stage.biller.book() if line.account == NEVER]
    need(not known, "a lost key's payment has reached the biller")


async def _renewed(stage: Stage, office: Office, own: OwnKeys, old: OwnKey, place: Sequence[str]) -> Row:
    """The old key signs for the new one; for a while both pay; then the old one is replaced and refused."""
    old_keyid = load_certificate(old.certificate).keyid
    new = await own.make()
    word = new.request.with_suffix(".sig")
    await own.say(old, "renewal", str(new.request), str(word))
    renew = ("certs", "renew", old_keyid, str(new.request), "--old-signature", str(word))
    keyid = await office.issued(renew, new.certificate)
    await office.activated(keyid, place)
    await own.install(new)
    first, second = await asyncio.gather(_pays(stage, own, old, OLD), _pays(stage, own, new, NEW))
    await office.alone(FIRST, "新证书已启用", "certs", "replace", old_keyid, keyid)
    problem = answer_of(await own.say(old, "balance", "--json", codes=(1,)))
    need(problem.get("type") == URN + REVOKED, f"the replaced key was answered {problem}")

    async def balance() -> api.AccountBalance:
        return msgspec.convert(answer_of(await own.say(new, "balance", "--json")), api.AccountBalance)

    stage.balances[KEYED.code] = balance
    return Row(
        gateway_serial=second.gateway_serial,
        states=second.states,
        evidence=second.evidence,
        shop=KEYED.code,
        spent_fen=first.spent_fen + second.spent_fen,
        note=f"新旧证书各缴一笔，旧证书随后停用 both keys paid; the replaced one then got 401 {REVOKED}",
    )


async def _pays(stage: Stage, own: OwnKeys, key: OwnKey, account: str, *, note: str = "") -> Row:
    """`bianmin terminal pay` with this key."""
    words = ["pay", "mobile.topup", account, PRICE.to_yuan(), "--json"]
    words += [word for name, value in CARRIER.items() for word in ("--param", f"{name}={value}")]
    answer = answer_of(await own.say(key, *words, codes=(0, 1)))
    serial = str(answer.get("gateway_serial", ""))
    if not serial or str(answer.get("type", "")).startswith(URN):
        raise Mismatch(f"must be paid, but the answer is {json.dumps(answer, ensure_ascii=False)[:300]}")

    async def final() -> bool | None:
        return True if (await stage.book.trace(serial)).state in FINAL else None

    await stage.wait(final, 30, f"{serial} gets nowhere")
    return await stage.judge(serial, GOOD, shop=KEYED, note=note)


def _medium(stage: Stage, own: OwnKeys) -> str:
    if stage.system.ground.module is None:
        return "没有安装 SoftHSM：用密钥文件 no SoftHSM here: key files instead of a USB key"
    return f"SoftHSM U盾 token {own.serial}"


SCENARIOS = (
    Scenario(
        rows=(
            Title("lost-key-refused", "密钥报失冻结：下一个请求即被拒", "a lost key is frozen, refused at once"),
            Title("usb-key-enrolled", "U盾申领、签发、绑定、启用后缴费", "a USB key enrolled by two people, pays"),
            Title("key-renewed", "换证：新旧并用，随后停用旧证书", "renewed with overlap, the old one replaced"),
        ),
        run=keys_of_a_shop,
        after="restarted",
    ),
)
