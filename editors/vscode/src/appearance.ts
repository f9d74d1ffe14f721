/** How a state looks in the status bar. Knows nothing of the editor. */
import type { State, StateName } from "./state";

export interface Appearance {
  readonly text: string;
  readonly tooltip: string;
  /** For screen readers. */
  readonly label: string;
}

const ICONS: Record<StateName, string> = {
  starting: "loading~spin",
  loading: "loading~spin",
  ready: "zap",
  thinking: "sync~spin",
  off: "circle-slash",
  snoozed: "bell-slash",
  error: "error",
};

/** `percentage`: how much of the model is loaded or built, if that is known. */
export function appearance(now: State, percentage?: number): Appearance {
  const share = now.state === "loading" && percentage ? ` ${percentage}%` : "";
  const said = `flash_ls: ${now.state}${share}`;
  return {
    text: `$(${ICONS[now.state]}) flash${share}`,
    tooltip: [said, now.message, "Click for the menu."].filter(Boolean).join("\n"),
    label: [said, now.message].filter(Boolean).join(". "),
  };
}
