import assert from "node:assert/strict";
import { test } from "node:test";
import { heard } from "./state";

test("what the server says is taken over", () => {
  const told = { state: "ready", reason: "unsure", message: "Not sure." };
  assert.deepEqual(heard(told), told);
});

test("what is missing is empty", () => {
  assert.deepEqual(heard({ state: "off" }), { state: "off", reason: "", message: "" });
});

test("what cannot be read is left alone", () => {
  for (const told of [undefined, null, "ready", {}, { state: "dancing" }, { state: 3 }]) {
    assert.equal(heard(told), undefined);
  }
});
