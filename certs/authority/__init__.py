"""The bureau's certificate authority: profiles, requests, issuing, revocation lists, keys in files or tokens."""
