/** Whether there are suggestions in a language, by the setting `flashLs.languages`. */

export type Languages = Readonly<Record<string, boolean>>;

const OTHERS = "*";

export function isOn(languages: Languages, id: string): boolean {
  return languages[id] ?? languages[OTHERS] ?? true;
}
