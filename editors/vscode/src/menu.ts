/** The menu behind the status bar item. */
import { commands, QuickPickItemKind, type QuickPickItem, type TextDocument, window } from "vscode";
import { NOT_INSTALLED } from "./state";
import type { Status } from "./status";
import type { Switches } from "./switches";

const SETTINGS = "@ext:flash-ls.flash-ls";
const INSTALL = "$(cloud-download) Install the server";
const RESTART = "$(debug-restart) Restart the server";

interface Choice extends QuickPickItem {
  readonly command: string;
  readonly argument?: unknown;
}

type Line = Choice | { readonly label: string; readonly kind: QuickPickItemKind.Separator };

function line(label: string): Line {
  return { label, kind: QuickPickItemKind.Separator };
}

function here(switches: Switches, document: TextDocument): Line[] {
  const { languageId, uri } = document;
  const language = `${verb(switches.languageOn(languageId))} in ${languageId}`;
  const file = `${verb(switches.fileOn(document))} in ${uri.path.split("/").pop()}`;
  return [
    { label: `$(code) ${language}`, command: "flashLs.toggleLanguage" },
    { label: `$(file) ${file}`, command: "flashLs.toggleFile" },
  ];
}

function verb(on: boolean): string {
  return on ? "Turn off" : "Turn on";
}

function choices(switches: Switches, status: Status): Line[] {
  const document = window.activeTextEditor?.document;
  const snooze = switches.snoozed ? "$(bell) End the snooze" : "$(bell-slash) Snooze for 10 minutes";
  return [
    { label: switches.enabled ? "$(circle-slash) Turn off" : "$(zap) Turn on", command: "flashLs.toggle" },
    { label: snooze, command: "flashLs.snooze" },
    ...(document ? here(switches, document) : []),
    line("suggestions"),
    { label: "$(lightbulb) Ask for suggestions", command: "flashLs.trigger" },
    { label: "$(question) Why is there no suggestion?", description: status.now.message, command: "flashLs.why" },
    { label: "$(graph) Statistics", command: "flashLs.statistics" },
    line("server"),
    { label: "$(output) Show log", command: "flashLs.showLog" },
    { label: status.server.reason === NOT_INSTALLED ? INSTALL : RESTART, command: "flashLs.restart" },
    { label: "$(package) Build the model", command: "flashLs.buildModel" },
    { label: "$(gear) Settings", command: "workbench.action.openSettings", argument: SETTINGS },
  ];
}

/** Let the user choose, and do it. The click that opened the menu took the focus from the editor, which gets it back. */
export async function showMenu(switches: Switches, status: Status): Promise<void> {
  const options = { placeHolder: `flash_ls: ${status.now.state}` };
  const chosen = await window.showQuickPick(choices(switches, status), options);
  await commands.executeCommand("workbench.action.focusActiveEditorGroup");
  if (chosen && "command" in chosen) {
    await commands.executeCommand(chosen.command, chosen.argument);
  }
}
