// A figure: controls, panels and a sentence, all drawn from one state.

import { make } from "./controls.js";
import { Panel, write } from "./draw.js";

// state: where it begins. controls: made by controls.js. compute(state): what is drawn. panels: [size, paint(panel, state, now, change)].
// caption(state, now): the sentence below, in parts.
export function figure(host, { name, label, state, controls = [], compute = () => ({}), panels, caption }) {
  const current = { ...state };
  const change = (part) => { Object.assign(current, part); draw(); };
  const parts = controls.map((control) => control(change, () => current));
  const drawn = panels.map(([size, paint]) => ({ panel: new Panel(size), paint }));
  const sentence = make("p", { class: "caption", "aria-live": "polite" });

  function draw() {
    const now = compute(current);
    for (const part of parts) part.sync(current);
    for (const { panel, paint } of drawn) panel.draw((p) => paint(p, current, now, change));
    if (caption) write(sentence, caption(current, now), () => document.createElement("span"));
    host.dataset.state = JSON.stringify(current);
  }

  host.classList.add("af");
  host.setAttribute("role", "figure");
  host.setAttribute("aria-label", label);
  host.dataset.figure = name;
  host.replaceChildren(
    ...(parts.length ? [make("div", { class: "controls" }, ...parts.map((part) => part.element))] : []),
    make("div", { class: "panels" }, ...drawn.map(({ panel }) => panel.svg)),
    ...(caption ? [sentence] : []),
  );
  draw();
  followTheme(host);
  requestAnimationFrame(() => requestAnimationFrame(() => host.classList.add("ready")));
  host.change = change;
  return host;
}

// Dark where the page is: Sphinx's theme, JupyterLab's, or else the system's choice.
function followTheme(host) {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const follow = () => {
    const [page, lab] = [document.documentElement.dataset.theme, document.body.dataset.jpThemeLight];
    host.classList.toggle("dark", page ? page === "dark" : lab ? lab === "false" : system.matches);
  };
  follow();
  system.addEventListener("change", follow);
  const watch = new MutationObserver(follow);
  watch.observe(document.documentElement, { attributeFilter: ["data-theme"] });
  watch.observe(document.body, { attributeFilter: ["data-jp-theme-light"] });
}
