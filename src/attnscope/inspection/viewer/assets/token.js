// One token: what it reads most, and who reads it most.

const LONGEST_RANKING = 6;
const CONTEXT = 6; // characters before and after a token that show where it stands

function showToken(data, state) {
  state.listen((changed) => {
    if (!changed.has("token") && !changed.has("head")) return;
    const { token, head } = state;
    document.getElementById("token-title").replaceChildren(element("code", { textContent: data.tokens[token] }));
    const entropy = data.entropy[head * data.count + token];
    const keys = `${number(Math.exp(entropy))} of ${data.visible[data.heads[head].row][token].toLocaleString("en")} keys`;
    const segment = data.segments ? `, ${data.segments.names[data.labels[token]]}` : "";
    document.getElementById("token-place").textContent = `token ${token.toLocaleString("en")}${segment}: ${number(entropy)} nats, as if ${keys}`;
    rank("reads", readsOf(data, head, token), data, state, "nothing: a sink may take all");
    rank("read-by", readersOf(data, head, token), data, state, "nobody, among their strongest keys");
  });
}

function rank(id, found, data, state, none) {
  const list = document.getElementById(id);
  list.replaceChildren(...found.slice(0, LONGEST_RANKING).map(({ token, weight }) => {
    const bar = element("span", { className: "bar" }, element("i"));
    bar.firstChild.style.width = `${100 * weight}%`;
    const button = element("button", { type: "button" }, element("span", { className: "place", textContent: token.toLocaleString("en") }), inContext(data, token), bar, element("span", { className: "share", textContent: percent(weight) }));
    button.addEventListener("click", () => {
      state.pin(token);
      document.getElementById(`t${token}`).scrollIntoView({ block: "nearest" });
    });
    return element("li", {}, button);
  }));
  if (found.length === 0) list.append(element("li", { className: "none", textContent: none }));
}

// A token between what stands before and after it.
function inContext(data, token) {
  const before = data.tokens.slice(Math.max(token - CONTEXT, 0), token).join("");
  const after = data.tokens.slice(token + 1, token + 1 + CONTEXT).join("");
  return element("code", {},
    element("span", { textContent: [...before].slice(-CONTEXT).join("") }),
    element("b", { textContent: data.tokens[token] }),
    element("span", { textContent: [...after].slice(0, CONTEXT).join("") }));
}
