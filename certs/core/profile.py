"""The signing profile of api s1: the one door to it. RFC 9421 and RFC 9530, narrowed until nothing is left to choose.

Gateway: read_request, then verify with the certificate of its keyid, then check_window; sign_reply for every answer
to a request that verified. Terminal: sign_request, then verify_reply with the certificate that reply_keyid names.
"""

from certs.core.headers import ALG_EC, ALG_RSA, content_digest, normal_authority
from certs.core.messages import Refused, ReplyHead, ReplyProof, RequestHead, SignedRequest
from certs.core.replies import reply_keyid, sign_reply, verify_reply
from certs.core.requests import CLOCK_SKEW_S, LIFETIME_MAX_S, check_window, read_request, sign_request
from certs.core.signatures import holds, verify

__all__ = [
    "ALG_EC",
    "ALG_RSA",
    "CLOCK_SKEW_S",
    "LIFETIME_MAX_S",
    "Refused",
    "ReplyHead",
    "ReplyProof",
    "RequestHead",
    "SignedRequest",
    "check_window",
    "content_digest",
    "holds",
    "normal_authority",
    "read_request",
    "reply_keyid",
    "sign_reply",
    "sign_request",
    "verify",
    "verify_reply",
]
