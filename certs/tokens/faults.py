"""What can be wrong with a USB key: one closed list, each with a line for the shop and a hint for who set it up."""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple


class Trouble(StrEnum):
    """Every way in which a key, its PIN, its certificate or its driver can fail."""

    MODULE_MISSING = "module-missing"
    MODULE_UNUSABLE = "module-unusable"
    NO_TOKEN = "no-token"  # noqa: S105  # no password
    SEVERAL_TOKENS = "several-tokens"
    PIN_NEEDED = "pin-needed"
    PIN_WRONG = "pin-wrong"
    PIN_FEW_TRIES = "pin-few-tries"
    PIN_LAST_TRY = "pin-last-try"
    PIN_NOT_RISKED = "pin-not-risked"
    PIN_LOCKED = "pin-locked"
    PIN_TO_BE_CHANGED = "pin-to-be-changed"
    PIN_NOT_SET = "pin-not-set"
    PIN_MALFORMED = "pin-malformed"
    NO_KEY = "no-key"
    SEVERAL_KEYS = "several-keys"
    KEY_EXISTS = "key-exists"
    KEY_UNFIT = "key-unfit"
    KEY_EXTRACTABLE = "key-extractable"
    NO_CERTIFICATE = "no-certificate"
    MISMATCH = "mismatch"
    CERTIFICATE_EXPIRED = "certificate-expired"
    CERTIFICATE_NOT_YET_VALID = "certificate-not-yet-valid"
    REMOVED = "removed"
    DEVICE_ERROR = "device-error"
    DEVICE_BUSY = "device-busy"
    WRITE_PROTECTED = "write-protected"
    NO_ANSWER = "no-answer"
    BAD_SIGNATURE = "bad-signature"
    MECHANISM_UNSUPPORTED = "mechanism-unsupported"
    SM2_UNSUPPORTED = "sm2-unsupported"
    FORKED = "forked"
    CLOSED = "closed"


class Words(NamedTuple):
    """shop_text: Simplified Chinese, what happened and what to do. hint: the same in English, for the support desk."""

    shop_text: str
    hint: str


