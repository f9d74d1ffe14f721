/** Other programs, run to their end or stopped. A program is a list of words: its path and its arguments. */
import { type ChildProcess, spawn, type SpawnOptions } from "node:child_process";
import { homedir } from "node:os";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";

const WINDOWS = process.platform === "win32";
/** How long a program may take to tidy up. */
const GRACE_MS = 5000;

export interface Ended {
  /** The exit code; null if it was stopped. */
  readonly code: number | null;
  /** What it has printed, both streams. */
  readonly output: string;
}

export interface Running {
  /** Called with each line it prints. */
  readonly onLine?: (line: string) => void;
  readonly signal?: AbortSignal;
}

/** A process in a group of its own, so that `stop` ends what it has started as well. Rejects if it cannot start. */
export function start(words: readonly string[], stdio: SpawnOptions["stdio"]): Promise<ChildProcess> {
  const [program = "", ...rest] = words;
  const options: SpawnOptions = { stdio, cwd: homedir(), detached: !WINDOWS, windowsHide: true };
  return new Promise((resolve, reject) => {
    const child = spawn(program, rest, options);
    child.once("spawn", () => resolve(child));
    child.once("error", reject);
  });
}

export function isAlive(child: ChildProcess): boolean {
  return child.pid !== undefined && child.exitCode === null && child.signalCode === null;
}

/** End a process and those it has started; with SIGINT they may tidy up, as after Ctrl+C. */
export function stop(child: ChildProcess, signal: "SIGINT" | "SIGKILL"): void {
  if (!isAlive(child)) {
    return;
  }
  if (WINDOWS) {
    spawn("taskkill", ["/pid", String(child.pid), "/T", "/F"], { windowsHide: true }).on("error", () => child.kill());
    return;
  }
  try {
    process.kill(-(child.pid as number), signal);
  } catch {
    child.kill(signal);
  }
}

export function lines(stream: Readable, onLine: (line: string) => void): void {
  createInterface({ input: stream, crlfDelay: Infinity }).on("line", onLine);
}

/** What `run` has not seen the end of. */
const atWork = new Set<ChildProcess>();

/** Nobody waits for the programs any more that are run to their end. */
export function stopAll(): void {
  atWork.forEach((child) => stop(child, "SIGINT"));
}

/** Run a program to its end, or until the signal stops it. Rejects if it cannot start. */
export async function run(words: readonly string[], { onLine, signal }: Running = {}): Promise<Ended> {
  const child = await start(words, ["ignore", "pipe", "pipe"]);
  atWork.add(child);
  child.once("close", () => atWork.delete(child));
  const printed: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    lines(stream as Readable, (line) => {
      printed.push(line);
      onLine?.(line);
    });
  }
  stopOn(signal, child);
  return new Promise((resolve) => {
    child.once("close", (code) => resolve({ code, output: printed.join("\n") }));
  });
}

/** End the process on a signal, by force if it takes its time. */
function stopOn(signal: AbortSignal | undefined, child: ChildProcess): void {
  let force: NodeJS.Timeout | undefined;
  const abort = (): void => {
    stop(child, "SIGINT");
    force = setTimeout(() => stop(child, "SIGKILL"), GRACE_MS);
  };
  signal?.addEventListener("abort", abort);
  child.once("close", () => {
    signal?.removeEventListener("abort", abort);
    clearTimeout(force);
  });
  if (signal?.aborted) {
    abort();
  }
}
