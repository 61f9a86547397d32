// Speech to text.

import { attr, h, say } from "./dom.js";
import { ask, reason } from "./api.js";
import { seconds } from "./format.js";
import { microphone } from "./microphone.js";
import { modelChoice } from "./pick.js";

/**
 * Have a sound written down.
 * @param {string} model
 * @param {Blob} sound
 * @param {string} name
 * @returns {Promise<string>}
 */
export async function transcribe(model, sound, name = "voice.wav") {
  const form = new FormData();
  form.append("model", model);
  form.append("file", sound, name);
  const answer = await (await ask("v1/audio/transcriptions", { method: "POST", body: form })).json();
  return String(answer.text ?? "");
}

export function transcription() {
  const choice = modelChoice("transcription-model", ["transcription"]);
  const file = /** @type {HTMLInputElement} */ (h("input", { type: "file", id: "transcription-file", accept: "audio/*,video/*" }));
  const heard = h("audio", { controls: true, hidden: true });
  const text = h("output", { class: "result", "aria-live": "polite" });
  const status = h("p", { class: "muted", role: "status" });
  let url = "";
  /**
   * @param {Blob} sound
   * @param {string} [name]
   */
  const take = async (sound, name) => {
    URL.revokeObjectURL(url);
    url = URL.createObjectURL(sound);
    attr(heard, "src", url);
    heard.hidden = false;
    say(text, "");
    say(status, "Listening… a model that is not loaded is loaded first.");
    const began = performance.now();
    try {
      say(text, await transcribe(choice.value, sound, name));
      say(status, `It took ${seconds((performance.now() - began) / 1000)}.`);
    } catch (error) {
      say(status, reason(error));
    }
  };
  file.addEventListener("change", () => {
    const sound = file.files?.[0];
    if (sound) void take(sound, sound.name);
  });
  const recorder = microphone(take);
  return {
    node: h("div", { class: "try" }, choice.node,
      h("div", { class: "field" }, h("label", { for: "transcription-file" }, "A file with sound"), file),
      h("div", { class: "row" }, recorder.node), heard, status, text),
    update: choice.update,
    close: () => {
      recorder.close();
      URL.revokeObjectURL(url);
    },
  };
}
