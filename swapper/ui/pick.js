// The choice of a model for something that it can do.

import { attr, h, keyed, say } from "./dom.js";
import { now } from "./live.js";

/** @typedef {import("./types.js").Model} Model */

/**
 * @param {string} id
 * @param {string[]} capabilities One of these.
 */
export function modelChoice(id, capabilities) {
  const select = /** @type {HTMLSelectElement} */ (h("select", { id }));
  const none = h("p", { class: "muted" }, "No model here can do this.");
  const show = keyed(select, (/** @type {Model} */ model) => model.id, (first) => {
    const node = h("option", { value: first.id });
    return {
      node,
      update: (model) => say(node, ["ready", "starting"].includes(model.state) ? `${model.id} (${model.state})` : model.id),
    };
  });
  return {
    node: h("div", { class: "field" }, h("label", { for: id }, "Model"), select, none),
    get value() {
      return select.value;
    },
    get model() {
      return now.overview?.models.find((model) => model.id === select.value);
    },
    /** Offer those that there are now. */
    update: () => {
      const fit = (now.overview?.models ?? []).filter((model) => model.capabilities.some((each) => capabilities.includes(each)));
      show(fit);
      none.hidden = fit.length > 0 || now.overview === null;
      attr(select, "hidden", !fit.length);
    },
  };
}
