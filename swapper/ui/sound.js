// The microphone, as a WAV file of 16 kHz: every engine reads that, while some refuse what browsers record.

const RATE = 16_000;

/** Why there is no microphone here; empty where there may be one. */
export function noMicrophone() {
  if (!isSecureContext) return "Browsers give the microphone to pages of this machine or by TLS only.";
  return navigator.mediaDevices ? "" : "This browser has no microphone.";
}

/**
 * Record until told to stop.
 * @returns {Promise<() => Promise<Blob>>} Stops, and has the sound.
 */
export async function record() {
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
  const recorder = new MediaRecorder(stream);
  /** @type {Blob[]} */
  const pieces = [];
  recorder.addEventListener("dataavailable", (event) => pieces.push(event.data));
  const ended = new Promise((resolve) => recorder.addEventListener("stop", resolve, { once: true }));
  recorder.start();
  return async () => {
    recorder.stop();
    await ended;
    for (const track of stream.getTracks()) track.stop();
    return toWav(new Blob(pieces));
  };
}

/**
 * Any sound that the browser can read, as WAV.
 * @param {Blob} sound
 * @returns {Promise<Blob>}
 */
export async function toWav(sound) {
  const context = new AudioContext();
  try {
    const read = await context.decodeAudioData(await sound.arrayBuffer());
    const offline = new OfflineAudioContext(1, Math.max(1, Math.ceil(read.duration * RATE)), RATE);
    const source = offline.createBufferSource();
    source.buffer = read;
    source.connect(offline.destination);
    source.start();
    return encode((await offline.startRendering()).getChannelData(0));
  } finally {
    await context.close();
  }
}

/**
 * RIFF WAVE, 16 bits, one channel.
 * @param {Float32Array} samples
 * @returns {Blob}
 */
function encode(samples) {
  const view = new DataView(new ArrayBuffer(44 + samples.length * 2));
  const text = (/** @type {number} */ at, /** @type {string} */ word) =>
    [...word].forEach((letter, index) => view.setUint8(at + index, letter.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, 36 + samples.length * 2, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, RATE, true);
  view.setUint32(28, RATE * 2, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  text(36, "data");
  view.setUint32(40, samples.length * 2, true);
  samples.forEach((sample, index) => view.setInt16(44 + index * 2, Math.max(-1, Math.min(1, sample)) * 0x7fff, true));
  return new Blob([view], { type: "audio/wav" });
}

/**
 * As text, for a request in JSON.
 * @param {Blob} blob
 * @returns {Promise<string>} A data URL.
 */
export function dataUrl(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => resolve(String(reader.result)));
    reader.addEventListener("error", () => reject(reader.error));
    reader.readAsDataURL(blob);
  });
}
