import assert from "node:assert/strict";
import { test } from "node:test";
import { levelOf } from "./record";

test("a line of the server's log has the level that the server gave it", () => {
  for (const [level, expected] of [
    ["debug", "debug"],
    ["info", "info"],
    ["warning", "warn"],
    ["error", "error"],
    ["something new", "info"],
  ]) {
    assert.equal(levelOf(JSON.stringify({ level, event: "Something." })), expected);
  }
});

test("any other line is information", () => {
  for (const line of ["", "Traceback (most recent call last):", "null", "3", '"warning"']) {
    assert.equal(levelOf(line), "info");
  }
});
