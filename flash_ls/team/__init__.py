"""A team's server: engines on another machine, and how a user's server speaks with them over HTTP."""
