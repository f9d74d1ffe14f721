// The extension seen through the API of VS Code, with a server that answers as each test says.

const assert = require("node:assert/strict");
const { writeFileSync } = require("node:fs");
const { join } = require("node:path");
const { setTimeout: sleep } = require("node:timers/promises");
const vscode = require("vscode");
const {
  HOME, INLINE, accept, extension, heard, hears, play, providersAsked, run, show, type, until, untitled,
} = require("./stage");

/** A move of the cursor is told of within 150 ms. */
const LONGER_THAN_TELLING_MS = 400;

const tests = [];
const test = (name, body) => tests.push({ name, body });
const settings = () => vscode.workspace.getConfiguration("flashLs");
const contributed = () =>
  extension.packageJSON.contributes.configuration.flatMap(({ properties }) => Object.entries(properties));

/** Type a key that is answered; whether the server was asked about anything typed before it. */
async function asks(document, key) {
  await type(key);
  await until(() => heard(INLINE).some(({ textDocument }) => textDocument.uri === document.uri.toString()), "nothing is asked");
}

/** Type a key, and wait until it is too late to be asked about. */
async function typeUnasked(document, key) {
  await type(key);
  await providersAsked(document);
}

/** Turn suggestions off by a command, type, turn them on again, type: only the last key may be asked about. */
async function isOffBetween(document, off, on) {
  await off();
  await typeUnasked(document, "x");
  await typeUnasked(document, "y");
  await on();
  await asks(document, "z");
  assert.deepEqual([...new Set(heard(INLINE).map(({ position }) => position.character))], [3]);
}

test("it starts by itself and is ready", async () => {
  await until(() => vscode.workspace.workspaceFolders?.length === 2, "VS Code does not open the folders");
  await until(() => extension.isActive, "it does not become active");
  await extension.exports.ready();
  assert.ok(extension.exports.client());
});

test("every command that it has can be run", async () => {
  const known = new Set(await vscode.commands.getCommands(true));
  const commands = extension.packageJSON.contributes.commands.map(({ command }) => command);
  assert.ok(commands.length >= 11);
  assert.deepEqual(commands.filter((command) => !known.has(command)), []);
});

test("every setting has a default and is explained", () => {
  for (const [name, described] of contributed()) {
    const found = settings().inspect(name.replace("flashLs.", ""));
    assert.notEqual(found?.defaultValue, undefined, name);
    assert.ok(described.markdownDescription || described.description, name);
  }
});

test("one server serves all folders of the window", async () => {
  const later = () => heard("workspace/didChangeWorkspaceFolders", 0).flatMap(({ event }) => event.added);
  const known = () => [...heard("initialize", 0)[0].workspaceFolders, ...later()].map(({ name }) => name);
  await until(() => known().length >= 2, "the server does not hear of the folders");
  assert.deepEqual(known(), ["one", "two"]);
  assert.equal(heard("initialize", 0).length, 1);
});

test("the server gets its own settings and no others", () => {
  const [{ initializationOptions: sent }] = heard("initialize", 0);
  assert.equal((sent.flashLs ?? sent).min_confidence, 0.3);
  assert.deepEqual(Object.keys(sent.flashLs ?? sent).filter((key) => ["server", "languages", "trace"].includes(key)), []);
});

test("the server learns that its state is shown", () => {
  const [{ capabilities }] = heard("initialize", 0);
  assert.equal(capabilities.experimental.flashLs.status, true);
  assert.ok(capabilities.textDocument.inlineCompletion);
});

test("its state is what the server says", async () => {
  const said = await until(() => extension.exports.state().message && extension.exports.state(), "it has no state");
  assert.deepEqual({ ...said }, { state: "ready", reason: "unsure", message: "A sentence from the server." });
});

test("a suggestion reaches over the bracket that the editor closed", async () => {
  play({ "f(a": { texts: ["b)\ng"], range: [0, 1] } });
  const { document } = await untitled();
  await type("f(a");
  assert.equal(document.getText(), "f(a)");
  assert.equal(await accept(document), "f(ab)\ng");
});

test("words and lines are accepted one by one, and undone", async () => {
  play({ x: "yz(one, two)\n    three" });
  const { document } = await untitled();
  await type("x");
  assert.equal(await accept(document, "editor.action.inlineSuggest.acceptNextWord"), "xyz");
  assert.equal(await accept(document, "editor.action.inlineSuggest.acceptNextLine"), "xyz(one, two)\n");
  await run("undo");
  assert.equal(document.getText(), "xyz");
});

test("emoji count as the protocol says", async () => {
  play({ 's = "😀ö" + t': "ext" });
  const { document } = await untitled('s = "😀ö" + ');
  await type("t");
  assert.equal(await accept(document), 's = "😀ö" + text');
  assert.equal(heard(INLINE).at(-1).position.character, 13);
});

test("a file with CRLF keeps its line ends", async () => {
  play({ b: "c\nd" });
  writeFileSync(join(HOME, "one", "crlf.py"), "a\r\n");
  const { document } = await show(await vscode.workspace.openTextDocument(join(HOME, "one", "crlf.py")));
  await type("b");
  assert.equal(await accept(document), "a\r\nbc\r\nd");
});

test("a file of the second folder is served by the same server", async () => {
  play({ ab: "cd" });
  writeFileSync(join(HOME, "two", "b.js"), "");
  const { document } = await show(await vscode.workspace.openTextDocument(join(HOME, "two", "b.js")));
  await type("ab");
  assert.equal(await accept(document), "abcd");
  assert.equal(heard("initialize", 0).length, 1);
});

