"""Every error that flash_ls raises on purpose. Each message is one sentence that says what to do.

FlashLsError
├── ConfigError          (ValueError)    a setting cannot be used
├── DocumentError        (ValueError)    a file or a place in it cannot be completed
├── ModelError           (RuntimeError)
│   ├── ModelMissing                     no artifact here, and none can be built without the user
│   ├── ManifestError                    a manifest cannot be read
│   ├── SourceError                      the upstream weights cannot be had from any source
│   ├── CorruptFile                      a file is not the one its manifest describes
│   ├── CacheFolderError                 the cache folder cannot be written
│   ├── ModelFailed                      a pass failed, and another may as well
│   └── EngineLost                       the process that had the model is gone; the next request starts another
├── ProFailed            (RuntimeError)  the larger model did not answer; the first one's answer stays
└── Cancelled                            nobody waits for the answer any more
"""


class FlashLsError(Exception):
    """Base of all errors raised on purpose."""


class ConfigError(FlashLsError, ValueError):
    """A setting cannot be used."""


class DocumentError(FlashLsError, ValueError):
    """A file, or a place in it, cannot be completed."""


class ModelError(FlashLsError, RuntimeError):
    """Something about the model artifact is wrong."""


class ModelMissing(ModelError):
    """There is no artifact, and none can be built without the user."""


class ManifestError(ModelError):
    """A manifest cannot be read."""


class SourceError(ModelError):
    """The upstream weights cannot be had from any source."""


class CorruptFile(ModelError):
    """A file is not the one its manifest describes."""


class CacheFolderError(ModelError):
    """The cache folder cannot be written."""


class ModelFailed(ModelError):
    """A pass failed, and another may as well."""


class EngineLost(ModelError):
    """The process that had the model is gone; the next request starts another."""


class ProFailed(FlashLsError, RuntimeError):
    """The larger model did not answer; the first one's answer stays."""


class Cancelled(FlashLsError):
    """Nobody waits for the answer any more."""
