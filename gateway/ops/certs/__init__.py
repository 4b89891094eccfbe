"""`bianmin certs` where it needs the book: life of certificates and USB keys, revocation lists, partners."""
