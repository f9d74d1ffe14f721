import assert from "node:assert/strict";
import { test } from "node:test";
import { isTooOld, parseVersion } from "./version";

test("3.9 is older than 3.11, 3.11 and 4.0 are not", () => {
  for (const [printed, old] of [
    ["3.9", true],
    ["2.7", true],
    ["3.11", false],
    ["3.14", false],
    ["4.0", false],
  ] as const) {
    const version = parseVersion(printed);
    assert.ok(version !== undefined);
    assert.equal(isTooOld(version), old, printed);
  }
});

test("a program that prints no version is no Python", () => {
  assert.equal(parseVersion("command not found"), undefined);
});
