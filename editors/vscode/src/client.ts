/** One server process, and the language client that talks to it. */
import type { ChildProcess } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import { languages, type LogOutputChannel, type TextEditor } from "vscode";
import {
  CloseAction,
  DidChangeConfigurationNotification,
  ErrorAction,
  LanguageClient,
  type LanguageClientOptions,
  RevealOutputChannelOn,
  type StaticFeature,
} from "vscode-languageclient/node";
import type { WorkDoneProgress } from "./loading";
import { Fault } from "./notice";
import { isAlive, lines, start, stop } from "./program";
import { levelOf } from "./record";
import { SECTION } from "./settings";
import type { Suggestions } from "./suggestions";

const SELECTOR = [{ scheme: "file" }, { scheme: "untitled" }, { scheme: "vscode-notebook-cell" }];
const DID_MOVE_CURSOR = "flashLs/didMoveCursor";
/** How long a process may take to leave. */
const LEAVE_MS = 3000;
/** How long it may take to answer the first message. */
const GREET_MS = 60_000;

/** The notifications of our own that this client understands. */
const OWN_NOTIFICATIONS: StaticFeature = {
  fillClientCapabilities: (capabilities) => {
    capabilities.experimental = { ...capabilities.experimental, [SECTION]: { status: true, refresh: true } };
  },
  initialize: () => undefined,
  getState: () => ({ kind: "static" }),
  clear: () => undefined,
};

/** Writes of errors into the log alone: the session tells the user in its own words. */
class QuietClient extends LanguageClient {
  override error(message: string, data?: unknown): void {
    super.error(message, data, false);
  }
}

/** What happens between the server and the rest of the extension. */
export interface Listener {
  readonly settings: () => Record<string, unknown>;
  readonly onStatus: (told: unknown) => void;
  readonly onProgress: (told: WorkDoneProgress) => void;
  /** The process has ended, by itself or because it was stopped. */
  readonly onExit: (code: number | null) => void;
}

export class Client {
  readonly language: LanguageClient;
  readonly began = Date.now();
  private child: ChildProcess | undefined;

  constructor(
    private readonly words: readonly string[],
    private readonly log: LogOutputChannel,
    private readonly suggestions: Suggestions,
    private readonly listener: Listener,
  ) {
    const transport = async () => ({ reader: this.child?.stdout as Readable, writer: this.child?.stdin as Writable });
    this.language = new QuietClient(SECTION, "flash_ls", transport, this.options());
    this.language.registerFeature(OWN_NOTIFICATIONS);
    this.language.onNotification("flashLs/status", (told) => listener.onStatus(told));
    this.language.onNotification("flashLs/refresh", ({ uri, better }) => this.refresh(uri, better === true));
  }

  /** What the server says of itself. */
  get info(): { name: string; version?: string } | undefined {
    return this.language.initializeResult?.serverInfo;
  }

  /** Start the process and greet it. Throws `Fault` if there is no such program. */
  async start(): Promise<void> {
    try {
      this.child = await start(this.words, "pipe");
    } catch (error) {
      throw new Fault(`${this.words[0]} does not start; correct flashLs.server.command. (${(error as Error).message})`);
    }
    lines(this.child.stderr as Readable, (line) => this.log[levelOf(line)](line));
    this.child.once("exit", (code) => this.listener.onExit(code));
    await this.greet(this.child);
  }

  /** End the process, by force if it does not leave. */
  async stop(): Promise<void> {
    try {
      await this.language.stop(LEAVE_MS);
    } catch {
      // it was not running, or does not answer
    } finally {
      await this.left();
    }
  }

  /** Send the settings as they are now. */
  async configure(): Promise<void> {
    const settings = { [SECTION]: this.listener.settings() };
    await this.language.sendNotification(DidChangeConfigurationNotification.type, { settings });
  }

  /** Tell where the cursor rests, if the server knows the document. */
  async moved({ document, selection }: TextEditor): Promise<void> {
    if (this.language.isRunning() && languages.match(SELECTOR, document) > 0) {
      const { code2ProtocolConverter: to } = this.language;
      const textDocument = to.asTextDocumentIdentifier(document);
      await this.language.sendNotification(DID_MOVE_CURSOR, {
        textDocument,
        position: to.asPosition(selection.active),
      });
    }
  }

  private async greet(child: ChildProcess): Promise<void> {
    const failed = new Promise((_, reject) => {
      child.once("exit", (code) => reject(new Error(`The server has ended with code ${code}.`)));
      setTimeout(() => reject(new Error("The server does not answer.")), GREET_MS).unref();
    });
    await Promise.race([this.language.start(), failed]);
  }

  private async left(): Promise<void> {
    const child = this.child;
    if (child && isAlive(child)) {
      const gone = new Promise((resolve) => child.once("exit", resolve));
      const force = setTimeout(() => stop(child, "SIGKILL"), LEAVE_MS);
      await gone;
      clearTimeout(force);
    }
  }

  private refresh(uri: string, better: boolean): Promise<void> {
    return this.suggestions.refresh(this.language.protocol2CodeConverter.asUri(uri).toString(), better);
  }

  private options(): LanguageClientOptions {
    const { settings, onProgress } = this.listener;
    return {
      documentSelector: SELECTOR,
      outputChannel: this.log,
      revealOutputChannelOn: RevealOutputChannelOn.Never,
      initializationOptions: settings,
      initializationFailedHandler: () => false,
      errorHandler: {
        error: () => ({ action: ErrorAction.Continue, handled: true }),
        closed: () => ({ action: CloseAction.DoNotRestart, handled: true }),
      },
      middleware: {
        provideInlineCompletionItems: (...request) => this.suggestions.provide(...request),
        handleWorkDoneProgress: (token, told, next) => {
          onProgress(told);
          if (told.kind === "end") {
            next(token, told); // no bar was begun there; this forgets the token
          }
        },
        workspace: {
          configuration: ({ items }) => items.map(({ section }) => (section === SECTION ? settings() : null)),
        },
      },
    };
  }
}
