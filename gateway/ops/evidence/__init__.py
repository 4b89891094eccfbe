"""`bianmin evidence`: everything that proves one payment, as files a stranger can verify with openssl and a shell."""
