"""flash_ls: code completion by a small model on the developer's own machine."""

__version__ = "0.1.0"
