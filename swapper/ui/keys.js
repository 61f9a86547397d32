// What keys have used since the router's start.

import { h, say, section } from "./dom.js";
import { clock, count } from "./format.js";
import { json, reason } from "./api.js";
import { now } from "./live.js";
import { modelLink } from "./parts.js";

/**
 * @typedef {{model: string, requests: number, failed: number, tokens_in: number, tokens_out: number}} ModelUse
 * @typedef {{key: string, running: number, limit: number | null, models: ModelUse[]}} KeyUse
 */

const AGAIN = 5000;

/**
 * @param {HTMLElement} main
 * @returns {import("./main.js").View}
 */
export function keysPage(main) {
  const note = h("p", { class: "muted" });
  const place = h("div", { class: "keys" });
  main.append(h("h1", {}, "Keys"), note, place);
  let shown = "";
  const look = async () => {
    if (document.hidden) return;
    try {
      const found = await json("api/usage");
      say(note, remark(found.since));
      const text = JSON.stringify(found.keys);
      if (text === shown) return;
      shown = text;
      place.replaceChildren(...found.keys.map(card));
      if (!found.keys.length) place.append(h("p", { class: "muted" }, "Nobody has asked for anything yet."));
    } catch (error) {
      say(note, reason(error));
    }
  };
  void look();
  const timer = setInterval(look, AGAIN);
  return { title: "Keys", update: () => undefined, close: () => clearInterval(timer) };
}

/** @param {number} since */
function remark(since) {
  const from = `Counted since the router's start, ${new Date(since * 1000).toLocaleDateString()} ${clock(since)}; /metrics has it for longer memories.`;
  if (!now.who?.keys) return `There are no keys: this machine alone is answered. ${from}`;
  return now.who.admin ? from : `This key's own use: a key of scope admin sees all. ${from}`;
}

/**
 * @param {KeyUse} use
 * @returns {HTMLElement}
 */
function card(use) {
  const id = `key-${encodeURIComponent(use.key)}`;
  const total = (/** @type {keyof ModelUse} */ what) => use.models.reduce((sum, each) => sum + Number(each[what]), 0);
  const head = ["Model", "Requests", "Failed", "Tokens in", "Tokens out"];
  const cells = (/** @type {number[]} */ values) => values.map((value, index) =>
    h("td", { class: "number", "data-label": head[index + 1] }, count(value)));
  const limit = use.limit === null ? "" : ` of ${use.limit}`;
  return section(use.key || "without a key", id,
    h("p", { class: "muted" }, `${use.running}${limit} running now`),
    use.models.length ? h("div", { class: "scroll", tabindex: 0, role: "region", "aria-labelledby": id },
      h("table", {}, h("thead", {}, h("tr", {}, ...head.map((each) => h("th", { scope: "col" }, each)))),
        h("tbody", {}, ...use.models.map((each) => h("tr", {},
          h("th", { scope: "row" }, each.model ? modelLink(each.model) : "no such model"),
          ...cells([each.requests, each.failed, each.tokens_in, each.tokens_out])))),
        h("tfoot", {}, h("tr", {}, h("th", { scope: "row" }, "All"),
          ...cells([total("requests"), total("failed"), total("tokens_in"), total("tokens_out")])))))
      : h("p", { class: "muted" }, "Not used yet."));
}
