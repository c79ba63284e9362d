// The page: unpack the data, then let each part draw itself.

function showMasthead(data) {
  const verb = data.effects ? "attribute" : "inspect";
  document.title = `${data.text} – attnscope ${verb}`;
  document.getElementById("verb").textContent = verb;
  document.getElementById("title").textContent = data.text;
  const layers = many(data.layers.length, "layer");
  document.getElementById("summary").textContent =
    [data.model, many(data.count, "token"), layers, many(data.heads.length, "head")].join(" · ");
  document.getElementById("note").textContent = data.note;
  for (const [name, value] of Object.entries(data.facts)) {
    const fact = [element("dt", { textContent: name }), element("dd", { textContent: value })];
    document.getElementById("facts").append(...fact);
  }
}

// The choices of the reader: a head, a token, a segment, a measure, a shading. Listeners receive the names of what changed.
function makeState(data) {
  const listeners = [];
  const state = {
    head: data.start.head,
    token: data.start.token, // the shown one: under the pointer, or else the pinned one
    pinned: data.start.token,
    reader: data.segments ? data.segments.names.length - 1 : 0,
    measure: data.measures[0].key,
    shading: data.effects ? "effect" : "reads",
    listen: (listener) => listeners.push(listener),
    set(changes) {
      const changed = new Set(Object.keys(changes).filter((name) => state[name] !== changes[name]));
      if (changed.size === 0) return;
      Object.assign(state, changes);
      listeners.forEach((listener) => listener(changed));
    },
    pin: (token) => state.set({ token, pinned: token }),
    redraw() {
      const all = new Set(["theme", "head", "token", "reader", "measure", "shading"]);
      listeners.forEach((listener) => listener(all));
    },
  };
  return state;
}

async function start() {
  const trouble = document.getElementById("trouble");
  if (typeof DecompressionStream === "undefined") {
    trouble.textContent =
      "This browser is too old for this page: it lacks DecompressionStream, which browsers have had since 2023.";
    trouble.hidden = false;
    return;
  }
  const data = await readData();
  const state = makeState(data);
  document.getElementById("page").hidden = false;
  showMasthead(data);
  let ready = false;
  followSystemTheme(document.getElementById("theme"), () => ready && state.redraw());
  for (const show of [showHeads, showText, showToken, showEffects, showMap, showEntropy, showSegments]) show(data, state);
  ready = true;
  state.redraw();
  document.documentElement.dataset.ready = "true";
}

start();
