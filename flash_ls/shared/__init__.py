"""One engine for all servers of a user: the process that has the model, and how a server speaks with it."""
