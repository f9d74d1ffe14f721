"""A larger model that is asked where the first is unsure: when, how often, and where it is."""
