// Trying models: chat, transcription, speech; each a tab.

import { attr, h } from "./dom.js";
import { chat } from "./chat.js";
import { speech } from "./speech.js";
import { transcription } from "./transcription.js";

/**
 * @param {HTMLElement} main
 * @returns {import("./main.js").View}
 */
export function playground(main) {
  const parts = [
    { id: "chat", word: "Chat", own: chat() },
    { id: "transcription", word: "Transcribe", own: transcription() },
    { id: "speech", word: "Speak", own: speech() },
  ];
  let chosen = 0;
  const tabs = parts.map((part, index) => h("button", {
    type: "button", role: "tab", id: `tab-${part.id}`, "aria-controls": `panel-${part.id}`,
    onclick: () => choose(index),
    onkeydown: (/** @type {KeyboardEvent} */ event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      choose((chosen + step + parts.length) % parts.length);
      tabs[chosen].focus();
    },
  }, part.word));
  const panels = parts.map((part) => h("div", {
    role: "tabpanel", id: `panel-${part.id}`, "aria-labelledby": `tab-${part.id}`, class: "card",
  }, part.own.node));
  /** @param {number} index */
  const choose = (index) => {
    chosen = index;
    tabs.forEach((tab, each) => {
      attr(tab, "aria-selected", String(each === index));
      attr(tab, "tabindex", each === index ? 0 : -1);
      panels[each].hidden = each !== index;
    });
  };
  choose(0);
  main.append(h("h1", {}, "Playground"), h("div", { role: "tablist", "aria-label": "What to try", class: "tabs" }, ...tabs), ...panels);
  return {
    title: "Playground",
    update: () => parts.forEach((part) => part.own.update()),
    close: () => parts.forEach((part) => part.own.close()),
  };
}
