// What a reader sees in the workbench, as data. Loaded into every page before its own scripts.
// Own text and ghost text share the lines of an editor; the lines of a suggestion below its first stand in a zone.

(() => {
  const GHOST = '[class*="ghost-text"]';
  const plain = (text) => text.replaceAll("\u00a0", " ").replaceAll("\u200b", "");
  const all = (selector, root = document) => (root ? [...root.querySelectorAll(selector)] : []);
  const isSeen = (element) => element.getClientRects().length > 0;
  const top = (element) => Number.parseFloat(element.style.top);
  const byTop = (a, b) => top(a) - top(b);
  const labels = (selector) => all(selector).filter(isSeen).map((row) => row.getAttribute("aria-label") ?? row.textContent);

  const editor = () => document.querySelector(".editor-group-container.active .editor-instance .monaco-editor");
  const viewLines = () => all(".view-lines > .view-line", editor()).sort(byTop);

  /** The ghost text of a line, or the rest of it. */
  function pieces(line, ghost) {
    const walker = document.createTreeWalker(line, NodeFilter.SHOW_TEXT);
    let text = "";
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      if ((node.parentElement.closest(GHOST) !== null) === ghost) text += node.data;
    }
    return plain(text);
  }

  function ghost() {
    const first = viewLines().map((line) => pieces(line, true));
    const below = all(".view-zones .view-line", editor()).sort(byTop);
    return [first.join(""), ...below.map((line) => plain(line.textContent))].join("\n");
  }

  function status() {
    const item = document.querySelector('.statusbar-item[id$="flashLs.status"]');
    const label = item?.querySelector("[aria-label]") ?? item;
    return label ? label.getAttribute("aria-label") : "";
  }

  function look() {
    return {
      ready: document.querySelector(".monaco-workbench .statusbar-item") !== null,
      tab: document.querySelector(".editor-group-container.active .tab.active")?.dataset.resourceName ?? "",
      unsaved: document.querySelector(".editor-group-container.active .tab.active.dirty") !== null,
      lines: viewLines().map((line) => pieces(line, false)),
      ghost: ghost(),
      bar: plain(document.querySelector(".part.statusbar")?.innerText ?? ""),
      status: status(),
      notices: all(".notification-list-item-message").map((message) => plain(message.textContent)),
      buttons: labels(".notification-list-item-buttons-container .monaco-button"),
      asking: all(".quick-input-widget").some(isSeen),
      picks: labels(".quick-input-widget .quick-input-list .monaco-list-row"),
      popup: labels(".suggest-widget.visible .monaco-list-row"),
    };
  }

  // A stopwatch from a key to the first change of the page after which its line is as expected, with ghost text.
  let watch = { finish: () => {} };

  function arm(line) {
    watch.finish(null);
    const { promise, resolve } = Promise.withResolvers();
    let start = null;
    const begin = (event) => (start ??= event.timeStamp);
    const check = () => {
      if (start === null || pieces(viewLines().at(-1), false) !== line || !ghost()) return;
      finish({ ms: performance.now() - start, ghost: ghost() });
    };
    const observer = new MutationObserver(check);
    const finish = (found) => {
      observer.disconnect();
      removeEventListener("keydown", begin, true);
      resolve(found);
    };
    addEventListener("keydown", begin, true);
    observer.observe(editor(), { subtree: true, childList: true, characterData: true, attributes: true });
    watch = { promise, finish };
  }

  /** What the stopwatch showed, or null if no ghost text came within the limit. */
  function time(milliseconds) {
    setTimeout(watch.finish, milliseconds, null);
    return watch.promise;
  }

  globalThis.flashLs = { look, arm, time };
})();
