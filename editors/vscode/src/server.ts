/** Which server to start: the one that is set, the extension's own, or one of the same version on the PATH. */
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import type { ExtensionContext } from "vscode";
import { run } from "./program";
import { setting } from "./settings";

const NAME = process.platform === "win32" ? "flash-ls.exe" : "flash-ls";
const BIN = process.platform === "win32" ? "Scripts" : "bin";
/** How long a server may take to say its version. */
const VERSION_MS = 20_000;

export interface Server {
  /** The program and its first arguments; those of a sub-command come behind them. */
  readonly words: readonly string[];
  readonly source: "setting" | "own" | "path";
}

/** Where the extension's own server is, or will be. */
export class OwnServer {
  readonly version: string;
  readonly folder: string;

  constructor(context: ExtensionContext) {
    this.version = (context.extension.packageJSON as { version: string }).version;
    this.folder = join(context.globalStorageUri.fsPath, `server-${this.version}`);
  }

  /** A file that is written last: without it the folder is half made. */
  get mark(): string {
    return join(this.folder, "installed");
  }

  get python(): string {
    return join(this.folder, BIN, process.platform === "win32" ? "python.exe" : "python");
  }

  get program(): string {
    return join(this.folder, BIN, NAME);
  }

  get installed(): boolean {
    return existsSync(this.mark) && existsSync(this.program);
  }
}

export async function findServer(own: OwnServer): Promise<Server | undefined> {
  const command = setting<string[]>("server.command") ?? [];
  if (command.length > 0) {
    return { words: command, source: "setting" };
  }
  if (own.installed) {
    return { words: [own.program], source: "own" };
  }
  const program = onPath();
  const same = program !== undefined && (await versionOf(program)) === own.version;
  return same ? { words: [program], source: "path" } : undefined;
}

function onPath(): string | undefined {
  const folders = (process.env.PATH ?? "").split(delimiter).filter(Boolean);
  return folders.map((folder) => join(folder, NAME)).find((path) => existsSync(path));
}

async function versionOf(program: string): Promise<string | undefined> {
  try {
    const { code, output } = await run([program, "--version"], { signal: AbortSignal.timeout(VERSION_MS) });
    return code === 0 ? output.trim() : undefined;
  } catch {
    return undefined;
  }
}
