import assert from "node:assert/strict";
import { test } from "node:test";
import { appearance } from "./appearance";
import type { StateName } from "./state";

const NAMES: readonly StateName[] = ["starting", "loading", "ready", "thinking", "off", "snoozed", "error"];

test("what cannot be told apart by an icon is told by the label", () => {
  const labels = NAMES.map((state) => appearance({ state, reason: "", message: "" }).label);
  assert.equal(new Set(labels).size, NAMES.length);
});

test("the sentence is in the tooltip and is read to the user", () => {
  const seen = appearance({ state: "ready", reason: "unsure", message: "The model is not sure enough." });
  assert.match(seen.tooltip, /not sure enough/);
  assert.match(seen.label, /ready.*not sure enough/);
});

test("what is loaded and how much of it is shown while it lasts, and not after", () => {
  const load = { message: "building the model", percentage: 42 };
  const during = appearance({ state: "loading", reason: "", message: "Not loaded yet." }, load);
  assert.match(during.text, /42%/);
  assert.match(during.tooltip, /building the model/);
  assert.match(during.label, /loading 42%. building the model/);
  const after = appearance({ state: "ready", reason: "", message: "" }, load);
  assert.doesNotMatch(after.text + after.tooltip + after.label, /42|building/);
});
