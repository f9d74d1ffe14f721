/** Installs the extension's own server: a virtual environment with the wheel that the extension brings along. */
import { readdirSync } from "node:fs";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type LogOutputChannel, ProgressLocation, window } from "vscode";
import { acquire, release } from "./lock";
import { Fault } from "./notice";
import { problem, step } from "./pip";
import { run } from "./program";
import { findPython } from "./python";
import type { OwnServer } from "./server";
import { setting } from "./settings";
import { signalOf } from "./signal";

const PIP = ["-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--progress-bar", "off"];
const WAIT_MS = 1000;

/** Thrown when the user does not want it any more. */
export class Cancelled extends Error {}

export class Installation {
  private running: Promise<void> | undefined;

  /** `wheels` is the folder with the server's wheel. */
  constructor(
    private readonly own: OwnServer,
    private readonly wheels: string,
    private readonly log: LogOutputChannel,
  ) {}

  /** Install, with a notification that can be cancelled. Throws `Fault` or `Cancelled`, and leaves nothing then. */
  run(): Promise<void> {
    this.running ??= this.show().finally(() => {
      this.running = undefined;
    });
    return this.running;
  }

  private async show(): Promise<void> {
    const options = { location: ProgressLocation.Notification, title: "flash_ls", cancellable: true };
    await window.withProgress(options, (progress, token) =>
      this.locked(signalOf(token), (message) => progress.report({ message })),
    );
  }

  /** One window at a time; another one that has installed it meanwhile is as good. */
  private async locked(signal: AbortSignal, say: (message: string) => void): Promise<void> {
    const lock = `${this.own.folder}.lock`;
    await makeFolder(dirname(lock));
    while (!(await acquire(lock))) {
      say("another window installs the server");
      await pause(signal);
    }
    try {
      if (!this.own.installed) {
        await this.make(signal, say);
      }
    } finally {
      await release(lock);
    }
  }

  private async make(signal: AbortSignal, say: (message: string) => void): Promise<void> {
    try {
      await this.remove();
      say("looking for Python");
      const python = await findPython(setting<string>("server.python") ?? "");
      say("making a virtual environment");
      await this.step([...python, "-m", "venv", this.own.folder], signal, () => undefined);
      await this.step([this.own.python, ...PIP, `${this.wheel()}[model]`], signal, (line) => {
        const message = step(line);
        if (message) {
          say(message);
        }
      });
      await writeFile(this.own.mark, "");
    } catch (error) {
      await this.remove();
      throw error;
    }
  }

  private async step(words: readonly string[], signal: AbortSignal, onLine: (line: string) => void): Promise<void> {
    this.log.info(words.join(" "));
    const { code, output } = await run(words, {
      signal,
      onLine: (line) => {
        this.log.info(line);
        onLine(line);
      },
    });
    if (signal.aborted) {
      throw new Cancelled();
    }
    if (code !== 0) {
      throw new Fault(`The server was not installed; check the network and the log. (${problem(output)})`);
    }
  }

  /** Remove what is installed, whole or half made. */
  async remove(): Promise<void> {
    await rm(this.own.folder, { recursive: true, force: true, maxRetries: 3 });
  }

  private wheel(): string {
    const name = readdirSync(this.wheels).find((file) => file.endsWith(".whl"));
    if (!name) {
      throw new Fault("The server's wheel is missing in the extension; install the extension again.");
    }
    return join(this.wheels, name);
  }
}

async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true });
  } catch (error) {
    throw new Fault(`${path} cannot be written; mend its permissions. (${(error as NodeJS.ErrnoException).code})`);
  }
}

async function pause(signal: AbortSignal): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, WAIT_MS));
  if (signal.aborted) {
    throw new Cancelled();
  }
}
