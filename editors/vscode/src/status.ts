/** The state of the extension, and the item in the status bar that shows it. */
import { commands, type Disposable, StatusBarAlignment, ThemeColor, window } from "vscode";
import { appearance, type Load } from "./appearance";
import type { State } from "./state";
import type { Switches } from "./switches";

const PRIORITY = 100;
const ALARM = new ThemeColor("statusBarItem.errorBackground");

export class Status implements Disposable {
  private readonly item = window.createStatusBarItem("flashLs.status", StatusBarAlignment.Right, PRIORITY);
  private readonly awaited: (() => void)[] = [];
  private latest: State = { state: "starting", reason: "", message: "" };
  private load: Load = {};

  constructor(private readonly switches: Switches) {
    this.item.name = "flash_ls";
    this.item.command = "flashLs.menu";
    this.show();
    this.item.show();
  }

  /** What the server does. */
  get server(): State {
    return this.latest;
  }

  /** The same, unless suggestions are off in the document at hand. */
  get now(): State {
    const off = this.switches.off(window.activeTextEditor?.document);
    return off && this.latest.state !== "error" ? off : this.latest;
  }

  set(state: State): void {
    this.latest = state;
    if (state.state !== "loading") {
      this.load = {};
    }
    if (state.state === "ready") {
      void commands.executeCommand("setContext", "flashLs.ready", true);
      this.awaited.splice(0).forEach((wake) => wake());
    }
    this.show();
  }

  /** The model is being loaded or built. */
  loads(load: Load): void {
    this.load = load;
    this.show();
  }

  /** Resolves once suggestions can be asked for. */
  ready(): Promise<void> {
    const waiting = this.latest.state !== "ready" && this.latest.state !== "thinking";
    return waiting ? new Promise((wake) => this.awaited.push(wake)) : Promise.resolve();
  }

  /** Show what may have changed: the document, a switch. */
  show(): void {
    const now = this.now;
    const { text, tooltip, label } = appearance(now, this.load);
    this.item.text = text;
    this.item.tooltip = tooltip;
    this.item.accessibilityInformation = { label, role: "button" };
    this.item.backgroundColor = now.state === "error" ? ALARM : undefined;
  }

  dispose(): void {
    this.item.dispose();
  }
}
