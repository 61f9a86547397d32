// Small parts that several pages have.

import { alarm, attr, h, say, speak } from "./dom.js";
import { operate, reason } from "./api.js";
import { lookAnew, now } from "./live.js";

/** @typedef {import("./types.js").Model} Model */

/** @param {string} name */
export function modelHash(name) {
  return `#/models/${encodeURIComponent(name)}`;
}

/** @param {string} name */
export function modelLink(name) {
  return h("a", { href: modelHash(name), class: "model" }, name);
}

/**
 * What is known of a model.
 * @param {string} name
 * @returns {Model | undefined}
 */
export function shown(name) {
  return now.overview?.models.find((model) => model.id === name);
}

/**
 * A colour that tells a model from its neighbours: each is far from those before it (the golden angle).
 * @param {string} name
 */
export function hue(name) {
  const index = now.overview?.models.findIndex((model) => model.id === name) ?? 0;
  return Math.round((170 + index * 137.508) % 360);
}

/**
 * A model's state, as a word with a colour; while it is loaded, or its files are pulled, how far that is.
 * @returns {import("./dom.js").Part<Model>}
 */
export function badge() {
  const node = h("span", { class: "badge" });
  return {
    node,
    update: (model) => {
      attr(node, "data-state", model.state);
      const far = ["starting", "incomplete"].includes(model.state) && model.progress !== null ? ` ${Math.round(model.progress)} %` : "";
      say(node, model.state + far);
    },
  };
}

const LOADED = new Set(["starting", "ready", "draining"]);

/**
 * Buttons to load, park and unload a model; for those who may.
 * @returns {import("./dom.js").Part<Model>}
 */
export function operations() {
  let name = "";
  /**
   * @param {"load" | "unload" | "park"} what
   * @param {string} word
   */
  const button = (what, word) => h("button", {
    type: "button", "data-do": what, onclick: async (/** @type {Event} */ event) => {
      const own = /** @type {HTMLElement} */ (event.currentTarget);
      attr(own, "aria-busy", true);
      try {
        const model = await operate(name, what);
        speak(`${name} is ${model.state}.`);
      } catch (error) {
        alarm(`${name}: ${reason(error)}`);
      } finally {
        attr(own, "aria-busy", false);
        lookAnew();
      }
    },
  }, word);
  const load = button("load", "Load");
  const park = button("park", "Park");
  const unload = button("unload", "Unload");
  return {
    node: h("span", { class: "operations" }, load, park, unload),
    update: (model) => {
      name = model.id;
      for (const [each, word] of /** @type {[HTMLElement, string][]} */ ([[load, "Load"], [park, "Park"], [unload, "Unload"]])) {
        attr(each, "aria-label", `${word} ${name}`);
      }
      const may = now.who?.admin ?? false;
      // Not `disabled`: that takes the focus away, and a screen reader would not find the button again.
      enable(load, may && !LOADED.has(model.state) && model.state !== "disabled");
      enable(unload, may && (LOADED.has(model.state) || model.state === "parked"));
      enable(park, may && LOADED.has(model.state) && model.state !== "starting");
      park.hidden = !model.parks;
    },
  };
}

/**
 * @param {HTMLElement} button
 * @param {boolean} on
 */
export function enable(button, on) {
  attr(button, "aria-disabled", on ? null : "true");
}

// What is not enabled does nothing.
document.addEventListener("click", (event) => {
  const button = event.target instanceof Element ? event.target.closest("[aria-disabled=true]") : null;
  if (button) {
    event.stopPropagation();
    event.preventDefault();
  }
}, true);
