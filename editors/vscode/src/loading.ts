/** A load of the model, as the server reports it: in the status bar, and in a notification if it takes long. */
import { type Progress, ProgressLocation, window } from "vscode";
import type { WorkDoneProgressBegin, WorkDoneProgressEnd, WorkDoneProgressReport } from "vscode-languageclient/node";
import type { Status } from "./status";

/** A model that is built already is loaded sooner than this. */
const LONG_MS = 5000;

export type WorkDoneProgress = WorkDoneProgressBegin | WorkDoneProgressReport | WorkDoneProgressEnd;

export class Loading {
  private patience: NodeJS.Timeout | undefined;
  private progress: Progress<{ message: string }> | undefined;
  private close: (() => void) | undefined;
  private message = "";

  /** `cancel` is called when the user wants no more of it. */
  constructor(
    private readonly status: Status,
    private readonly cancel: () => void,
  ) {}

  hear(told: WorkDoneProgress): void {
    if (told.kind === "begin") {
      this.end();
      this.patience = setTimeout(() => this.open(), LONG_MS);
    } else if (told.kind === "report") {
      this.status.loads(told);
      this.message = `${told.message ?? ""}${told.percentage ? ` ${told.percentage}%` : ""}`;
      this.progress?.report({ message: this.message });
    } else {
      this.end();
    }
  }

  /** The load is over, or the server is gone. */
  end(): void {
    clearTimeout(this.patience);
    this.close?.();
    this.close = this.progress = undefined;
  }

  private open(): void {
    const options = { location: ProgressLocation.Notification, title: "flash_ls", cancellable: true };
    void window.withProgress<void>(options, (progress, token) => {
      this.progress = progress;
      progress.report({ message: this.message });
      token.onCancellationRequested(this.cancel);
      return new Promise((resolve) => {
        this.close = resolve;
      });
    });
  }
}
