"""The closed list of refusals, against the API's own words (api s1)."""

from contracts.problems import DECIDES_KEY, LEAVES_KEY_FREE, PROBLEMS

LISTED = {
    400: "malformed",
    401: "signature-missing signature-invalid signature-expired nonce-replayed certificate-unknown certificate-expired "
    "certificate-revoked certificate-not-bound",
    403: "station-suspended operator-not-trained service-not-open authorization-required",
    404: "not-found",
    409: "request-running tombstoned repeat-in-doubt state-conflict",
    413: "too-large",
    415: "unsupported-media-type",
    422: "key-reused insufficient-balance amount-out-of-range query-token-stale account-not-found",
    429: "too-many-requests",
    503: "biller-closed overloaded",
    500: "internal",
}


def test_the_list_is_complete() -> None:
    assert {slug: kind.status for slug, kind in PROBLEMS.items()} == {
        slug: status for status, slugs in LISTED.items() for slug in slugs.split()
    }


def test_each_speaks_to_shop_and_engineer() -> None:
    for slug, kind in PROBLEMS.items():
        assert kind.title.isascii(), slug
        assert not kind.shop_text.isascii(), slug
        assert "失败" not in kind.shop_text, slug
    assert len({kind.shop_text for kind in PROBLEMS.values()}) == len(PROBLEMS)


def test_what_decides_a_key() -> None:
    assert {403, 409, 422} == DECIDES_KEY
    assert set(PROBLEMS) >= LEAVES_KEY_FREE
    assert {"request-running"} == LEAVES_KEY_FREE
