// Making and changing the page. Text from outside only ever becomes text: nothing here takes markup.

/** @typedef {Node | string | null | undefined | false} Child */

/**
 * An element.
 * @param {string} tag Its name.
 * @param {Record<string, any>} [props] `on…` are listeners, `class` and others attributes; true is an empty one, and
 *   false, null and undefined are left out.
 * @param {...Child} children What is in it.
 * @returns {HTMLElement}
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  setProps(element, props);
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false).map(
    (child) => /** @type {Node | string} */ (child)));
  return element;
}

/**
 * An element of a picture.
 * @param {string} tag Its name.
 * @param {Record<string, any>} [props] As of `h`.
 * @param {...Node} children What is in it.
 * @returns {SVGElement}
 */
export function svg(tag, props = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  setProps(element, props);
  element.append(...children);
  return element;
}

/**
 * @param {Element} element
 * @param {Record<string, any>} props
 */
function setProps(element, props) {
  for (const [name, value] of Object.entries(props)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, String(value));
  }
}

/**
 * Change a text, and only if it is another one: whoever selects it, or has it read aloud, is left in peace.
 * @param {Node} node
 * @param {string} text
 */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
  // What says nothing takes no room on a phone.
  if (node instanceof HTMLTableCellElement) attr(node, "data-none", text === "—");
}

/**
 * Set an attribute, or take it away.
 * @param {Element} element
 * @param {string} name
 * @param {string | number | boolean | null | undefined} value
 */
export function attr(element, name, value) {
  if (value === false || value === null || value === undefined) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value === true ? "" : value)) {
    element.setAttribute(name, value === true ? "" : String(value));
  }
}

/**
 * @template T
 * @typedef {{node: Element, update: (item: T) => void}} Part An element, and how it follows what it shows.
 */

/**
 * A list that follows its items: what stays is changed in place, so that focus, selection and what is open stay too.
 * @template T
 * @param {Element} parent
 * @param {(item: T) => string} keyOf Which one an item is.
 * @param {(item: T) => Part<T>} make
 * @returns {(items: T[]) => void}
 */
export function keyed(parent, keyOf, make) {
  /** @type {Map<string, Part<T>>} */
  let parts = new Map();
  return (items) => {
    /** @type {Map<string, Part<T>>} */
    const next = new Map();
    for (const item of items) {
      const key = keyOf(item);
      if (!next.has(key)) next.set(key, parts.get(key) ?? make(item));
      next.get(key)?.update(item);
    }
    for (const [key, part] of parts) if (!next.has(key)) part.node.remove();
    let place = parent.firstElementChild;
    for (const part of next.values()) {
      // Moving a node takes the focus from it, so only those that are out of order are moved.
      if (part.node === place) place = place.nextElementSibling;
      else parent.insertBefore(part.node, place);
    }
    parts = next;
  };
}

/**
 * A heading with what belongs to it.
 * @param {string} title
 * @param {string} id
 * @param {...Child} children
 * @returns {HTMLElement}
 */
export function section(title, id, ...children) {
  return h("section", { "aria-labelledby": id, class: "card" }, h("h2", { id }, title), ...children);
}

/**
 * A table that may be wider than the page: then it scrolls, by keyboard too.
 * @param {string} caption
 * @param {string[]} heads
 * @param {HTMLElement} body
 * @param {string} [kind] Its class.
 * @returns {HTMLElement}
 */
export function table(caption, heads, body, kind = "") {
  return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption },
    h("table", { class: kind }, h("caption", { class: "unseen" }, caption),
      h("thead", {}, h("tr", {}, ...heads.map((head) => h("th", { scope: "col" }, head)))), body));
}

/**
 * Have something read aloud by screen readers, when they have time.
 * @param {string} text
 */
export function speak(text) {
  const spoken = document.getElementById("spoken");
  if (spoken) spoken.textContent = text;
}

/**
 * Tell of something that went wrong.
 * @param {string} text
 */
export function alarm(text) {
  const alerts = document.getElementById("alerts");
  if (!alerts) return;
  const box = h("div", { class: "alert" }, h("span", {}, text),
    h("button", { type: "button", class: "quiet", "aria-label": "Dismiss", onclick: () => box.remove() }, "✕"));
  alerts.append(box);
  setTimeout(() => box.remove(), 15_000);
}
