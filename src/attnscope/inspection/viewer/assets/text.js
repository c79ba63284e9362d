// The text, token by token: what the chosen one reads is filled, who reads it is underlined.

const SHADINGS = {
  reads: ["reading", "Filled: what the chosen token reads. Underlined: who reads it. Hover, click to hold, or use the arrow keys."],
  received: ["received", "The darker, the more of this head's weight a token is given by all others: sinks stand out."],
  entropy: ["entropy", "The darker, the more keys a token reads from; the pale ones are sharp."],
};

const BLOCK = 200; // tokens that are laid out together, and only where they are seen

function showText(data, state) {
  const text = document.getElementById("text");
  const spans = makeTokens(data, text);
  const choice = document.getElementById("shading");
  for (const [key, [label]] of Object.entries(SHADINGS)) {
    const input = element("input", { type: "radio", name: "shading", value: key, checked: key === state.shading });
    input.addEventListener("change", () => state.set({ shading: key }));
    choice.append(element("label", {}, input, element("span", { textContent: label })));
  }
  text.addEventListener("pointerover", (event) => {
    const token = tokenOf(event.target);
    if (token !== null && event.pointerType !== "touch") state.set({ token });
  });
  text.addEventListener("pointerleave", () => state.set({ token: state.pinned }));
  text.addEventListener("click", (event) => {
    const token = tokenOf(event.target);
    if (token !== null) state.pin(token);
  });
  text.addEventListener("keydown", (event) => moveInText(event, data, state, spans));
  let shaded = [];
  let selected = spans[state.token];
  state.listen((changed) => {
    if (!["token", "head", "shading", "theme"].some((name) => changed.has(name))) return;
    shaded.forEach(unshade);
    shaded = shade(data, state, spans);
    selected.setAttribute("aria-selected", "false");
    selected = spans[state.token];
    selected.setAttribute("aria-selected", "true");
    text.setAttribute("aria-activedescendant", spans[state.token].id);
    document.getElementById("shading-meaning").textContent = SHADINGS[state.shading][1];
  });
  spans[state.token].scrollIntoView({ block: "nearest" });
  window.scrollTo(0, 0);
}

function tokenOf(target) {
  const span = target.closest(".t");
  return span ? Number(span.dataset.token) : null;
}

function makeTokens(data, text) {
  const spans = [];
  let before = null;
  let block = null;
  let begun = -BLOCK;
  data.tokens.forEach((shown, token) => {
    const segment = data.segments ? data.labels[token] : -1;
    const markup = data.segments !== null && segment === data.segments.markup;
    const tagged = segment !== before && segment >= 0 && !markup;
    if (token - begun >= BLOCK && (tagged || block === null || block.lastChild.nodeName === "BR")) {
      block = element("div", { className: "block" });
      block.setAttribute("role", "presentation");
      text.append(block);
      begun = token;
    }
    if (tagged) {
      block.append(element("span", { className: "tag", textContent: data.segments.names[segment] }));
    }
    before = segment;
    const blank = /^[␣⏎␍⇥⍽…]+$/.test(shown);
    const span = element("span", { className: `t${blank ? " blank" : ""}${markup ? " markup" : ""}`, id: `t${token}` });
    span.textContent = blank ? shown : shown.replace(/^␣/, " ").replaceAll("␣", " ");
    span.dataset.token = token;
    span.setAttribute("role", "option");
    span.setAttribute("aria-selected", "false");
    span.setAttribute("aria-label", `token ${token}: ${shown}`);
    if (shown.startsWith("␣")) block.append(document.createElement("wbr"));
    block.append(span);
    if (shown.endsWith("⏎") && !data.tokens[token + 1]?.startsWith("⏎")) block.append(document.createElement("br"));
    else if (blank) block.append(document.createElement("wbr"));
    spans.push(span);
  });
  return spans;
}

function unshade(span) {
  span.style.background = span.style.color = span.style.boxShadow = "";
}

function fill(span, share) {
  const colour = rampColour(share);
  span.style.background = css(colour);
  span.style.color = inkOn(colour);
}

function shade(data, state, spans) {
  if (state.shading !== "reads") return shadeAll(data, state, spans);
  const touched = [];
  for (const { token, weight } of readsOf(data, state.head, state.token)) {
    fill(spans[token], Math.sqrt(weight));
    touched.push(spans[token]);
  }
  for (const { token, weight } of readersOf(data, state.head, state.token)) {
    const strength = Math.round(25 + 75 * Math.sqrt(weight));
    spans[token].style.boxShadow = `inset 0 -3px 0 color-mix(in srgb, var(--by) ${strength}%, transparent)`;
    touched.push(spans[token]);
  }
  return touched;
}

function shadeAll(data, state, spans) {
  const first = state.head * data.count;
  const values = data[state.shading].subarray(first, first + data.count);
  const most = values.reduce((one, other) => Math.max(one, other), 1e-9);
  spans.forEach((span, token) => fill(span, state.shading === "received" ? Math.sqrt(values[token] / most) : values[token] / most));
  return spans;
}

function moveInText(event, data, state, spans) {
  const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -50, PageDown: 50, Home: -Infinity, End: Infinity };
  let token = state.token;
  if (event.key in steps) token = Math.min(Math.max(token + steps[event.key], 0), data.count - 1);
  else if (event.key === "ArrowUp" || event.key === "ArrowDown") token = inOtherLine(spans, token, event.key === "ArrowUp" ? -1 : 1);
  else if (event.key === "Escape") token = data.start.token;
  else return;
  event.preventDefault();
  state.pin(token);
  spans[token].scrollIntoView({ block: "nearest" });
}

// The token above or below: the one in the next line that stands nearest.
function inOtherLine(spans, token, direction) {
  const { offsetTop: own, offsetLeft: left } = spans[token];
  let line = null;
  let best = token;
  for (let other = token + direction; other >= 0 && other < spans.length; other += direction) {
    const { offsetTop: top, offsetLeft: place } = spans[other];
    if (top === own) continue;
    line ??= top;
    if (top !== line) break;
    if (best === token || Math.abs(place - left) < Math.abs(spans[best].offsetLeft - left)) best = other;
  }
  return best;
}
