/** The life of the server: found or installed, started, started again when it crashes, stopped. */
import { commands, type Disposable, type ExtensionContext, window } from "vscode";
import { ExecuteCommandRequest, type LanguageClient } from "vscode-languageclient/node";
import { Client } from "./client";
import { Cancelled, Installation } from "./install";
import { Loading } from "./loading";
import { buildModel } from "./model";
import { type Buttons, fail, Fault, tell, warn } from "./notice";
import { stopAll } from "./program";
import { Restarts } from "./restarts";
import { findServer, OwnServer, type Server } from "./server";
import { serverNames, serverSettings, setting } from "./settings";
import { heard, NOT_INSTALLED, type State } from "./state";
import { showStatistics } from "./statistics";
import type { Status } from "./status";
import { Suggestions } from "./suggestions";
import type { Switches } from "./switches";
import { Whereabouts } from "./whereabouts";

const NAME = "flash-ls";
const SERVER_STATUS = "flashLs.status";

const STARTING: State = { state: "starting", reason: "", message: "The server is being started." };
const AGAIN: State = { state: "starting", reason: "again", message: "The server has crashed and is started again." };
const INSTALLING: State = { state: "starting", reason: "installing", message: "The server is being installed." };
const LOADING: State = { state: "loading", reason: "loading", message: "The model is not loaded yet." };
const BUILDING: State = { state: "loading", reason: "building", message: "The model is being built." };
const READY: State = { state: "ready", reason: "", message: "" };
const UNBUILT: State = { state: "off", reason: "cancelled", message: "The model is not built; the menu does it." };
const MISSING: State = { state: "error", reason: NOT_INSTALLED, message: "The server is not installed." };
const NOTHING_ASKED = "Nothing has been asked for yet; type in a file, or ask for suggestions.";

export class Session implements Disposable {
  private readonly log = window.createOutputChannel("flash_ls", { log: true });
  private readonly own: OwnServer;
  private readonly names: readonly string[];
  private readonly installation: Installation;
  private readonly suggestions: Suggestions;
  private readonly loading: Loading;
  private readonly whereabouts: Whereabouts;
  private readonly restarts = new Restarts();
  private client: Client | undefined;
  private turn: Promise<void> = Promise.resolve();

  constructor(
    private readonly context: ExtensionContext,
    private readonly switches: Switches,
    private readonly status: Status,
  ) {
    this.own = new OwnServer(context);
    this.names = serverNames(context.extension.packageJSON);
    this.installation = new Installation(this.own, context.asAbsolutePath("dist/server"), this.log);
    this.suggestions = new Suggestions(switches, status);
    this.loading = new Loading(status, () => void this.giveUpLoading());
    this.whereabouts = new Whereabouts((editor) => void this.client?.moved(editor).catch(() => undefined));
  }

  get language(): LanguageClient | undefined {
    return this.client?.language;
  }

  /** Start the server unless it runs or is not wanted; offer to install it if there is none. */
  start(): Promise<void> {
    return this.inTurn(() => this.begin());
  }

  /** Start again, whatever went wrong before. */
  restart(): Promise<void> {
    this.restarts.forget();
    return this.inTurn(async () => {
      await this.end();
      await this.begin();
    });
  }

  stop(): Promise<void> {
    return this.inTurn(() => this.end());
  }

  /** Send the settings as they are now. */
  async configure(): Promise<void> {
    if (this.client?.language.isRunning()) {
      await this.client.configure();
    }
  }

  showLog(): void {
    this.log.show();
  }

  /** Ask for suggestions at the cursor, sure or not. */
  async ask(): Promise<void> {
    const off = this.switches.off(window.activeTextEditor?.document);
    await (off ? tell(off.message) : this.suggestions.ask());
    if (this.suggestions.nothing) {
      window.setStatusBarMessage("flash_ls: no suggestion here", 3000);
    }
  }

  /** Say why there is no suggestion. */
  async why(): Promise<void> {
    const off = this.switches.off(window.activeTextEditor?.document);
    const { message } = off ?? (await this.asked()) ?? this.status.now;
    await tell(message || NOTHING_ASKED, this.toLog());
  }

  async showStatistics(): Promise<void> {
    const server = await this.found();
    await (server && showStatistics(server.words, this.context.globalStorageUri.fsPath));
  }

  /** Build the model anew, and start with it. */
  async buildModel(): Promise<void> {
    const server = await this.found();
    if (!server) {
      return;
    }
    await this.stop();
    this.status.set(BUILDING);
    const built = await buildModel(server.words, setting<string>("model") ?? "", this.log).finally(() =>
      this.status.set(UNBUILT),
    );
    await (built && this.restart());
  }

  dispose(): void {
    stopAll();
    this.whereabouts.dispose();
    this.loading.end();
    this.log.dispose();
  }

