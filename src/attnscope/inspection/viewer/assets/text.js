// The text, token by token: the keys of the chosen token are filled, the tokens that read it are underlined. Beside it,
// both as rankings.

const SHADINGS = {
  reads: ["weights", "Filled: the keys that the chosen token reads. Underlined: the tokens that read it. " +
    "Hover over a token, click to keep it, or use the arrow keys."],
  received: ["received", "Strong colour: tokens that receive much of this head's weight, such as attention sinks."],
  entropy: ["entropy", "Strong colour: high entropy, the token reads many keys. Weak colour: it reads few."],
  effect: ["effect", "Filled: without this source, the answer becomes less likely. Underlined: more likely. " +
    "Choose a token of the answer to see that token alone."],
  sink: ["sink", "Strong colour: tokens that give most of their weight to the head's learned sink."],
};

const BLOCK = 200; // tokens that the browser lays out together, and only if they are in view
const LONGEST_RANKING = 6;
const CONTEXT = 6; // characters before and after a token in a ranking

function showText(data, state) {
  const text = document.getElementById("text");
  const spans = makeTokens(data, text);
  const choice = document.getElementById("shading");
  for (const [key, [label]] of Object.entries(SHADINGS)) {
    if ((key === "sink" && !data.sink) || (key === "effect" && !data.effects)) continue;
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
    const ofTemplate = data.segments !== null && segment === data.segments.template;
    const tagged = segment !== before && segment >= 0 && !ofTemplate;
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
    const span = element("span", { className: `t${blank ? " blank" : ""}${ofTemplate ? " template" : ""}`, id: `t${token}` });
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
  if (state.shading === "effect") return shadeEffects(data, state, spans);
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
  const bend = state.shading === "received" ? Math.sqrt : (share) => share; // small shares of received stay visible
  spans.forEach((span, token) => fill(span, bend(values[token] / most)));
  return spans;
}

function moveInText(event, data, state, spans) {
  const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -50, PageDown: 50, Home: -Infinity, End: Infinity };
  let token = state.token;
  if (event.key in steps) token = Math.min(Math.max(token + steps[event.key], 0), data.count - 1);
  else if (event.key === "ArrowUp") token = inOtherLine(spans, token, -1);
  else if (event.key === "ArrowDown") token = inOtherLine(spans, token, 1);
  else if (event.key === "Escape") token = data.start.token;
  else return;
  event.preventDefault();
  state.pin(token);
  spans[token].scrollIntoView({ block: "nearest" });
}

// The token above or below: the nearest one in the next line.
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

// The chosen token: the keys that it reads most, and the tokens that read it most.
function showToken(data, state) {
  state.listen((changed) => {
    if (!changed.has("token") && !changed.has("head")) return;
    const { token, head } = state;
    document.getElementById("token-title").replaceChildren(element("code", { textContent: data.tokens[token] }));
    document.getElementById("token-place").textContent = tokenFacts(data, head, token);
    rank("reads", readsOf(data, head, token), data, state, "no key");
    rank("read-by", readersOf(data, head, token), data, state, "no token has it among its strongest keys");
  });
}

function tokenFacts(data, head, token) {
  const segment = data.segments ? `, ${data.segments.names[data.labels[token]]}` : "";
  const entropy = data.entropy[head * data.count + token];
  const visible = data.visible[data.heads[head].row][token].toLocaleString("en");
  const keys = `${number(Math.exp(entropy))} effective of ${visible} visible keys`;
  const sink = data.sink ? `; ${percent(data.sink[head * data.count + token])} on the learned sink` : "";
  return `token ${token.toLocaleString("en")}${segment}: ${number(entropy)} nats, ${keys}${sink}`;
}

function rank(id, found, data, state, none) {
  const list = document.getElementById(id);
  list.replaceChildren(...found.slice(0, LONGEST_RANKING).map(({ token, weight }) => {
    const bar = element("span", { className: "bar" }, element("i"));
    bar.firstChild.style.width = `${100 * weight}%`;
    const button = element("button", { type: "button" },
      element("span", { className: "place", textContent: token.toLocaleString("en") }),
      inContext(data, token), bar,
      element("span", { className: "share", textContent: percent(weight) }));
    button.addEventListener("click", () => {
      state.pin(token);
      document.getElementById(`t${token}`).scrollIntoView({ block: "nearest" });
    });
    return element("li", {}, button);
  }));
  if (found.length === 0) list.append(element("li", { className: "none", textContent: none }));
}

// A token between its neighbours.
function inContext(data, token) {
  const before = data.tokens.slice(Math.max(token - CONTEXT, 0), token).join("");
  const after = data.tokens.slice(token + 1, token + 1 + CONTEXT).join("");
  return element("code", {},
    element("span", { textContent: [...before].slice(-CONTEXT).join("") }),
    element("b", { textContent: data.tokens[token] }),
    element("span", { textContent: [...after].slice(0, CONTEXT).join("") }));
}
