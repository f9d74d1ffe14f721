/** The Python that installs the server. */
import { Fault } from "./notice";
import { run } from "./program";
import { parseVersion, isTooOld, type Version } from "./version";

const PROBE = "import sys; print('%d.%d' % sys.version_info[:2]); import ensurepip, venv";
const NAMES = ["python3", "python3.14", "python3.13", "python3.12", "python3.11", "python"];
const CANDIDATES = process.platform === "win32" ? [["py", "-3"], ["python"], ["python3"]] : NAMES.map((name) => [name]);
const ADVICE = "install Python 3.11 or newer, or name one in flashLs.server.python.";

interface Found {
  readonly words: readonly string[];
  readonly version: Version;
  /** Whether it has what makes virtual environments. */
  readonly whole: boolean;
}

async function probe(words: readonly string[]): Promise<Found | undefined> {
  try {
    const { code, output } = await run([...words, "-c", PROBE]);
    const version = parseVersion(output);
    return version && { words, version, whole: code === 0 };
  } catch {
    return undefined; // no such program
  }
}

async function named(name: string): Promise<Found> {
  const found = await probe([name]);
  if (!found) {
    throw new Fault(`flashLs.server.python is ${name}, which does not start; correct it in your settings.`);
  }
  if (isTooOld(found.version)) {
    throw new Fault(`${name} is Python ${found.version.join(".")}; ${ADVICE}`);
  }
  return found;
}

async function first(): Promise<Found> {
  const seen: Found[] = [];
  for (const words of CANDIDATES) {
    const found = await probe(words);
    if (found && !isTooOld(found.version)) {
      return found;
    }
    seen.push(...(found ? [found] : []));
  }
  const which = seen[0] ? `Python ${seen[0].version.join(".")} is too old` : "There is no Python on this machine";
  throw new Fault(`${which}; ${ADVICE}`);
}

/** The words that start it. Throws `Fault` saying what is missing. */
export async function findPython(configured: string): Promise<readonly string[]> {
  const { words, version, whole } = await (configured ? named(configured) : first());
  if (!whole) {
    const name = `python${version.join(".")}-venv`;
    throw new Fault(`Python ${version.join(".")} cannot make virtual environments; on Debian install ${name}.`);
  }
  return words;
}
