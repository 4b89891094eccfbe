"""What a proven reply means, for every status and slug there is."""

import pytest

from contracts.problems import PROBLEMS
from gateway.terminal.verdicts import Verdict, judge_keyed, judge_plain

FINAL = {403, 409, 422}


@pytest.mark.parametrize("only", [True, False])
@pytest.mark.parametrize("slug", sorted(PROBLEMS))
def test_only_what_decides_a_key_decides_a_payment(slug: str, *, only: bool) -> None:
    status = PROBLEMS[slug].status
    verdict = judge_keyed(status, slug, only=only)
    if slug == "signature-expired":
        assert verdict is Verdict.CLOCK
    elif slug == "biller-closed":
        assert verdict is Verdict.STOP, "the key is asked about instead"
    elif slug in {"request-running", "nonce-replayed"} or status in {429, 500, 503}:
        assert verdict is Verdict.AGAIN
    elif status == 401:
        assert verdict is Verdict.STOP
    elif status in FINAL:
        assert verdict is Verdict.DECIDED
    else:
        assert verdict is (Verdict.DECIDED if only else Verdict.STOP)


@pytest.mark.parametrize("status", [200, 201, 202])
def test_success_decides(status: int) -> None:
    assert judge_keyed(status, "", only=False) is Verdict.DECIDED
    assert judge_plain(status, "") is Verdict.DECIDED


@pytest.mark.parametrize("status", [302, 400, 403, 404, 409, 418, 422])
def test_a_refusal_that_cannot_be_read_decides_nothing(status: int) -> None:
    assert judge_keyed(status, "", only=True) is Verdict.STOP


@pytest.mark.parametrize("slug", sorted(PROBLEMS))
def test_a_plain_question_is_asked_again_only_where_that_may_help(slug: str) -> None:
    verdict = judge_plain(PROBLEMS[slug].status, slug)
    again = slug in {"request-running", "nonce-replayed"} or PROBLEMS[slug].status in {429, 500, 503}
    expected = Verdict.AGAIN if again else Verdict.DECIDED
    assert verdict is (Verdict.CLOCK if slug == "signature-expired" else expected)
