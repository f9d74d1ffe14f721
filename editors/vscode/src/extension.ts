/** What the editor calls. All that talks to the server is in a bundle of its own, loaded once the editor has started. */
import { commands, type ConfigurationChangeEvent, type ExtensionContext, window, workspace } from "vscode";
import type { LanguageClient } from "vscode-languageclient/node";
import { showMenu } from "./menu";
import { report } from "./notice";
import type { Session } from "./session";
import type { State } from "./state";
import { Status } from "./status";
import { Switches } from "./switches";

const SNOOZE_MINUTES = 10;
const HIDE = "editor.action.inlineSuggest.hide";

/** For tests and other extensions. */
export interface Api {
  readonly state: () => State;
  readonly client: () => LanguageClient | undefined;
  /** Resolves once suggestions can be asked for. */
  readonly ready: () => Promise<void>;
}

let session: Session | undefined;

export function activate(context: ExtensionContext): Api {
  const switches = new Switches(context.workspaceState);
  const status = new Status(switches);
  const get = (): Session => (session ??= load(context, switches, status));
  context.subscriptions.push(
    switches,
    status,
    switches.onDidChange(() => switched(switches, status)),
    window.onDidChangeActiveTextEditor(() => status.show()),
    workspace.onDidChangeConfiguration((event) => configured(event, switches, get())),
  );
  register(context, switches, status, get);
  setImmediate(() => void get().start().catch(report));
  return { state: () => status.now, client: () => session?.language, ready: () => status.ready() };
}

export async function deactivate(): Promise<void> {
  await session?.stop();
}

function load(context: ExtensionContext, switches: Switches, status: Status): Session {
  const bundle = require("./session") as typeof import("./session");
  const made = new bundle.Session(context, switches, status);
  context.subscriptions.push(made);
  return made;
}

function switched(switches: Switches, status: Status): void {
  status.show();
  if (switches.off(window.activeTextEditor?.document)) {
    void commands.executeCommand(HIDE);
  }
}

function configured(event: ConfigurationChangeEvent, switches: Switches, running: Session): void {
  if (!event.affectsConfiguration("flashLs")) {
    return;
  }
  switches.reread();
  const restart = event.affectsConfiguration("flashLs.server");
  const start = event.affectsConfiguration("flashLs.enabled");
  const done = restart
    ? running.restart()
    : start
      ? running.start().then(() => running.configure())
      : running.configure();
  void done.catch(report);
}

function register(context: ExtensionContext, switches: Switches, status: Status, get: () => Session): void {
  const document = () => window.activeTextEditor?.document;
  const actions: Record<string, (argument?: unknown) => unknown> = {
    menu: () => showMenu(switches, status),
    toggle: () => switches.toggle(),
    toggleLanguage: () => withValue(document()?.languageId, (id) => switches.toggleLanguage(id)),
    toggleFile: () => withValue(document(), (file) => switches.toggleFile(file)),
    snooze: (minutes) => switches.snooze(typeof minutes === "number" ? minutes : switches.snoozed ? 0 : SNOOZE_MINUTES),
    trigger: () => get().ask(),
    why: () => get().why(),
    statistics: () => get().showStatistics(),
    buildModel: () => get().buildModel(),
    restart: () => get().restart(),
    showLog: () => get().showLog(),
  };
  for (const [name, act] of Object.entries(actions)) {
    context.subscriptions.push(commands.registerCommand(`flashLs.${name}`, (argument) => safely(act, argument)));
  }
}

/** Do something, and tell the user what goes wrong. */
async function safely(act: (argument: unknown) => unknown, argument: unknown): Promise<void> {
  try {
    await act(argument);
  } catch (error) {
    void report(error);
  }
}

/** Do something with what is there; without it there is nothing to do. */
function withValue<T>(value: T | undefined, act: (value: T) => unknown): unknown {
  return value === undefined ? undefined : act(value);
}
