import assert from "node:assert/strict";
import { test } from "node:test";
import { DELAYS_MS, Restarts, STEADY_MS } from "./restarts";

function crash(restarts: Restarts, times: number): (number | undefined)[] {
  return Array.from({ length: times }, () => restarts.next(0));
}

test("three crashes are followed by a start, each later than the one before, a fourth by none", () => {
  const delays = crash(new Restarts(), 4);
  assert.deepEqual(delays, [...DELAYS_MS, undefined]);
  assert.ok(DELAYS_MS.every((delay, index) => index === 0 || delay > (DELAYS_MS[index - 1] as number)));
});

test("a server that ran well for a while begins anew", () => {
  const restarts = new Restarts();
  crash(restarts, 3);
  assert.equal(restarts.next(STEADY_MS + 1), DELAYS_MS[0]);
});

test("somebody who restarts by hand begins anew", () => {
  const restarts = new Restarts();
  crash(restarts, 4);
  restarts.forget();
  assert.equal(restarts.next(0), DELAYS_MS[0]);
});
