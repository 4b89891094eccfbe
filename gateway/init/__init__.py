"""`bianmin init`: an installation from nothing, ready to serve."""
