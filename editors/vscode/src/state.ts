/** What the extension and its server do, in a word and a sentence. */

export type StateName = "starting" | "loading" | "ready" | "thinking" | "off" | "snoozed" | "error";

export interface State {
  readonly state: StateName;
  /** A word or two: in what the last request ended, or why there are no suggestions. */
  readonly reason: string;
  /** The same as a sentence, or empty. */
  readonly message: string;
}

/** The reason of a state without a server. */
export const NOT_INSTALLED = "not installed";

const SAID: readonly string[] = ["loading", "ready", "thinking", "off", "error"];

/** What the server says of itself (flashLs/status), or undefined if it cannot be read. */
export function heard(told: unknown): State | undefined {
  const { state, reason, message } = (told ?? {}) as Record<string, unknown>;
  return SAID.includes(state as string)
    ? { state: state as StateName, reason: text(reason), message: text(message) }
    : undefined;
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}