_T = Trouble
TEXTS: Mapping[Trouble, Words] = {
    _T.MODULE_MISSING: Words(
        "找不到U盾驱动程序，请联系邮政局安装", "the PKCS#11 module is not there: check `module` and install the driver"
    ),
    _T.MODULE_UNUSABLE: Words(
        "U盾驱动程序无法使用，请联系邮政局重新安装", "the file is not a working PKCS#11 module for this machine"
    ),
    _T.NO_TOKEN: Words(
        "没有找到U盾，请插入本站U盾后重试", "no such token is plugged in: check `token` and `key_serial`"
    ),
    _T.SEVERAL_TOKENS: Words(
        "插着多个U盾，请只留下本站的一个", "several tokens match: unplug the others, or name `key_serial`"
    ),
    _T.PIN_NEEDED: Words("需要输入U盾口令", "nobody gave the PIN: run it at a terminal, or give --pin-fd"),
    _T.PIN_WRONG: Words("U盾口令不对，请核对后再输", "wrong PIN; it was tried once"),
    _T.PIN_FEW_TRIES: Words(
        "U盾口令不对，剩余次数不多，连续输错会被锁住，请核对后再输",
        "wrong PIN; it was tried once; the token says that few tries are left",
    ),
    _T.PIN_LAST_TRY: Words(
        "U盾口令不对，只剩最后一次机会，再错就会锁住；没有把握请先联系邮政局",
        "wrong PIN; it was tried once; one more locks the token",
    ),
    _T.PIN_NOT_RISKED: Words(
        "U盾口令只剩最后一次机会，须由本人在终端上输入，这次没有尝试",
        "one wrong PIN locks the token: only a person at the prompt may use the last try; nothing was tried",
    ),
    _T.PIN_LOCKED: Words("U盾已锁住，请带U盾到邮政局解锁", "the PIN is locked: the bureau must unlock the token"),
    _T.PIN_TO_BE_CHANGED: Words(
        "U盾口令是初始口令或已过期，请先用U盾自带的工具修改口令",
        "the PIN must be changed first, with the token's own tool",
    ),
    _T.PIN_NOT_SET: Words("U盾还没有设置口令，请联系邮政局", "the token has no user PIN: it was not personalised"),
    _T.PIN_MALFORMED: Words(
        "U盾口令的长度或字符不对，没有计为一次尝试", "the PIN's length or characters are not allowed"
    ),
    _T.NO_KEY: Words("U盾里没有密钥，请联系邮政局", "the token holds no such private key for signing: enroll first"),
    _T.SEVERAL_KEYS: Words(
        "U盾里有多个可用的密钥，请联系邮政局指定一个", "several keys fit: name `key_id` (hex of CKA_ID)"
    ),
    _T.KEY_EXISTS: Words(
        "U盾里已经有密钥，没有重新生成", "the token holds a key already: --another makes a second one beside it"
    ),
    _T.KEY_UNFIT: Words("U盾里的密钥种类或长度不合要求，请联系邮政局", "the key is neither P-256 nor RSA 2048-4096"),
    _T.KEY_EXTRACTABLE: Words(
        "U盾生成的密钥可以被导出，已作废，请换U盾", "the token made a key that may leave it; it was destroyed again"
    ),
    _T.NO_CERTIFICATE: Words("U盾里没有证书，请联系邮政局申领", "no certificate belongs to the key in the token"),
    _T.MISMATCH: Words(
        "证书与U盾里的密钥不是一对，请联系邮政局", "the certificate is not that of the key in the token"
    ),
    _T.CERTIFICATE_EXPIRED: Words("U盾里的证书已过期，请联系邮政局换证", "the certificate has expired"),
    _T.CERTIFICATE_NOT_YET_VALID: Words(
        "U盾里的证书尚未生效，请核对本机时间", "the certificate is not valid yet: check this machine's clock"
    ),
    _T.REMOVED: Words("U盾已拔出，请插回同一个U盾后重试", "the token was unplugged, or another one was plugged in"),
    _T.DEVICE_ERROR: Words("U盾出错，请拔下重新插入后再试", "the token or its driver failed"),
    _T.DEVICE_BUSY: Words("U盾正被占用，请关闭其他程序后再试", "the token is in use"),
    _T.WRITE_PROTECTED: Words("U盾不能写入，请联系邮政局", "the token is write-protected"),
    _T.NO_ANSWER: Words("U盾没有响应，请拔下重新插入，并重启终端程序", "the token's driver does not answer"),
    _T.BAD_SIGNATURE: Words("U盾签出的签名不对，请更换U盾", "the token made a signature that does not verify"),
    _T.MECHANISM_UNSUPPORTED: Words("U盾不支持所需的签名方式，请更换U盾", "the token lacks the signing mechanism"),
    _T.SM2_UNSUPPORTED: Words(
        "U盾里是国密SM2证书，本系统尚不支持SM2签名和验签，请更换RSA或P-256的U盾",
        "SM2 keys are not supported: neither signed with nor verified; their dates can be watched",
    ),
    _T.FORKED: Words("U盾由另一个进程打开，请重启终端程序", "the token was opened before this process was forked"),
    _T.CLOSED: Words("U盾已经关闭，请重启终端程序", "this signer was closed"),
}


class TokenFault(Exception):
    """Something is wrong with the USB key. shop_text: Chinese, for the shop. hint: English. Holds no PIN.

    Whatever was to be signed was not signed.
    """

    def __init__(self, trouble: Trouble, detail: str = "") -> None:
        words = TEXTS[trouble]
        self.trouble, self.detail = trouble, detail
        self.shop_text = words.shop_text
        self.hint = f"{words.hint} ({detail})" if detail else words.hint
        super().__init__(f"{self.shop_text} ({self.hint})")

    def again(self) -> "TokenFault":
        """The same, to be raised once more."""
        return TokenFault(self.trouble, self.detail)
