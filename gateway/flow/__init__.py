"""The shells of the payment flow: they read, ask the core, commit, act."""
