// How figures read.

const NONE = "—";

/** @param {number | null | undefined} size Bytes. */
export function bytes(size) {
  if (size === null || size === undefined) return NONE;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  let value = size;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit && value < 100 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

/** @param {number | null | undefined} span Seconds. */
export function seconds(span) {
  if (span === null || span === undefined) return NONE;
  if (span < 0.9995) return `${Math.round(span * 1000)} ms`;
  if (span < 60) return `${span.toFixed(span < 10 ? 1 : 0)} s`;
  const minutes = Math.floor(span / 60);
  if (minutes < 60) return `${minutes} min ${Math.round(span % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** @param {number | null | undefined} at Seconds since the epoch. */
export function clock(at) {
  if (at === null || at === undefined) return NONE;
  return new Date(at * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
}

/** @param {number | null | undefined} value */
export function count(value) {
  return value === null || value === undefined ? NONE : value.toLocaleString("en").replaceAll(",", "\u202f");
}

/** @param {number} part Of one. */
export function percent(part) {
  return `${Math.round(part * 100)} %`;
}

/**
 * @param {number} many
 * @param {string} one The word for one of them.
 */
export function plural(many, one) {
  return `${count(many)} ${one}${many === 1 ? "" : "s"}`;
}
