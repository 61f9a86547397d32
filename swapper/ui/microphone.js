// A button that records, for whoever wants the sound.

import { alarm, attr, h, say, speak } from "./dom.js";
import { noMicrophone, record } from "./sound.js";

/**
 * @param {(sound: Blob) => void | Promise<void>} take
 * @returns {{node: HTMLElement, close: () => void}}
 */
export function microphone(take) {
  /** @type {(() => Promise<Blob>) | null} */
  let stop = null;
  const button = h("button", { type: "button", class: "microphone", "aria-pressed": "false", onclick: () => toggle() }, "Record");
  let began = 0;
  let timer = 0;
  const show = () => {
    attr(button, "aria-pressed", String(stop !== null));
    say(button, stop ? `Stop recording · ${Math.floor((Date.now() - began) / 1000)} s` : "Record");
    clearTimeout(timer);
    if (stop) timer = setTimeout(show, 250);
  };
  const toggle = async () => {
    const problem = noMicrophone();
    if (problem) return alarm(problem);
    try {
      if (!stop) {
        stop = await record();
        began = Date.now();
        speak("Recording.");
      } else {
        const end = stop;
        stop = null;
        show();
        await take(await end());
      }
    } catch (error) {
      stop = null;
      const name = error instanceof DOMException ? error.name : "";
      alarm({ NotAllowedError: "The browser does not give the microphone to this page.", NotFoundError: "There is no microphone.",
        EncodingError: "Nothing was recorded: it was too short." }[name] ?? String(error));
    }
    show();
  };
  return {
    node: button,
    close: () => {
      clearTimeout(timer);
      stop?.().catch(() => undefined);
    },
  };
}
