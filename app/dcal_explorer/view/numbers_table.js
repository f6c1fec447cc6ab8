// The numbers of both panes as tables, for those who cannot see the image, or want the numbers.

import { element, say } from "./elements.js";
import { writer } from "./numbers.js";

export class NumbersTable {
  constructor(seen, name) {
    this.seen = seen;
    this.caption = element("caption", {});
    this.cells = [];
    const head = element("tr", {}, element("td", {}));
    for (let col = 1; col <= seen.cols; col += 1) head.append(element("th", { scope: "col" }, String(col)));
    const body = element("tbody", {});
    for (let row = 1; row <= seen.rows; row += 1) {
      const line = element("tr", {}, element("th", { scope: "row" }, String(row)));
      for (let col = 0; col < seen.cols; col += 1) this.cells.push(line.appendChild(element("td", {})));
      body.append(line);
    }
    const table = element("table", {}, this.caption, element("thead", {}, head), body);
    this.element = element("div", { className: "dcal-numbers", tabIndex: 0, role: "region", "aria-label": name }, table);
    this.shown = null;
  }

  show(scene) {
    if (this.shown === scene) return;
    this.shown = scene;
    if (scene.waiting) {
      say(this.caption, `${scene.title}: ${scene.waiting}`);
      for (const cell of this.cells) say(cell, "");
      return;
    }
    const { write, power } = writer(scene.unit, Math.max(Math.abs(scene.own?.low ?? 1), Math.abs(scene.own?.high ?? 1)));
    say(this.caption, `${scene.title}: ${scene.quantity}${power && `, ${power}`} (${scene.about})`);
    this.cells.forEach((cell, patch) => {
      if (scene.colours) say(cell, [0, 1, 2].map((i) => scene.colours[3 * patch + i].toFixed(2)).join(" "));
      else say(cell, scene.mask ? (scene.mask[patch] ? "selected" : "–") : write(scene.values[patch], 3, 2));
    });
  }
}

/** Open the tables of a view's two panes, or close them. */
export function toggleTables(view) {
  const open = !view.tables;
  view.numbersButton.setAttribute("aria-expanded", open);
  view.tablePlace.hidden = !open;
  view.tables = open ? ["map", "attention"].map((name) => new NumbersTable(view.seen, `Numbers of the ${name}`)) : null;
  view.tablePlace.replaceChildren(...(view.tables ?? []).map((table) => table.element));
}
