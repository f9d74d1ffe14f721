/** The server's page of statistics, in a tab. */
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { ViewColumn, window } from "vscode";
import { Fault } from "./notice";
import { problem } from "./pip";
import { run } from "./program";

/** `folder` is where the page may be written. Throws `Fault`. */
export async function showStatistics(words: readonly string[], folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  const path = join(folder, "statistics.html");
  const { code, output } = await run([...words, "stats", "--out", path]);
  if (code !== 0) {
    throw new Fault(problem(output));
  }
  const panel = window.createWebviewPanel("flashLs.statistics", "flash_ls: statistics", ViewColumn.Active);
  panel.webview.html = await readFile(path, "utf8");
}
