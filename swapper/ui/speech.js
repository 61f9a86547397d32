// Text to speech.

import { attr, h, say } from "./dom.js";
import { ask, reason } from "./api.js";
import { bytes, seconds } from "./format.js";
import { modelChoice } from "./pick.js";

export function speech() {
  const choice = modelChoice("speech-model", ["speech"]);
  const words = /** @type {HTMLTextAreaElement} */ (h("textarea", { id: "speech-text", rows: 3 }));
  words.value = "Hello! This is a voice of this machine.";
  const voice = /** @type {HTMLInputElement} */ (h("input", { id: "speech-voice", value: "alloy", spellcheck: "false" }));
  const player = h("audio", { controls: true, hidden: true });
  const status = h("p", { class: "muted", role: "status" });
  let url = "";
  const speak = async () => {
    say(status, "Speaking… a model that is not loaded is loaded first.");
    const began = performance.now();
    try {
      const response = await ask("v1/audio/speech", {
        method: "POST", headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ model: choice.value, input: words.value, voice: voice.value, response_format: "wav" }),
      });
      const sound = await response.blob();
      URL.revokeObjectURL(url);
      url = URL.createObjectURL(sound);
      attr(player, "src", url);
      player.hidden = false;
      say(status, `${bytes(sound.size)} in ${seconds((performance.now() - began) / 1000)}.`);
    } catch (error) {
      say(status, reason(error));
    }
  };
  const form = h("form", {
    class: "try", onsubmit: (/** @type {Event} */ event) => {
      event.preventDefault();
      void speak();
    },
  }, choice.node,
  h("div", { class: "field" }, h("label", { for: "speech-text" }, "Text"), words),
  h("div", { class: "field" }, h("label", { for: "speech-voice" }, "Voice"), voice),
  h("div", { class: "row" }, h("button", { type: "submit", class: "primary" }, "Speak")), player, status);
  return { node: form, update: choice.update, close: () => URL.revokeObjectURL(url) };
}
