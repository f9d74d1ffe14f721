import assert from "node:assert/strict";
import { test } from "node:test";
import { problem, step } from "./pip";

const PRINTED: Record<string, string | undefined> = {
  "Processing /home/me/ext/flash_ls-0.1.0-py3-none-any.whl": "reading flash_ls-0.1.0-py3-none-any.whl",
  "Collecting numpy>=2.0 (from flash-ls)": "looking for numpy",
  "  Downloading onnxruntime-1.23.0-cp311-manylinux.whl (17.4 MB)": "downloading onnxruntime 17.4 MB",
  "  Using cached tokenizers-0.21.0-abi3.whl.metadata (6.7 kB)": "downloading tokenizers 6.7 kB",
  "Installing collected packages: numpy, onnx": "installing the packages",
  "Requirement already satisfied: pip": undefined,
  "": undefined,
};

test("each step of pip is a few words", () => {
  for (const [line, words] of Object.entries(PRINTED)) {
    assert.equal(step(line), words, line);
  }
});

test("the last error is what went wrong", () => {
  const output = "Collecting numpy\nERROR: first\nERROR: No matching distribution found for numpy\n[notice] update\n";
  assert.equal(problem(output), "No matching distribution found for numpy");
});

test("without an error it is the last line", () => {
  assert.equal(problem("one\ntwo\n\n"), "two");
  assert.notEqual(problem(""), "");
});
