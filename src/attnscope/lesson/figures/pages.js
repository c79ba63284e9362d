// A drawing: two texts whose caches share pages until one of them writes.

import { figure } from "./figure.js";

const ARENA = ["The trophy does not", "fit in the suitcase", "because it", "because it is too", "because it was so"];
const TABLES = [["first text", 78, [0, 1, 3], "query"], ["its fork", 196, [0, 1, 4], "output"]];

export const pages = (host) => figure(host, {
  name: "pages",
  label: "A cache in pages: two continuations of one prompt share its full pages; a page that both hold is copied before one of them writes to it",
  state: {},
  panels: [
    [{ width: 372, height: 330, label: "Block tables and pages" }, (p) => {
      const top = (page) => 44 + 54 * page;
      p.title("A fork shares pages until it writes");
      p.text("tables", 0, 52, ["block tables"], { class: "label" });
      p.text("arena", 372, 34, ["the arena: pages of four tokens"], { class: "label end" });
      for (const [name, y, table, role] of TABLES) {
        p.text(`name ${name}`, 0, y, [name], { class: "strong" });
        table.forEach((page, slot) => {
          const at = y + 10 + 26 * slot;
          p.line(`${name} to ${slot}`, 58, at + 10, 196, top(page) + (role === "query" ? 16 : 28), { class: `line ${role}` });
          p.rect(`${name} ${slot}`, 0, at, 58, 20, { class: `${role} pale`, rx: 5 });
        });
      }
      ARENA.forEach((words, page) => {
        const free = page === 2;
        p.rect(`page ${page}`, 198, top(page), 174, 44, { class: free ? "card" : "track", rx: 6 });
        if (!free) {
          p.rect(`key ${page}`, 198, top(page), 5, 22, { class: "key" });
          p.rect(`value ${page}`, 198, top(page) + 22, 5, 22, { class: "value" });
        }
        p.text(`words ${page}`, 212, top(page) + 27, [free ? "(free: it was copied)" : words], { class: free ? "small" : "" });
      });
    }],
  ],
});
