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
  const show = () => {
    attr(button, "aria-pressed", String(stop !== null));
    say(button, stop ? "Stop recording" : "Record");
  };
  const toggle = async () => {
    const problem = noMicrophone();
    if (problem) return alarm(problem);
    try {
      if (!stop) {
        stop = await record();
        speak("Recording.");
      } else {
        const end = stop;
        stop = null;
        show();
        await take(await end());
      }
    } catch (error) {
      stop = null;
      alarm(error instanceof DOMException && error.name === "NotAllowedError" ? "The browser does not give the microphone to this page." : String(error));
    }
    show();
  };
  return { node: button, close: () => void stop?.() };
}
