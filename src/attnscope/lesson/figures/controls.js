// Sliders, choices, switches and steps, as HTML that a keyboard reaches. Each shows a state, and can change it.

const make = (tag, attributes = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, given] of Object.entries(attributes)) {
    if (name.startsWith("on")) element[name] = given;
    else element.setAttribute(name, given);
  }
  element.append(...children);
  return element;
};

// A number of the state; `show` is how it is written, `of` and `to` turn a slider's place into it and back.
export function slider(name, label, { min, max, step = 1, show = String, of = Number, to = Number }) {
  return (change) => {
    const shown = make("output", { class: "given" });
    const input = make("input", { type: "range", min, max, step, "data-control": name, oninput: () => change({ [name]: of(Number(input.value)) }) });
    const sync = (state) => {
      input.value = to(state[name]);
      shown.textContent = show(state[name]);
      input.setAttribute("aria-valuetext", show(state[name]));
    };
    return { element: make("label", { class: "slider" }, make("span", {}, label), input, shown), sync };
  };
}

// One of a few; options are [value, words].
export function choice(name, label, options) {
  return (change) => {
    const group = `${name}-${Math.random()}`; // the same figure can be there twice, in a notebook
    const inputs = options.map(([value]) =>
      make("input", { type: "radio", name: group, value, "data-control": `${name}=${value}`, onchange: () => change({ [name]: value }) }));
    const labels = options.map(([, words], i) => make("label", {}, inputs[i], make("span", {}, words)));
    const sync = (state) => inputs.forEach((input, i) => (input.checked = options[i][0] === state[name]));
    return { element: make("fieldset", { class: "choice" }, make("legend", {}, label), ...labels), sync };
  };
}

// A control that is only there in some states.
export function when(there, control) {
  return (change, current) => {
    const { element, sync } = control(change, current);
    return { element, sync: (state) => { element.hidden = !there(state); sync(state); } };
  };
}

export function toggle(name, label) {
  return (change) => {
    const input = make("input", { type: "checkbox", role: "switch", "data-control": name, onchange: () => change({ [name]: input.checked }) });
    return { element: make("label", { class: "toggle" }, input, make("span", {}, label)), sync: (state) => (input.checked = state[name]) };
  };
}

// A step of a story: back, on, play, and a slider over all. `count(state)` is how many there are.
export function steps(name, label, count, milliseconds = 1100) {
  return (change, current) => {
    const last = () => count(current()) - 1;
    const to = (step) => change({ [name]: Math.min(Math.max(step, 0), last()) });
    let timer = 0;
    const stop = () => (clearInterval(timer), (timer = 0), (play.textContent = "Play"));
    const start = () => {
      if (current()[name] >= last()) to(0);
      play.textContent = "Pause";
      timer = setInterval(() => (play.isConnected && current()[name] < last() ? to(current()[name] + 1) : stop()), milliseconds);
    };
    const back = make("button", { type: "button", "aria-label": `${label}: one back`, "data-control": `${name} back`, onclick: () => (stop(), to(current()[name] - 1)) }, "\u2190");
    const on = make("button", { type: "button", "aria-label": `${label}: one on`, "data-control": `${name} on`, onclick: () => (stop(), to(current()[name] + 1)) }, "\u2192");
    const play = make("button", { type: "button", "data-control": `${name} play`, onclick: () => (timer ? stop() : start()) }, "Play");
    const input = make("input", { type: "range", min: 0, step: 1, "aria-label": label, "data-control": name, oninput: () => (stop(), to(Number(input.value))) });
    const sync = (state) => {
      input.max = last();
      input.value = state[name];
      back.disabled = state[name] <= 0;
      on.disabled = state[name] >= last();
    };
    return { element: make("div", { class: "steps", role: "group", "aria-label": label }, back, play, on, input), sync };
  };
}

// A mark that is dragged, or moved by the arrow keys: place(x, y) gets the new position, in the panel's units.
export function draggable(panel, x, y, words, place, step = 6) {
  const key = (event) => {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    const far = event.shiftKey ? 4 : 1;
    place(x + far * step * move[0], y + far * step * move[1]);
  };
  const down = (event) => {
    const mark = event.currentTarget;
    mark.setPointerCapture(event.pointerId);
    mark.focus({ preventScroll: true });
    panel.svg.classList.add("dragging");
    mark.onpointermove = (move) => {
      const point = new DOMPoint(move.clientX, move.clientY).matrixTransform(panel.svg.getScreenCTM().inverse());
      place(point.x, point.y);
    };
    mark.onpointerup = mark.onpointercancel = () => {
      mark.onpointermove = null;
      panel.svg.classList.remove("dragging");
    };
  };
  return { tabindex: 0, role: "slider", "aria-label": words.label, "aria-valuetext": words.value, "aria-valuenow": 0, onkeydown: key, onpointerdown: down, class: "handle" };
}

// Cells that are walked by the arrow keys and pressed by Space or Enter: one of them can be tabbed to.
export function pressable(rows, columns, focus, press, words) {
  return (i, j) => ({
    tabindex: focus.at[0] === i && focus.at[1] === j ? 0 : -1,
    role: "button",
    "aria-label": words(i, j),
    onclick: (event) => { focus.at = [i, j]; press(i, j); event.currentTarget.focus(); },
    onfocus: (event) => {
      focus.at = [i, j];
      for (const each of event.currentTarget.parentNode.querySelectorAll('[role="button"][tabindex="0"]')) each.setAttribute("tabindex", -1);
      event.currentTarget.setAttribute("tabindex", 0);
    },
    onkeydown: (event) => {
      const moves = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
      if (event.key === " " || event.key === "Enter") { event.preventDefault(); press(i, j); }
      else if (moves[event.key]) {
        event.preventDefault();
        const [a, b] = [(i + moves[event.key][0] + rows) % rows, (j + moves[event.key][1] + columns) % columns];
        event.currentTarget.parentNode.querySelector(`[data-cell="${a} ${b}"]`)?.focus();
      }
    },
    "data-cell": `${i} ${j}`,
  });
}

export { make };
