/** Which requests for inline suggestions reach the server, and when it is asked again. */
import {
  type CancellationToken,
  CancellationTokenSource,
  commands,
  type InlineCompletionContext,
  type InlineCompletionItem,
  type InlineCompletionList,
  InlineCompletionTriggerKind,
  type Position,
  type TextDocument,
  window,
} from "vscode";
import type { Middleware } from "vscode-languageclient/node";
import type { Status } from "./status";
import type { Switches } from "./switches";

const HIDE = "editor.action.inlineSuggest.hide";
const TRIGGER = "editor.action.inlineSuggest.trigger";

/** Nobody cancels this. */
const NEVER = new CancellationTokenSource().token;

type Ask = Parameters<NonNullable<Middleware["provideInlineCompletionItems"]>>[4];
type Items = InlineCompletionItem[] | InlineCompletionList | null | undefined;

interface Place {
  readonly document: TextDocument;
  readonly version: number;
  readonly position: Position;
}

/** The last answer that was not cancelled. */
interface Answer extends Place {
  readonly items: readonly InlineCompletionItem[];
  /** Ask the same again, as nobody has asked for it. */
  readonly again: () => ReturnType<Ask>;
}

export class Suggestions {
  private last: Answer | undefined;
  /** Where somebody has asked and waits for the answer. */
  private awaited: Place | undefined;
  /** What the next request is answered with, without asking the server. */
  private prepared: Items;

  constructor(
    private readonly switches: Switches,
    private readonly status: Status,
  ) {}

  /** Ask the server once its model is loaded, unless suggestions are off. */
  async provide(
    document: TextDocument,
    position: Position,
    context: InlineCompletionContext,
    token: CancellationToken,
    ask: Ask,
  ): Promise<Items> {
    if (this.switches.off(document)) {
      return undefined;
    }
    const place = { document, version: document.version, position };
    const asked = context.triggerKind === InlineCompletionTriggerKind.Invoke && !this.prepared;
    this.awaited = asked ? place : undefined;
    const again = () => ask(document, position, unasked(context), NEVER);
    const found = this.prepared ?? (await this.answer(place, token, () => ask(document, position, context, token)));
    if (!token.isCancellationRequested) {
      this.last = { ...place, items: itemsOf(found), again };
    }
    return found;
  }

  private async answer(place: Place, token: CancellationToken, ask: () => ReturnType<Ask>): Promise<Items> {
    try {
      if (this.status.server.state === "loading") {
        await Promise.race([this.status.ready(), cancelled(token)]);
      }
      return token.isCancellationRequested ? undefined : await ask();
    } finally {
      this.awaited = this.awaited === place ? undefined : this.awaited;
    }
  }

  /**
   * More is known of what is shown in a document (flashLs/refresh): show that, if it begins with what is shown.
   * What is `better` may be another text, also where nothing is shown.
   */
  async refresh(uri: string, better = false): Promise<void> {
    const last = this.last;
    if (!last || !isHere(last) || last.document.uri.toString() !== uri) {
      return;
    }
    const found = await last.again();
    if (last === this.last && isHere(last) && isNews(itemsOf(found), last.items, better)) {
      this.prepared = found;
      await replace().finally(() => {
        this.prepared = undefined;
      });
    }
  }

  /** Somebody asks, sure or not; who asks twice is answered once. */
  async ask(): Promise<void> {
    if (!this.awaited || !isHere(this.awaited)) {
      await replace();
    }
  }

  /** Whether the last request at the cursor was answered with nothing. */
  get nothing(): boolean {
    return this.last?.items.length === 0 && isHere(this.last);
  }
}

/** Have the editor ask. What is shown is hidden first: it would stay in front. */
async function replace(): Promise<void> {
  await commands.executeCommand(HIDE);
  await commands.executeCommand(TRIGGER);
}

function cancelled(token: CancellationToken): Promise<void> {
  return new Promise((resolve) => token.onCancellationRequested(() => resolve()));
}

function unasked(context: InlineCompletionContext): InlineCompletionContext {
  return { ...context, triggerKind: InlineCompletionTriggerKind.Automatic };
}

function itemsOf(found: Items): readonly InlineCompletionItem[] {
  return Array.isArray(found) ? found : (found?.items ?? []);
}

function textOf(item: InlineCompletionItem | undefined): string {
  const text = item?.insertText ?? "";
  return typeof text === "string" ? text : text.value;
}

function isNews(
  [now]: readonly InlineCompletionItem[],
  [before]: readonly InlineCompletionItem[],
  better: boolean,
): boolean {
  const [text, shown] = [textOf(now), textOf(before)];
  return text !== shown && (better ? text !== "" : shown !== "" && text.startsWith(shown));
}

/** Whether the cursor is there, and nothing was typed since. */
function isHere({ document, version, position }: Place): boolean {
  const editor = window.activeTextEditor;
  const unchanged = editor?.document === document && document.version === version;
  return unchanged && editor.selection.isEmpty && editor.selection.active.isEqual(position);
}
