"""What holds for all tests."""

import logging
import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from flash_ls import log

settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("search", deadline=None)
settings.load_profile("same")  # the same cases on every machine; --hypothesis-profile=search looks for new ones

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # some tests import ONNX Runtime before the package


@pytest.fixture(autouse=True, scope="module")
def cache_folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache folder of the module's own; the user's is for the tests of the real model alone, which is there."""
    with pytest.MonkeyPatch.context() as patch:
        if request.node.get_closest_marker("model") is None:
            patch.setenv("FLASH_LS_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def log_level() -> Iterator[None]:
    """A server in the test's own process sets it for the process."""
    ours = logging.getLogger(log.OURS)
    level = ours.level
    yield
    ours.setLevel(level)