test("the cell of a notebook has suggestions", async () => {
  play({ ab: "cd" });
  const cell = new vscode.NotebookCellData(vscode.NotebookCellKind.Code, "", "python");
  const notebook = await vscode.workspace.openNotebookDocument("jupyter-notebook", new vscode.NotebookData([cell]));
  await vscode.window.showNotebookDocument(notebook);
  await run("notebook.cell.edit");
  const { document } = notebook.cellAt(0);
  await until(() => vscode.window.activeTextEditor?.document === document, "the cell is not edited");
  await type("ab");
  assert.equal(await accept(document), "abcd");
});

test("a suggestion that somebody asks for is an explicit request", async () => {
  play({ ab: "cd" });
  const { document } = await untitled("ab");
  await run("flashLs.trigger");
  assert.equal(await accept(document), "abcd");
  assert.ok(heard(INLINE).some(({ context }) => context.triggerKind === 1));
});

test("a request that typing outdates is cancelled", async () => {
  play({ a: { silent: true }, ab: "cd" });
  const { document } = await untitled();
  await type("a");
  await hears(INLINE);
  await type("b");
  assert.equal(await accept(document), "abcd");
  await hears("$/cancelRequest");
});

test("a cursor that is moved is told of", async () => {
  const editor = await untitled("one\ntwo\n");
  editor.selection = new vscode.Selection(1, 2, 1, 2);
  const { textDocument, position } = await hears("flashLs/didMoveCursor");
  assert.equal(textDocument.uri, editor.document.uri.toString());
  assert.deepEqual(position, { line: 1, character: 2 });
});

test("a cursor that typing moves is not told of", async () => {
  play({});
  const { document } = await untitled("one\n");
  await hears("flashLs/didMoveCursor");
  await type("two");
  await asks(document, "x");
  await sleep(LONGER_THAN_TELLING_MS);
  const told = heard("flashLs/didMoveCursor").map(({ position }) => position.character);
  assert.deepEqual([...new Set(told)], [0]);
});

test("turned off, nothing is asked, and turned on it is", async () => {
  play({});
  const { document } = await untitled();
  await isOffBetween(document, () => run("flashLs.toggle"), () => run("flashLs.toggle"));
});

test("snoozed, nothing is asked until it is woken", async () => {
  play({});
  const { document } = await untitled();
  await isOffBetween(document, () => run("flashLs.snooze"), () => run("flashLs.snooze"));
});

test("a language is turned off alone", async () => {
  play({});
  const other = (await untitled("", "javascript")).document;
  const { document } = await untitled();
  const elsewhere = async () => {
    await vscode.window.showTextDocument(other);
    await asks(other, "x");
    await vscode.window.showTextDocument(document);
  };
  await run("flashLs.toggleLanguage");
  assert.equal(settings().get("languages").python, false);
  await elsewhere();
  await typeUnasked(document, "x");
  await run("flashLs.toggleLanguage");
  await asks(document, "y");
  const uri = document.uri.toString();
  const asked = heard(INLINE).filter(({ textDocument }) => textDocument.uri === uri);
  assert.deepEqual([...new Set(asked.map(({ position }) => position.character))], [2]);
});

test("a file is turned off alone", async () => {
  play({});
  const { document } = await untitled();
  await isOffBetween(document, () => run("flashLs.toggleFile"), () => run("flashLs.toggleFile"));
});

test("a changed setting reaches the server", async () => {
  await settings().update("min_confidence", 0.7, vscode.ConfigurationTarget.Workspace);
  await until(() => settings().get("min_confidence") === 0.7, "VS Code does not know the setting");
  await hears("workspace/didChangeConfiguration");
  await settings().update("min_confidence", undefined, vscode.ConfigurationTarget.Workspace);
});

test("a folder that is added to the workspace is shown to the server", async () => {
  const uri = vscode.Uri.file(join(HOME, "three"));
  vscode.workspace.updateWorkspaceFolders(2, 0, { uri });
  const { event } = await hears("workspace/didChangeWorkspaceFolders");
  assert.deepEqual(event.added.map(({ name }) => name), ["three"]);
  assert.equal(heard("initialize", 0).length, 1);
});

test("the page of statistics is the server's", async () => {
  await run("flashLs.statistics");
  const open = () => vscode.window.tabGroups.all.flatMap(({ tabs }) => tabs);
  const tab = await until(() => open().find(({ label }) => label === "flash_ls: statistics"), "there is no page");
  assert.deepEqual(heard("command")[0].slice(0, 2), ["stats", "--out"]);
  await vscode.window.tabGroups.close(tab);
});

test("a setting that says which server it is starts that", async () => {
  const { document } = await untitled("a");
  await settings().update("server.python", "/elsewhere/python", vscode.ConfigurationTarget.Workspace);
  await hears("initialize");
  await settings().update("server.python", undefined, vscode.ConfigurationTarget.Workspace);
  await hears("initialize", 2);
  const uri = document.uri.toString();
  await until(() => heard("textDocument/didOpen").some(({ textDocument }) => textDocument.uri === uri), "it is not opened");
});

test("a restart brings a new server that knows what is open", async () => {
  play({ ab: "cd" });
  const { document } = await untitled("a");
  await run("flashLs.restart");
  await hears("initialize");
  const uri = document.uri.toString();
  await until(() => heard("textDocument/didOpen").some(({ textDocument }) => textDocument.uri === uri), "it is not opened");
  await type("b");
  assert.equal(await accept(document), "abcd");
});

exports.tests = tests;
