// What the answer, or one of its tokens, loses without each source.

const MOST_EFFECTS = 12;

// The drops of all sources: of the chosen token if it is in the answer, else of the whole answer.
function dropsOf(data, token) {
  const { sources, owners } = data.effects;
  const place = token - owners.length;
  return sources.map(({ drops }) => (place >= 0 ? drops[place] : drops.reduce((sum, drop) => sum + drop, 0)));
}

function largestOf(drops) {
  return drops.reduce((most, drop) => Math.max(most, Math.abs(drop)), 1e-9);
}

function shadeEffects(data, state, spans) {
  const drops = dropsOf(data, state.token);
  const most = largestOf(drops);
  const touched = [];
  data.effects.owners.forEach((source, token) => {
    if (source < 0) return;
    const share = drops[source] / most;
    if (share > 0) fill(spans[token], share);
    else {
      const strength = Math.round(100 * Math.sqrt(-share));
      spans[token].style.boxShadow = `inset 0 -3px 0 color-mix(in srgb, var(--by) ${strength}%, transparent)`;
    }
    touched.push(spans[token]);
  });
  return touched;
}

function showEffects(data, state) {
  if (!data.effects) return;
  document.getElementById("effects-card").hidden = false;
  state.listen((changed) => changed.has("token") && listEffects(data, state));
}

function listEffects(data, state) {
  const { sources, owners, method, meaning } = data.effects;
  const drops = dropsOf(data, state.token);
  const most = largestOf(drops);
  const of = state.token >= owners.length ? `the answer's token ${data.tokens[state.token]}` : "the whole answer";
  document.getElementById("effects-meaning").textContent =
    `By how many nats the log probability of ${of} falls without each source. ${method}: ${meaning}.`;
  const largest = drops.map((_drop, source) => source).sort((one, other) => Math.abs(drops[other]) - Math.abs(drops[one]));
  const shown = largest.slice(0, MOST_EFFECTS).sort((one, other) => one - other);
  document.getElementById("effects").replaceChildren(...shown.map((source) => {
    const { name, text, whole } = sources[source];
    const bar = element("span", { className: "bar" }, element("i"));
    bar.firstChild.style.width = `${(100 * Math.abs(drops[source])) / most}%`;
    const button = element("button", { type: "button" },
      element("code", {}, element("b", { textContent: name }), element("span", { textContent: whole ? "" : ` ${text}` })), bar,
      element("span", { className: "share", textContent: number(drops[source]) }));
    button.addEventListener("click", () => showSource(data, state, source));
    const kind = [whole ? "" : "part", drops[source] < 0 ? "lower" : ""].join(" ");
    return element("li", { className: kind }, button);
  }));
}

// Show where a source begins; a document whose sentences are sources has no token of its own.
function showSource(data, state, source) {
  const { owners } = data.effects;
  const token = Math.max(owners.indexOf(source), owners.indexOf(source + 1) * !owners.includes(source));
  document.getElementById(`t${token}`)?.scrollIntoView({ block: "nearest" });
  state.set({ shading: "effect" });
}
