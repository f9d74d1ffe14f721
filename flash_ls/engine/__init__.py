"""Tokens in, tokens out. Sees token ids, never documents."""

import os

# Read when ONNX Runtime is imported: its releases for Linux would make a device id and a queue of events for its maker.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
