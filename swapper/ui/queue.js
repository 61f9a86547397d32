// Models that wait for a place.

import { h, keyed, say } from "./dom.js";
import { plural } from "./format.js";
import { modelLink, shown } from "./parts.js";

/** @typedef {typeof import("./live.js").now} Now */

/** @returns {import("./dom.js").Part<Now>} */
export function queue() {
  const list = h("ol", { class: "queue" });
  const none = h("p", { class: "muted" }, "No model waits for a place.");
  const show = keyed(list, (/** @type {string} */ name) => name, waiting);
  return {
    node: h("div", {}, list, none),
    update: ({ overview }) => {
      if (!overview) return;
      show(overview.queue);
      none.hidden = overview.queue.length > 0;
      list.hidden = !none.hidden;
    },
  };
}

/**
 * @param {string} name
 * @returns {import("./dom.js").Part<string>}
 */
function waiting(name) {
  const facts = h("span", { class: "muted" });
  return {
    node: h("li", {}, modelLink(name), " ", facts),
    update: () => {
      const model = shown(name);
      if (!model) return;
      const why = model.reason && model.reason !== model.state ? ` · ${model.reason}` : "";
      say(facts, `${plural(model.waiting, "request")}${why}`);
    },
  };
}
