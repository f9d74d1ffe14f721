/** Tells the server where the cursor rests, so that it can read ahead there (flashLs/didMoveCursor). */
import { type Disposable, type TextDocument, type TextEditor, window } from "vscode";

const INTERVAL_MS = 150;

export class Whereabouts implements Disposable {
  /** At which version the cursor was seen last: if that has changed since, it moved by typing. */
  private readonly versions = new WeakMap<TextDocument, number>();
  private timer: NodeJS.Timeout | undefined;
  private readonly listeners: readonly Disposable[];

  constructor(private readonly tell: (editor: TextEditor) => void) {
    this.listeners = [
      window.onDidChangeTextEditorSelection(({ textEditor }) => this.moved(textEditor)),
      window.onDidChangeActiveTextEditor(() => this.tellSoon()),
    ];
  }

  dispose(): void {
    clearTimeout(this.timer);
    this.listeners.forEach((listener) => listener.dispose());
  }

  private moved({ document }: TextEditor): void {
    const before = this.versions.get(document) ?? document.version;
    this.versions.set(document, document.version);
    if (before === document.version) {
      this.tellSoon();
    }
  }

  private tellSoon(): void {
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      if (window.activeTextEditor) {
        this.tell(window.activeTextEditor);
      }
    }, INTERVAL_MS);
  }
}
