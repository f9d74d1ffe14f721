/**
 * Make flash-ls.vsix: the bundles, and the server as a wheel, which the extension installs.
 *
 * PYTHON names the Python that builds the wheel; by default that of the repository's .venv, else python3.
 */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const FOLDER = fileURLToPath(new URL("..", import.meta.url));
const REPOSITORY = join(FOLDER, "../..");
const SERVER = join(FOLDER, "dist/server");
const VENV_PYTHON = join(REPOSITORY, ".venv/bin/python");

function run(program, words) {
  execFileSync(program, words, { cwd: FOLDER, stdio: ["ignore", "inherit", "inherit"] });
}

function node(script, words) {
  run(process.execPath, [join(FOLDER, script), ...words]);
}

/** The extension looks for the server of its own version. */
function checkVersion() {
  const { version } = JSON.parse(readFileSync(join(FOLDER, "package.json"), "utf8"));
  const wheels = readdirSync(SERVER);
  if (wheels.length !== 1 || !wheels[0].startsWith(`flash_ls-${version}-`)) {
    throw new Error(`The server is ${wheels}, the extension ${version}; give both the same version.`);
  }
}

function buildWheel() {
  const python = process.env.PYTHON || (existsSync(VENV_PYTHON) ? VENV_PYTHON : "python3");
  rmSync(SERVER, { recursive: true, force: true });
  run(python, ["-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps", "-w", SERVER, REPOSITORY]);
}

node("scripts/build.mjs", []);
buildWheel();
checkVersion();
node("node_modules/@vscode/vsce/vsce", [
  "package",
  "--no-dependencies",
  "--allow-missing-repository",
  "--no-rewrite-relative-links",
  "--out",
  join(FOLDER, "flash-ls.vsix"),
]);
