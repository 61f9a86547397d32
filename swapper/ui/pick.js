// The choice of a model for something that it can do.

import { h } from "./dom.js";
import { now } from "./live.js";

/**
 * @param {string} id
 * @param {string[]} capabilities One of these.
 */
export function modelChoice(id, capabilities) {
  const select = /** @type {HTMLSelectElement} */ (h("select", { id }));
  let offered = "";
  return {
    node: h("div", { class: "field" }, h("label", { for: id }, "Model"), select),
    get value() {
      return select.value;
    },
    get model() {
      return now.overview?.models.find((model) => model.id === select.value);
    },
    /** Offer those that there are now. */
    update: () => {
      const fit = (now.overview?.models ?? []).filter((model) => model.capabilities.some((each) => capabilities.includes(each)));
      const text = fit.map((model) => `${model.id} ${model.state}`).join("\n");
      if (text === offered) return;
      offered = text;
      const chosen = select.value;
      select.replaceChildren(...fit.map((model) => h("option", { value: model.id, selected: model.id === chosen },
        ["ready", "starting"].includes(model.state) ? `${model.id} (${model.state})` : model.id)));
      if (!fit.length) select.append(h("option", { value: "" }, "no model can do this"));
    },
  };
}
