/** Builds the model by the server's own sub-command, with a notification that can be cancelled. */
import { type LogOutputChannel, ProgressLocation, window } from "vscode";
import { Fault } from "./notice";
import { problem } from "./pip";
import { run } from "./program";
import { signalOf } from "./signal";

/** Whether it was built; not if the user has cancelled it. Throws `Fault`. */
export async function buildModel(words: readonly string[], model: string, log: LogOutputChannel): Promise<boolean> {
  const options = { location: ProgressLocation.Notification, title: "flash_ls", cancellable: true };
  return window.withProgress(options, async (progress, token) => {
    const signal = signalOf(token);
    const { code, output } = await run([...words, "model", "build", model], {
      signal,
      onLine: (line) => {
        log.info(line);
        progress.report({ message: line });
      },
    });
    if (code !== 0 && !signal.aborted) {
      throw new Fault(problem(output));
    }
    return code === 0;
  });
}
