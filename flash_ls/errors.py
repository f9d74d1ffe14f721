"""Every error that flash_ls raises on purpose. Each message is one sentence that says what to do.

FlashLsError
├── ConfigError          (ValueError)    a setting cannot be used
├── DocumentError        (ValueError)    a file or a place in it cannot be completed
├── MessageError         (ValueError)    a client's message cannot be read
├── ModelError           (RuntimeError)
│   ├── ModelMissing                     no artifact here, and none can be built without the user
│   ├── ManifestError                    a manifest cannot be read
│   ├── SourceError                      the upstream weights cannot be had from any source
│   ├── CorruptFile                      a file is not the one its manifest describes
│   ├── CacheFolderError                 the cache folder cannot be written
│   ├── ModelFailed                      a pass failed, and another may as well
│   └── EngineLost                       the process that had the model is gone; the next request starts another
│       ├── EngineAway                   the team's server does not answer
│       ├── EngineBusy                   it has too much to do
│       └── EngineRefused                it does not want this request
├── ProFailed            (RuntimeError)  the larger model did not answer; the first one's answer stays
└── Cancelled                            nobody waits for the answer any more
"""

OWN_FAULT = "flash-ls met an error of its own; `flash-ls doctor` says where the report of it is."
"""What the user reads of an error that is none of these."""


class FlashLsError(Exception):
    """Base of all errors raised on purpose."""


class ConfigError(FlashLsError, ValueError):
    """A setting cannot be used."""


class DocumentError(FlashLsError, ValueError):
    """A file, or a place in it, cannot be completed."""


class MessageError(FlashLsError, ValueError):
    """A message of a client cannot be read."""


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

    reason = "restarting"
    """What the status tells: a `journal.Reason`."""


class EngineAway(EngineLost):
    """The team's server does not answer."""

    reason = "away"


class EngineBusy(EngineLost):
    """The team's server has too much to do."""

    reason = "busy"


class EngineRefused(EngineLost):
    """The team's server does not want this request; the message says why."""

    reason = "refused"


class ProFailed(FlashLsError, RuntimeError):
    """The larger model did not answer; the first one's answer stays."""


class Cancelled(FlashLsError):
    """Nobody waits for the answer any more."""
