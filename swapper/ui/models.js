// All models, to be found by a word, with what they do and what can be done with them.

import { h, keyed, say, table } from "./dom.js";
import { plural, seconds } from "./format.js";
import { badge, modelLink, operations } from "./parts.js";

/**
 * @typedef {import("./types.js").Model} Model
 * @typedef {typeof import("./live.js").now} Now
 */

/** As many as are seen at a glance: no need to look for one. */
const FEW = 8;

/** @returns {import("./dom.js").Part<Now>} */
export function models() {
  const body = h("tbody");
  const show = keyed(body, (/** @type {Model} */ model) => model.id, row);
  const found = h("span", { class: "muted", role: "status" });
  const input = /** @type {HTMLInputElement} */ (h("input", {
    type: "search", id: "find", placeholder: "name, alias, state, capability", oninput: () => refresh(),
  }));
  const search = h("div", { class: "row find" }, h("label", { for: "find" }, "Find"), input, found);
  const none = h("p", { class: "muted", hidden: true },
    "No model is configured. ", h("code", {}, "swapperctl add FILE"), " reads a model's file and adds it.");
  /** @type {Model[]} */
  let all = [];
  const refresh = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const fit = all.filter((model) => words.every((word) => text(model).includes(word)));
    show(fit);
    say(found, words.length ? `${fit.length} of ${plural(all.length, "model")}` : "");
  };
  return {
    node: h("div", {}, search, none, table("Models", ["Model", "State", "Requests", "GPU", "Loads in", "Do"], body, "models")),
    update: ({ overview }) => {
      if (!overview) return;
      all = overview.models;
      search.hidden = all.length <= FEW && !input.value;
      none.hidden = all.length > 0;
      refresh();
    },
  };
}

/** @param {Model} model */
function text(model) {
  return [model.id, ...model.aliases, model.state, model.engine, ...model.capabilities].join(" ").toLowerCase();
}

/**
 * @param {Model} first
 * @returns {import("./dom.js").Part<Model>}
 */
function row(first) {
  const aliases = h("span", { class: "muted small" });
  const state = badge();
  const reason = h("span", { class: "muted small why" });
  const busy = h("td", { "data-label": "Requests" });
  const gpu = h("td", { "data-label": "GPU" });
  const load = h("td", { "data-label": "Loads in" });
  const buttons = operations();
  return {
    node: h("tr", {}, h("th", { scope: "row" }, modelLink(first.id), aliases), h("td", { "data-label": "State" }, state.node, reason),
      busy, gpu, load, h("td", { class: "do" }, buttons.node)),
    update: (model) => {
      say(aliases, model.aliases.join(", "));
      state.update(model);
      say(reason, model.failure && model.state !== "ready" ? model.failure.message
        : model.reason === model.state || !model.reason ? "" : model.reason);
      say(busy, model.leases || model.waiting ? `${model.leases} running, ${model.waiting} waiting` : "—");
      say(gpu, model.gpus.length ? model.gpus.join(", ") : "none");
      say(load, seconds(model.load_seconds));
      buttons.update(model);
    },
  };
}