  /** One after the other: a start never meets a stop half-way. */
  private inTurn(step: () => Promise<void>): Promise<void> {
    const done = this.turn.then(step);
    this.turn = done.catch(() => undefined);
    return done;
  }

  private async begin(): Promise<void> {
    if (this.client || !this.switches.enabled) {
      return;
    }
    this.status.set(STARTING);
    const server = await this.found();
    await (server && this.launch(server));
  }

  private async end(): Promise<void> {
    const client = this.client;
    this.client = undefined;
    this.loading.end();
    await client?.stop();
  }

  /** The server; none is told of. */
  private async found(): Promise<Server | undefined> {
    const server = await findServer(this.own);
    if (!server) {
      this.status.set(MISSING);
      void this.offer("the server is not installed yet. That takes some minutes and 0.8 GB, once.");
    }
    return server;
  }

  private offer(sentence: string): Promise<void> {
    return tell(sentence, { Install: () => this.install(), "Open Settings": () => this.openSettings() });
  }

  private async install(): Promise<void> {
    this.status.set(INSTALLING);
    try {
      await this.installation.run();
    } catch (error) {
      this.status.set(MISSING);
      if (!(error instanceof Cancelled)) {
        void fail((error as Error).message, { "Try Again": () => this.install(), ...this.toLog() });
      }
      return;
    }
    await this.restart();
  }

  private async launch(server: Server): Promise<void> {
    const client: Client = new Client(server.words, this.log, this.suggestions, {
      settings: () => serverSettings(this.names),
      onStatus: (told) => this.heard(client, told),
      onProgress: (told) => this.loading.hear(told),
      onExit: (code) => this.exited(client, code),
    });
    this.client = client;
    try {
      await client.start();
      this.greeted(client, server);
    } catch (error) {
      this.failed(client, error as Error);
    }
  }

  /** The program is not there, or does not speak as it should: its end is told of then. */
  private failed(client: Client, error: Error): void {
    this.log.error(error.message);
    if (error instanceof Fault) {
      this.client = undefined;
      this.status.set({ state: "error", reason: "does not start", message: error.message });
      void fail(error.message, { "Open Settings": () => this.openSettings() });
    } else {
      void client.stop();
    }
  }

  /** The handshake is done: the server may be another one than the extension was made with. */
  private greeted(client: Client, { source }: Server): void {
    void commands.executeCommand("setContext", "flashLs.running", true);
    const { name, version } = client.info ?? {};
    const same = version === this.own.version;
    if (this.status.server.state === "starting") {
      this.status.set(name === NAME && same ? LOADING : READY);
    }
    if (name === NAME && !same) {
      this.warnOfVersion(version, source);
    }
  }

  private warnOfVersion(version: string | undefined, source: Server["source"]): void {
    const sentence = `the server is version ${version}, this extension was made with ${this.own.version}.`;
    if (source === "own") {
      void warn(sentence, { Reinstall: () => this.reinstall() });
    } else {
      const advice = "Update the older one, or empty flashLs.server.command.";
      void warn(`${sentence} ${advice}`, { "Open Settings": () => this.openSettings() });
    }
  }

  private async reinstall(): Promise<void> {
    await this.stop();
    await this.installation.remove();
    await this.install();
  }

  private heard(client: Client, told: unknown): void {
    const state = heard(told);
    if (state && client === this.client) {
      this.status.set(state);
    }
  }

  /** A process has ended; one that was told to is not ours any more. */
  private exited(client: Client, code: number | null): void {
    if (client !== this.client) {
      return;
    }
    this.client = undefined;
    this.loading.end();
    this.log.error(`The server has ended with code ${code}.`);
    const delay = this.restarts.next(Date.now() - client.began);
    if (delay === undefined) {
      this.crashed(code);
    } else {
      this.status.set(AGAIN);
      setTimeout(() => void this.start(), delay);
    }
  }

  private crashed(code: number | null): void {
    const message = `The server has ended ${this.restarts.count} times, the last time with code ${code}.`;
    this.status.set({ state: "error", reason: "the server crashes", message });
    void fail(`${message} Its log says why.`, { ...this.toLog(), Restart: () => this.restart() });
  }

  /** The user wants no more of the build that goes on in the server. */
  private async giveUpLoading(): Promise<void> {
    await this.stop();
    this.status.set(UNBUILT);
  }

  /** What the server says of its last request, by its own command. */
  private async asked(): Promise<State | undefined> {
    const language = this.language;
    const known = language?.initializeResult?.capabilities.executeCommandProvider?.commands ?? [];
    const params = { command: SERVER_STATUS };
    return known.includes(SERVER_STATUS)
      ? heard(await language?.sendRequest(ExecuteCommandRequest.type, params))
      : undefined;
  }

  private toLog(): Buttons {
    return { "Show Log": () => this.showLog() };
  }

  private openSettings(): Thenable<unknown> {
    return commands.executeCommand("workbench.action.openSettings", "flashLs.server");
  }
}
