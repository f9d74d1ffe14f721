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

test("the share of a load is shown while it lasts, and not after", () => {
  assert.match(appearance({ state: "loading", reason: "", message: "" }, 42).text, /42%/);
  assert.doesNotMatch(appearance({ state: "ready", reason: "", message: "" }, 42).text, /42/);
});
