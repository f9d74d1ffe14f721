/** The user's settings. Those of the server are known by their names alone, which package.json lists. */
import { ConfigurationTarget, workspace } from "vscode";

export const SECTION = "flashLs";

/** The entry of `contributes.configuration` that describes the server's settings. */
const SERVER_TITLE = "Server";

interface Manifest {
  readonly contributes: {
    readonly configuration: readonly { readonly title: string; readonly properties: Record<string, unknown> }[];
  };
}

export function setting<T>(name: string): T | undefined {
  return workspace.getConfiguration(SECTION).get<T>(name);
}

/** Set it for the workspace if that has a value of its own, else for the user. */
export async function change(name: string, value: unknown): Promise<void> {
  const there = workspace.getConfiguration(SECTION).inspect(name)?.workspaceValue !== undefined;
  const target = there ? ConfigurationTarget.Workspace : ConfigurationTarget.Global;
  await workspace.getConfiguration(SECTION).update(name, value, target);
}

/** The value of a setting as it is set where `change` would write it, without defaults. */
export function ownValue<T>(name: string): T | undefined {
  const found = workspace.getConfiguration(SECTION).inspect<T>(name);
  return found?.workspaceValue ?? found?.globalValue;
}

/** Names of the server's settings, without their section. */
export function serverNames(manifest: Manifest): string[] {
  const entry = manifest.contributes.configuration.find(({ title }) => title === SERVER_TITLE);
  return Object.keys(entry?.properties ?? {}).map((key) => key.slice(SECTION.length + 1));
}

/** The server's settings as they are now. */
export function serverSettings(names: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(names.map((name) => [name, setting(name)]));
}
