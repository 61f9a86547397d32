// A unit's journal, as it is written. What somebody has scrolled back to stays where it is.

import { attr, h, say } from "./dom.js";
import { ask, modelPath, reason, Refused } from "./api.js";
import { now } from "./live.js";

/** Lines that are kept, and asked for at first. */
const MOST = 2000;
const FIRST = 200;
const AGAIN = 2000;

/** @param {string} name */
export function journal(name) {
  const text = h("pre", { class: "journal", tabindex: 0, role: "log", "aria-label": `Journal of ${name}`, "aria-live": "off" });
  const state = h("span", { class: "muted", role: "status" });
  const pause = h("button", { type: "button", "aria-pressed": "false", onclick: () => toggle() }, "Pause");
  const end = h("button", { type: "button", onclick: () => { text.scrollTop = text.scrollHeight; } }, "To the end");
  /** @type {AbortController | null} */
  let stream = null;
  let paused = false;
  let closed = false;

  /** @param {string[]} lines */
  const add = (lines) => {
    const below = text.scrollHeight - text.scrollTop - text.clientHeight < 40;
    text.append(...lines.map((line) => h("span", {}, `${line}\n`)));
    while (text.childElementCount > MOST) text.firstElementChild?.remove();
    if (below) text.scrollTop = text.scrollHeight;
  };

  const follow = async () => {
    stream?.abort();
    if (paused || closed || document.hidden) return;
    const own = stream = new AbortController();
    try {
      const response = await ask(modelPath(name, `/log?follow=1&lines=${FIRST}`), { signal: own.signal });
      text.replaceChildren();
      say(state, "live");
      await read(response, add);
    } catch (error) {
      if (own.signal.aborted) return;
      say(state, reason(error));
      if (error instanceof Refused && error.status < 500) {
        // Neither this key nor this model will have one: what is left is the reason.
        text.hidden = pause.hidden = end.hidden = true;
        return;
      }
    }
    if (own !== stream || closed) return;
    if (now.connection !== "open") say(state, "The router is not there.");
    setTimeout(() => own === stream && void follow(), AGAIN);
  };

  const toggle = () => {
    paused = !paused;
    attr(pause, "aria-pressed", String(paused));
    say(state, paused ? "paused" : "");
    void follow();
  };

  // A tab that nobody sees leaves its connections to the others, see live.js.
  document.addEventListener("visibilitychange", follow);
  void follow();
  return {
    node: h("div", {}, h("div", { class: "row" }, pause,
      end, state), text),
    close: () => {
      closed = true;
      document.removeEventListener("visibilitychange", follow);
      stream?.abort();
    },
  };
}

/**
 * Lines of a text that has no end, handed on in batches.
 * @param {Response} response
 * @param {(lines: string[]) => void} add
 */
async function read(response, add) {
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  if (!reader) return;
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    const lines = (rest + value).split("\n");
    rest = lines.pop() ?? "";
    add(lines);
  }
  if (rest) add([rest]);
}
