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

/** What is known of a load of the model, or of its build. */
export interface Load {
  readonly message?: string | undefined;
  readonly percentage?: number | undefined;
}

export function appearance(now: State, load: Load = {}): Appearance {
  const { percentage, message = now.message } = now.state === "loading" ? load : {};
  const share = percentage ? ` ${percentage}%` : "";
  const said = `flash_ls: ${now.state}${share}`;
  return {
    text: `$(${ICONS[now.state]}) flash${share}`,
    tooltip: [said, message, "Click for the menu."].filter(Boolean).join("\n"),
    label: [said, message].filter(Boolean).join(". "),
  };
}
