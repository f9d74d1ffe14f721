/** Versions of Python. */

export type Version = readonly [major: number, minor: number];

const LEAST: Version = [3, 11];

/** The first number of the form 3.11 that is printed. */
export function parseVersion(printed: string): Version | undefined {
  const found = /(\d+)\.(\d+)/.exec(printed);
  return found ? [Number(found[1]), Number(found[2])] : undefined;
}

export function isTooOld([major, minor]: Version): boolean {
  return major < LEAST[0] || (major === LEAST[0] && minor < LEAST[1]);
}
