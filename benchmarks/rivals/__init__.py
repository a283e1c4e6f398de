"""The rivals: one module a peer, with its models, its connections, what it can bring, and why it cannot bring more."""
