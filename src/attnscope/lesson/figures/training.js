// Page 10: the loss falls in two steps while a small model is trained, and the second comes with the induction head.

import { slider } from "./controls.js";
import { num, whole } from "./draw.js";
import { figure } from "./figure.js";

const [WIDTH, TOP, HEIGHT, LEFT] = [400, 30, 190, 34];

export const training = (host, data) => {
  const { history } = data, last = history.at(-1).step;
  const toX = (step) => LEFT + (step / last) * (WIDTH - LEFT - 10);
  const curve = (name) => history.map((each) => each[name]);
  const chart = (p, title, most, lines, place) => {
    const toY = (value) => TOP + HEIGHT * (1 - value / most);
    p.title(title);
    p.line("x axis", LEFT, toY(0), WIDTH, toY(0), { class: "axis" });
    p.line("y axis", LEFT, TOP, LEFT, toY(0), { class: "axis" });
    for (const part of [0, 0.5, 1]) p.text(`y ${part}`, LEFT - 6, toY(part * most) + 4, [String(part * most)], { class: "small end given" });
    for (const part of [0, 0.5, 1]) p.text(`x ${part}`, toX(part * last), toY(0) + 15, [String(part * last)], { class: `small given ${part === 1 ? "end" : part ? "middle" : ""}` });
    p.text("x words", WIDTH, toY(0) + 30, ["updates of the weights"], { class: "small end" });
    const at = history[place];
    p.line("here", toX(at.step), TOP, toX(at.step), toY(0), { class: "line dashed faint" });
    lines.forEach(([name, words, role], i) => {
      p.path(name, curve(name).map((value, k) => [toX(history[k].step), toY(Math.min(value, most))]), { class: `curve thick ${role}` });
      p.circle(`${name} here`, toX(at.step), toY(at[name]), 5, { class: role });
      p.circle(`${name} dot`, LEFT + 6, TOP + HEIGHT + 48 + 20 * i, 5, { class: role });
      p.text(`${name} words`, LEFT + 18, TOP + HEIGHT + 52 + 20 * i, [words], { class: "label" });
      p.text(`${name} is`, WIDTH, TOP + HEIGHT + 52 + 20 * i, [num(name, at[name], 2)], { class: "strong end" });
    });
  };
  return figure(host, {
    name: "training",
    label: "Training: the loss of a first and of a second reading, and the scores of the heads that make the difference",
    state: { place: history.length - 1 },
    controls: [slider("place", "after", { min: 0, max: history.length - 1, show: (place) => `${history[place].step} updates` })],
    panels: [
      [{ width: WIDTH, height: TOP + HEIGHT + 84, label: "The loss" }, (p, { place }) =>
        chart(p, "Loss on shuffled words, in nats", 6, [["first", "read for the first time", "key"], ["second", "read again", "output"]], place)],
      [{ width: WIDTH, height: TOP + HEIGHT + 84, label: "The heads" }, (p, { place }) =>
        chart(p, "The best head of each kind", 1, [["previous", "weight on the previous word", "value"], ["induction", "weight on what followed last time", "query"]], place)],
    ],
    caption: ({ place }) => [
      "After ", whole("step", history[place].step), " updates, a word that is read again costs ", num("second reading", history[place].second, 2), " nats. ",
      history[place].induction < 0.1 ? "No head looks for what came next last time." : "A head looks for what came next last time.",
    ],
  });
};
