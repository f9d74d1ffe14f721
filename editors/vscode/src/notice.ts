/** Sentences for the user, each with the name of the extension before it and buttons behind it. */
import { window } from "vscode";

/** A sentence about what went wrong and what the user can do. */
export class Fault extends Error {}

/** What a button does, by its label. */
export type Buttons = Record<string, () => unknown>;

type Show = (sentence: string, ...labels: string[]) => Thenable<string | undefined>;

async function say(show: Show, sentence: string, buttons: Buttons): Promise<void> {
  const chosen = await show(`flash_ls: ${sentence}`, ...Object.keys(buttons));
  try {
    await (chosen ? buttons[chosen]?.() : undefined);
  } catch (error) {
    void report(error);
  }
}

export function tell(sentence: string, buttons: Buttons = {}): Promise<void> {
  return say(window.showInformationMessage, sentence, buttons);
}

export function warn(sentence: string, buttons: Buttons = {}): Promise<void> {
  return say(window.showWarningMessage, sentence, buttons);
}

export function fail(sentence: string, buttons: Buttons = {}): Promise<void> {
  return say(window.showErrorMessage, sentence, buttons);
}

/** Show what was thrown. */
export function report(error: unknown): Promise<void> {
  return fail(error instanceof Error ? error.message : String(error));
}
