"""Hands on the flow, each by a signed deed: billers held, the gateway drained, payments ruled or authorised."""
