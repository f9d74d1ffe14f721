/** A file that says which process is at work, for two windows that would do the same. */
import { readFile, rm, stat, writeFile } from "node:fs/promises";

/** Older locks were left by somebody who is gone. */
const STALE_MS = 30 * 60_000;

/** Whether the lock is ours now. */
export async function acquire(path: string): Promise<boolean> {
  try {
    await writeFile(path, String(process.pid), { flag: "wx" });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") {
      throw error;
    }
  }
  if (await isStale(path)) {
    await release(path);
    return acquire(path);
  }
  return false;
}

export async function release(path: string): Promise<void> {
  await rm(path, { force: true });
}

async function isStale(path: string): Promise<boolean> {
  try {
    const [text, { mtimeMs }] = await Promise.all([readFile(path, "utf8"), stat(path)]);
    const young = Date.now() - mtimeMs < STALE_MS;
    return !(young && (text === "" || isAlive(Number(text))));
  } catch {
    return true; // released meanwhile
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
