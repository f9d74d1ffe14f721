/** Whether suggestions are wanted: on or off everywhere, in a language, in a file, or snoozed for some minutes. */
import { type Disposable, EventEmitter, type Memento, type TextDocument } from "vscode";
import { isOn, type Languages } from "./languages";
import { change, ownValue, setting } from "./settings";
import type { State } from "./state";

const FILES_OFF = "filesOff";
const MINUTE_MS = 60_000;

export class Switches implements Disposable {
  private readonly changed = new EventEmitter<void>();
  readonly onDidChange = this.changed.event;
  private awakeAt = 0;
  private alarm: NodeJS.Timeout | undefined;

  /** `memory` keeps which files of the workspace are off. */
  constructor(private readonly memory: Memento) {}

  get enabled(): boolean {
    return setting<boolean>("enabled") !== false;
  }

  get snoozed(): boolean {
    return Date.now() < this.awakeAt;
  }

  languageOn(id: string): boolean {
    return isOn(setting<Languages>("languages") ?? {}, id);
  }

  fileOn(document: TextDocument): boolean {
    return !this.filesOff().includes(document.uri.toString());
  }

  /** Why there are no suggestions in a document, or anywhere, if there are none. */
  off(document?: TextDocument): State | undefined {
    if (!this.enabled) {
      return { state: "off", reason: "disabled", message: "Suggestions are off." };
    }
    if (this.snoozed) {
      return { state: "snoozed", reason: "snoozed", message: `No suggestions until ${clock(this.awakeAt)}.` };
    }
    if (document && !this.fileOn(document)) {
      return { state: "off", reason: "file", message: "Suggestions are off in this file." };
    }
    if (document && !this.languageOn(document.languageId)) {
      return { state: "off", reason: "language", message: `Suggestions are off in ${document.languageId}.` };
    }
    return undefined;
  }

  /** On or off everywhere; off frees the server's memory. */
  async toggle(): Promise<void> {
    await change("enabled", !this.enabled);
  }

  async toggleLanguage(id: string): Promise<void> {
    await change("languages", { ...ownValue<Languages>("languages"), [id]: !this.languageOn(id) });
  }

  async toggleFile(document: TextDocument): Promise<void> {
    const uri = document.uri.toString();
    const others = this.filesOff().filter((other) => other !== uri);
    await this.memory.update(FILES_OFF, this.fileOn(document) ? [...others, uri] : others);
    this.changed.fire();
  }

  /** Suggest nothing for some minutes; 0 ends that. */
  snooze(minutes: number): void {
    this.awakeAt = Date.now() + minutes * MINUTE_MS;
    clearTimeout(this.alarm);
    this.alarm = setTimeout(() => this.changed.fire(), minutes * MINUTE_MS + 1);
    this.changed.fire();
  }

  /** To be called when a setting has changed. */
  reread(): void {
    this.changed.fire();
  }

  dispose(): void {
    clearTimeout(this.alarm);
    this.changed.dispose();
  }

  private filesOff(): readonly string[] {
    return this.memory.get<string[]>(FILES_OFF) ?? [];
  }
}

function clock(time: number): string {
  return new Date(time).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}
