/** How much a line of the server's log matters: its lines are JSON with a `level`, others are information. Pure. */

export type Level = "debug" | "info" | "warn" | "error";

const LEVELS: Readonly<Record<string, Level>> = { debug: "debug", warning: "warn", error: "error", critical: "error" };

export function levelOf(line: string): Level {
  try {
    return LEVELS[(JSON.parse(line) as { level: string }).level] ?? "info";
  } catch {
    return "info"; // somebody else's line
  }
}
