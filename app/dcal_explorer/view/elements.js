// DOM elements without a framework. Text is always set as text: nothing here reads HTML.

/** An element with properties, attributes ("aria-…", "data-…", role, for), listeners ("onclick") and children. */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name in made && !name.startsWith("aria")) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

/** Set an element's text only where it differs: assistive technology hears of changes alone. */
export function say(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/** Set a property only where it differs: a control that is set anew is laid out anew, which takes milliseconds. */
export function put(target, name, value) {
  if (target[name] !== value) target[name] = value;
}

/** Set an attribute only where it differs. */
export function attribute(target, name, value) {
  if (target.getAttribute(name) !== String(value)) target.setAttribute(name, value);
}

const STEPS = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };

/**
 * Buttons of which one is chosen, as tabs ("tablist") or radio buttons ("radiogroup"): one stop of the Tab key, moved
 * within by arrow keys, Home and End. `items`: [{value, label, children}]; `pick(value)` is called for a choice.
 */
export class Choice {
  constructor(role, label, items, pick) {
    this.state = role === "tablist" ? "aria-selected" : "aria-checked";
    this.buttons = items.map(({ value, label: name, children, properties }) => {
      const button = element(
        "button",
        { type: "button", role: role === "tablist" ? "tab" : "radio", onclick: () => pick(value), ...properties },
        ...(children ?? [name]),
      );
      if (children) button.setAttribute("aria-label", name);
      return { value, button };
    });
    const buttons = this.buttons.map(({ button }) => button);
    this.element = element("div", { role, "aria-label": label, onkeydown: (event) => this.move(event) }, ...buttons);
    this.value = undefined;
  }

  move(event) {
    const at = this.buttons.findIndex(({ button }) => button === event.target);
    const last = this.buttons.length - 1;
    let next = at + (STEPS[event.key] ?? 0);
    if (event.key === "Home") next = 0;
    else if (event.key === "End") next = last;
    else if (!(event.key in STEPS)) return;
    event.preventDefault();
    const { button } = this.buttons[(next + last + 1) % (last + 1)];
    button.focus();
    button.click();
  }

  /** Mark `value` as chosen; true if another was before. */
  choose(value) {
    if (this.value === value) return false;
    this.value = value;
    for (const item of this.buttons) {
      const chosen = item.value === value;
      attribute(item.button, this.state, chosen);
      put(item.button, "tabIndex", chosen ? 0 : -1);
    }
    return true;
  }
}
