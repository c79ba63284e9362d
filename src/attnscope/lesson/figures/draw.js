// Panels of SVG that are drawn anew for each state: a mark with a known key is updated, so that CSS can move it.

const SVG = "http://www.w3.org/2000/svg";

// A number that the library can check: `name` states which one it is, `value` has all its digits.
export const num = (name, value, digits = 3) => ({ name, value, text: fixed(value, digits) });

export function fixed(value, digits) {
  const text = value.toFixed(digits);
  return /^-0(\.0*)?$/.test(text) ? text.slice(1) : text.replace("-", "\u2212");
}

// A whole number, with commas.
export const whole = (name, value) => ({ name, value, text: grouped(value) });

export const grouped = (value) => Math.round(value).toString().replace(/\B(?=(\d{3})+$)/g, ",");

// The class of a weight between 0 and 1: w0, the page, to wf, the darkest.
export const shade = (weight) => "w" + Math.round(15 * Math.min(1, Math.max(0, weight))).toString(16);

export class Panel {
  constructor({ width, height, label }) {
    Object.assign(this, { width, height, marks: new Map() });
    this.svg = document.createElementNS(SVG, "svg");
    set(this.svg, { viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": label, class: "panel" });
    this.svg.style.flexBasis = `${width}px`;
    this.svg.style.flexGrow = width;
    this.svg.style.maxWidth = `${width * 1.25}px`;
  }

  // Draw all marks of a state. What is not drawn again is removed.
  draw(paint) {
    this.seen = new Set();
    this.cursor = this.svg.firstChild;
    paint(this);
    for (const [key, mark] of this.marks) {
      if (!this.seen.has(key)) mark.remove(), this.marks.delete(key);
    }
  }

  mark(tag, key, attributes, parts) {
    let mark = this.marks.get(key);
    if (!mark) this.marks.set(key, (mark = document.createElementNS(SVG, tag)));
    if (mark === this.cursor) this.cursor = mark.nextSibling;
    else this.svg.insertBefore(mark, this.cursor);
    this.seen.add(key);
    set(mark, attributes);
    if (parts !== undefined) write(mark, [parts].flat(), () => document.createElementNS(SVG, "tspan"));
    return mark;
  }

  rect(key, x, y, width, height, attributes = {}) {
    return this.mark("rect", key, { x, y, width: Math.max(0, width), height: Math.max(0, height), rx: 2, ...attributes });
  }

  circle(key, cx, cy, r, attributes = {}) {
    return this.mark("circle", key, { cx, cy, r, ...attributes });
  }

  line(key, x1, y1, x2, y2, attributes = {}) {
    return this.mark("path", key, { d: `M${round(x1)} ${round(y1)}L${round(x2)} ${round(y2)}`, class: "line", ...attributes });
  }

  path(key, points, attributes = {}) {
    const d = points.map(([x, y], i) => `${i ? "L" : "M"}${round(x)} ${round(y)}`).join("") + (attributes.closed ? "Z" : "");
    return this.mark("path", key, { class: "curve", ...attributes, closed: undefined, d });
  }

  // Text, in parts: strings, and numbers of num().
  text(key, x, y, parts, attributes = {}) {
    return this.mark("text", key, { x, y, ...attributes }, parts);
  }

  // A title; the class `given` marks a number in it that is only a name.
  title(parts, given = "") {
    this.text("title", 0, 14, parts, { class: `title ${given}` });
  }

  arrow(key, x1, y1, x2, y2, attributes = {}) {
    const length = Math.hypot(x2 - x1, y2 - y1) || 1, [ux, uy] = [(x2 - x1) / length, (y2 - y1) / length];
    const head = Math.min(8, length / 2), [bx, by] = [x2 - head * ux, y2 - head * uy];
    const tip = [[x2, y2], [bx - (head / 2) * uy, by + (head / 2) * ux], [bx + (head / 2) * uy, by - (head / 2) * ux]];
    this.line(`${key} line`, x1, y1, bx, by, { ...attributes, class: `arrow ${attributes.class ?? ""}` });
    return this.path(`${key} tip`, tip, { ...attributes, closed: true, class: `tip ${attributes.class ?? ""}` });
  }

  // A matrix of cells. cell(i, j) gives a cell's attributes; labels stand at its left and, turned, above it.
  grid(key, x, y, size, rows, columns, cell, labels = {}) {
    for (let i = 0; i < rows; i++) {
      if (labels.rows) this.text(`${key} row ${i}`, x - 6, y + (i + 0.5) * size + 4, labels.rows[i], { class: "label end" });
      for (let j = 0; j < columns; j++) {
        this.rect(`${key} ${i} ${j}`, x + j * size, y + i * size, size - 1, size - 1, cell(i, j));
      }
    }
    for (let j = 0; labels.columns && j < columns; j++) {
      const [tx, ty] = [x + (j + 0.5) * size + 3, y - 6];
      this.text(`${key} column ${j}`, tx, ty, labels.columns[j], { class: "label", transform: `rotate(-60 ${round(tx)} ${round(ty)})` });
    }
  }
}

// Attributes by name; `on...` are listeners, undefined takes an attribute away.
export function set(mark, attributes) {
  for (const [name, given] of Object.entries(attributes)) {
    if (name.startsWith("on")) mark[name] = given;
    else if (given === undefined) mark.removeAttribute(name);
    else {
      const text = typeof given === "number" ? String(round(given)) : String(given);
      if (mark.getAttribute(name) !== text) mark.setAttribute(name, text);
    }
  }
}

export function write(mark, parts, span) {
  const text = parts.map((part) => part.text ?? part).join("");
  const names = parts.filter((part) => part.name).map((part) => `${part.name}=${part.value}`).join(";");
  if (mark.textContent === text && mark.names === names) return;
  mark.names = names;
  mark.replaceChildren(...parts.map((part) => {
    if (!part.name) return document.createTextNode(part);
    const number = span();
    number.setAttribute("data-name", part.name);
    number.setAttribute("data-value", String(part.value));
    number.textContent = part.text;
    return number;
  }));
}

const round = (number) => Math.round(number * 100) / 100;
