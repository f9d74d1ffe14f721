// What the tests do again and again: script the server, read what it heard, type, accept, wait.

const { readFileSync, renameSync, writeFileSync } = require("node:fs");
const { dirname, join } = require("node:path");
const { setTimeout: sleep } = require("node:timers/promises");
const vscode = require("vscode");

const HOME = dirname(vscode.workspace.workspaceFile.fsPath);
const SCRIPT = join(HOME, "script.json");
const WAIT_MS = 10_000;
const POLL_MS = 20;
const INLINE = "textDocument/inlineCompletion";
const run = vscode.commands.executeCommand;
const extension = vscode.extensions.getExtension("flash-ls.flash-ls");

/** Have the server answer so from now on, by the line before the cursor. A string is short for its one text. */
function play(answers) {
  const rules = Object.entries(answers).map(([key, rule]) => [key, typeof rule === "string" ? { texts: [rule] } : rule]);
  const script = { ...JSON.parse(readFileSync(SCRIPT, "utf8")), answers: Object.fromEntries(rules) };
  writeFileSync(`${SCRIPT}.new`, JSON.stringify(script));
  renameSync(`${SCRIPT}.new`, SCRIPT);
}

let begin = 0;

function messages() {
  const lines = readFileSync(join(HOME, "messages.jsonl"), "utf8").split("\n").slice(0, -1);
  return lines.map((line) => JSON.parse(line));
}

/** Count what is heard from here. */
function forget() {
  begin = messages().length;
}

/** The parameters of every message of this kind that the server got. */
function heard(method, since = begin) {
  return messages().slice(since).filter((message) => message.method === method).map((message) => message.params ?? null);
}

/** Poll until the condition has a value; that value. */
async function until(condition, what) {
  for (const end = Date.now() + WAIT_MS; Date.now() < end; await sleep(POLL_MS)) {
    const value = await condition();
    if (value) return value;
  }
  throw new Error(what);
}

const hears = (method, times = 1) =>
  until(() => heard(method).length >= times && heard(method).at(-1), `the server does not hear ${method}`);

/** The versions at which VS Code has asked its providers for suggestions: ours among them, whether it answers or not. */
const versions = new Map();

vscode.languages.registerInlineCompletionItemProvider("*", {
  provideInlineCompletionItems: (document) => void versions.set(document, document.version),
});

/** Poll until VS Code has asked its providers about a document as it is. */
const providersAsked = (document) =>
  until(() => versions.get(document) === document.version, "VS Code asks no provider about the key");

/** Show a document that the server knows, the cursor at its end. */
async function show(document) {
  const editor = await vscode.window.showTextDocument(document);
  const end = document.lineAt(document.lineCount - 1).range.end;
  editor.selection = new vscode.Selection(end, end);
  const uri = document.uri.toString();
  const opened = () => heard("textDocument/didOpen", 0).some((params) => params.textDocument.uri === uri);
  await until(opened, `the server does not hear of ${uri}`);
  return editor;
}

async function untitled(content = "", language = "python") {
  return show(await vscode.workspace.openTextDocument({ language, content }));
}

/** Keys, as VS Code handles them: it closes brackets. */
async function type(text) {
  for (const character of text) await run("type", { text: character });
}

/** Run a command that takes a suggestion until one is there; the document's text after it. */
function accept(document, command = "editor.action.inlineSuggest.commit") {
  const before = document.getText();
  return until(async () => {
    await run(command);
    return document.getText() !== before && document.getText();
  }, `nothing is suggested behind ${JSON.stringify(before)}`);
}

module.exports = {
  HOME, INLINE, accept, extension, forget, heard, hears, play, providersAsked, run, show, type, until, untitled,
};
