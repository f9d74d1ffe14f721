import assert from "node:assert/strict";
import { test } from "node:test";
import { run } from "./program";

const NODE = process.execPath;

test("a program's exit code and lines are known", async () => {
  const seen: string[] = [];
  const script = "console.log('one'); console.error('two'); process.exitCode = 3";
  const { code } = await run([NODE, "-e", script], { onLine: (line) => seen.push(line) });
  assert.equal(code, 3);
  assert.deepEqual(seen.sort(), ["one", "two"]);
});

test("a program that is not there is told of", async () => {
  await assert.rejects(run(["/no/such/program"]), { code: "ENOENT" });
});

test("a signal ends a program and what it has started", async () => {
  const controller = new AbortController();
  const script =
    "require('child_process').spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], " +
    "{stdio: 'inherit'}); console.log('up'); setInterval(() => {}, 1000)";
  const ended = run([NODE, "-e", script], { signal: controller.signal, onLine: () => controller.abort() });
  assert.equal((await ended).code, null); // `close` comes when nobody holds its stdout any more
});
