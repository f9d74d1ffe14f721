import assert from "node:assert/strict";
import { test } from "node:test";
import { isOn } from "./languages";

test("a language of its own entry goes by that, every other one by the star", () => {
  const languages = { "*": false, python: true };
  assert.equal(isOn(languages, "python"), true);
  assert.equal(isOn(languages, "go"), false);
});

test("without any entry there are suggestions", () => {
  assert.equal(isOn({}, "go"), true);
});
