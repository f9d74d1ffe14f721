import assert from "node:assert/strict";
import { mkdtemp, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { acquire, release } from "./lock";

/** No process has it: it is above what Linux, macOS and Windows give. */
const NO_PID = "99999999";

async function inFolder(act: (lock: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "lock-"));
  try {
    await act(join(folder, "a.lock"));
  } finally {
    await rm(folder, { recursive: true });
  }
}

test("what a running process holds is not had by another, until it is released", () =>
  inFolder(async (lock) => {
    assert.equal(await acquire(lock), true);
    assert.equal(await acquire(lock), false);
    await release(lock);
    assert.equal(await acquire(lock), true);
  }));

test("what a process has left that is gone is taken over", () =>
  inFolder(async (lock) => {
    await writeFile(lock, NO_PID);
    assert.equal(await acquire(lock), true);
  }));

test("what is hours old is taken over, whoever has that number now", () =>
  inFolder(async (lock) => {
    await writeFile(lock, String(process.pid));
    await utimes(lock, 0, 0);
    assert.equal(await acquire(lock), true);
  }));
