"""What left for a partner during one call: whoever writes the request notes its bytes, whoever called keeps them (M11).

A call that ends without an answer, or is given up, has sent what it has sent: so no answer carries them.
"""

from contextvars import ContextVar

SENT: ContextVar[list[bytes] | None] = ContextVar("sent", default=None)
"""Takes each request of the biller call that runs in this task, of which a byte may have left; None: nobody keeps them.

What is noted becomes evidence for years: never a PIN, a password, key material or a whole card number.
"""
