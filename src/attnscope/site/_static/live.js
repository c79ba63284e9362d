// Cells that run: on a page that `attnscope learn` serves, code is editable and runs in a kernel of this machine.
// On any other host the page explains how to get there. The exercises' answers are kept in the learner's own notebook.

"use strict";

(() => {
  const root = new URL(document.documentElement.dataset.content_root || "./", location.href);
  const page = location.pathname.split("/").pop() || "index.html";
  const make = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, given] of Object.entries(attributes)) {
      if (name.startsWith("on")) element[name] = given;
      else element.setAttribute(name, given);
    }
    element.append(...children);
    return element;
  };

  // ---- the kernel: Jupyter's REST interface, and its messages over a web socket ----

  class Kernel {
    constructor(server, path) {
      Object.assign(this, { server, path, waiting: new Map(), session: crypto.randomUUID() });
    }

    async api(way, options = {}) {
      const headers = { Authorization: `token ${this.server.token}`, "Content-Type": "application/json" };
      const response = await fetch(new URL(`api/${way}`, this.server.base), { ...options, headers });
      if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);
      return response.status === 204 ? null : response.json();
    }

    // A page keeps its kernel: a session of the same path is the same one.
    async start() {
      const session = await this.api("sessions", { method: "POST", body: JSON.stringify({ path: this.path, name: this.path, type: "console", kernel: { name: "python3" } }) });
      this.id = session.kernel.id;
      const way = new URL(`api/kernels/${this.id}/channels`, this.server.base);
      way.protocol = way.protocol.replace("http", "ws");
      way.search = new URLSearchParams({ token: this.server.token, session_id: this.session });
      this.socket = new WebSocket(way);
      this.socket.onmessage = (event) => this.receive(JSON.parse(event.data));
      this.socket.onclose = () => this.fail("The kernel's connection was closed. Run the cell again.");
      await new Promise((open, failed) => { this.socket.onopen = open; this.socket.onerror = () => failed(new Error("no connection to the kernel")); });
      // A session shows every expression, a notebook its last one
      if (this.path.endsWith(".py")) await this.execute('get_ipython().ast_node_interactivity = "all"', () => {});
    }

    fail(words) {
      for (const { output, done } of this.waiting.values()) output({ name: "stderr", text: words, output_type: "stream" }), done(false);
      this.waiting.clear();
      this.started = null;
    }

    receive(message) {
      const run = this.waiting.get(message.parent_header.msg_id);
      if (!run) return;
      const { msg_type: kind } = message.header, content = message.content;
      if (["stream", "display_data", "execute_result", "error"].includes(kind)) run.output({ output_type: kind, ...content });
      if (kind === "error") run.failed = true;
      if (kind === "status" && content.execution_state === "idle") this.waiting.delete(message.parent_header.msg_id), run.done(!run.failed);
    }

    // Runs code; output() gets what it prints. Resolves to whether it ran without an error.
    async run(code, output) {
      await (this.started ??= this.start().catch((error) => { this.started = null; throw error; }));
      return this.execute(code, output);
    }

    async execute(code, output) {
      const id = crypto.randomUUID();
      const header = { msg_id: id, username: "learner", session: this.session, msg_type: "execute_request", version: "5.3", date: new Date().toISOString() };
      const content = { code, silent: false, store_history: true, user_expressions: {}, allow_stdin: false, stop_on_error: true };
      return new Promise((done) => {
        this.waiting.set(id, { output, done });
        this.socket.send(JSON.stringify({ header, parent_header: {}, metadata: {}, content, channel: "shell", buffers: [] }));
      });
    }

    interrupt() { return this.id && this.api(`kernels/${this.id}/interrupt`, { method: "POST" }); }
  }

  // ---- an editor: a text area above its coloured copy ----

  const WORDS = /(#[^\n]*)|("""[\s\S]*?"""|[rbf]?"(?:\\.|[^"\\\n])*"|[rbf]?'(?:\\.|[^'\\\n])*')|\b(def|return|for|in|if|else|elif|while|import|from|as|with|class|lambda|not|and|or|is|None|True|False|raise|try|except|finally|yield|pass|assert|del|global|nonlocal|break|continue)\b|\b(\d[\d_.]*(?:e[+-]?\d+)?)\b/g;
  const KINDS = [, "c1", "s2", "k", "mi"];

  function coloured(code) {
    const parts = [];
    let end = 0;
    for (const found of code.matchAll(WORDS)) {
      parts.push(code.slice(end, found.index), make("span", { class: KINDS[[1, 2, 3, 4].find((group) => found[group] !== undefined)] }, found[0]));
      end = found.index + found[0].length;
    }
    return [...parts, code.slice(end), "\n"];
  }

  function editor(code, changed, run) {
    const copy = make("pre", { "aria-hidden": "true" });
    const area = make("textarea", { spellcheck: "false", autocapitalize: "off", autocomplete: "off", "aria-label": "Python code. Shift and Enter run it; Escape, then Tab, leaves it." });
    const draw = () => { copy.replaceChildren(...coloured(area.value)); };
    let leaving = false;
    area.value = code;
    area.oninput = () => { draw(); changed(); };
    area.onkeydown = (event) => {
      if (event.key === "Enter" && event.shiftKey) event.preventDefault(), run();
      else if (event.key === "Escape") leaving = true;
      else if (event.key === "Tab" && !leaving && !event.shiftKey) {
        event.preventDefault();
        area.setRangeText("    ", area.selectionStart, area.selectionEnd, "end");
        area.oninput();
      } else if (event.key !== "Shift") leaving = false;
    };
    area.onfocus = () => (leaving = false);
    draw();
    return { element: make("div", { class: "editor highlight" }, copy, area), get code() { return area.value; }, set code(text) { area.value = text; draw(); } };
  }

  // ---- a cell: an editor, its buttons, and what it printed ----

  class Cell {
    // `shown` is what the page shows below the code until it is run.
    constructor(cells, code, place, shown) {
      Object.assign(this, { cells, original: code, ran: null });
      this.editor = editor(code, () => this.cells.changed(this), () => this.start());
      this.button = make("button", { type: "button", class: "run", onclick: () => (this.running ? cells.kernel.interrupt() : this.start()) }, "Run");
      this.outputs = make("div", { class: "outputs", "aria-live": "polite" }, ...shown);
      this.element = make("div", { class: "live-cell" }, this.editor.element, this.button, this.outputs);
      place.replaceWith(this.element);
    }

    get code() { return this.editor.code; }
    // A check without an answer: a later cell does not need it.
    get onlyChecks() { return /\bcheck\(/.test(this.code) && (this.code === this.original || !this.code.includes("def ")); }

    // First what this cell may need: earlier cells that have not run since they were changed.
    async start() {
      this.begin();
      for (const cell of this.cells.list.slice(0, this.cells.list.indexOf(this))) {
        if (cell.ran !== cell.code && !cell.onlyChecks && !(await cell.run())) return this.end();
      }
      await this.run();
    }

    begin() {
      this.running = true;
      this.button.textContent = "Stop";
      this.outputs.replaceChildren();
      this.element.classList.add("running");
    }

    end() {
      this.running = false;
      this.button.textContent = "Run";
      this.element.classList.remove("running");
    }

    async run() {
      const code = this.code, verdicts = [];
      this.begin();
      let fine = false;
      try {
        fine = await this.cells.kernel.run(code, (output) => verdicts.push(...this.show(output)));
      } catch (error) {
        this.show({ output_type: "stream", name: "stderr", text: `The kernel cannot be reached (${error.message}). Is attnscope learn still running?` });
      }
      this.end();
      if (fine) this.ran = code;
      this.note(verdicts);
      // A stub in an earlier cell is no reason to stop: its exercise will say so itself
      return fine || /raise NotImplementedError/.test(code);
    }

    show(output) {
      const text = output.data?.["text/plain"] ?? output.text ?? "";
      if (output.output_type === "error") {
        this.outputs.append(make("pre", { class: "error" }, `${output.ename}: ${output.evalue}`));
      } else if (output.data?.["text/html"]) {
        const frame = make("div");
        frame.innerHTML = output.data["text/html"];
        for (const script of frame.querySelectorAll("script")) script.replaceWith(make("script", {}, script.textContent));
        this.outputs.append(frame);
      } else if (output.data?.["image/png"]) {
        this.outputs.append(make("img", { src: `data:image/png;base64,${output.data["image/png"]}`, alt: text }));
      } else {
        const verdict = /^(passed|not yet): /.exec(text);
        this.outputs.append(make("pre", { class: verdict ? `verdict ${verdict[1] === "passed" ? "passed" : "failed"}` : output.name ?? "" }, text));
        return verdict ? [verdict[1] === "passed"] : [];
      }
      return [];
    }

    note(verdicts) {
      const number = /\bcheck\((\d+|"[A-C]")/.exec(this.code)?.[1];
      if (number && verdicts.length && !/stretch=True/.test(this.code)) {
        window.attnscopeProgress?.set(`${page} exercise ${number.replaceAll('"', "")}`, verdicts.every(Boolean));
      }
    }
  }

  // ---- the cells of a page ----

  class Cells {
    constructor(kernel) { Object.assign(this, { kernel, list: [] }); }
    changed() { if (this.notebook) clearTimeout(this.timer), (this.timer = setTimeout(() => this.save(), 400)); }
    report(words) { document.querySelector(".live-banner").textContent = words; }

    // The answers are the learner's own notebook: what is typed here is saved there, and read again after a reload.
    follow(name, notebook) {
      Object.assign(this, { name, notebook });
      const codes = this.notebook.cells.filter((cell) => cell.cell_type === "code");
      if (codes.length !== this.list.length) {
        this.notebook = null;
        this.report(`${name} in your folder has cells that this page does not have. Open it in JupyterLab: what you type here is not saved.`);
        return;
      }
      this.list.forEach((cell, i) => { cell.editor.code = codes[i].source; });
      addEventListener("pagehide", () => this.save(true));
    }

    async save(keepalive = false) {
      if (!this.notebook) return;
      const codes = this.notebook.cells.filter((cell) => cell.cell_type === "code");
      this.list.forEach((cell, i) => { codes[i].source = cell.code; });
      const body = JSON.stringify({ type: "notebook", format: "json", content: this.notebook });
      try {
        await this.kernel.api(`contents/${this.name}`, { method: "PUT", keepalive, body });
      } catch (error) {
        this.report(`Your answers could not be saved (${error.message}). Is attnscope learn still running?`);
      }
    }
  }

  const PROMPT = /^(>>>|\.\.\.)( |$)/;
  const session = (text) => text.split("\n").filter((line) => PROMPT.test(line)).map((line) => line.slice(4)).join("\n");
  const printed = (text) => text.split("\n").filter((line) => !PROMPT.test(line)).join("\n");

  function banner(...children) {
    document.querySelector(".bd-article")?.prepend(make("p", { class: "live-banner", role: "status" }, ...children));
  }

  async function begin() {
    const blocks = [...document.querySelectorAll(".bd-article .highlight-pycon, .bd-article .cell .cell_input")];
    if (!blocks.length) return;
    const notebook = /^(exercises|projects|theory)\.html$/.exec(page)?.[1];
    const server = await fetch(new URL("_static/server.json", root)).then((response) => response.json()).catch(() => null);
    if (!server?.token) {
      if (notebook || /^\d\d-/.test(page)) banner("To edit and run the code on this page, type ", make("code", {}, "attnscope learn"), " or ", make("code", {}, "make learn"), ": it opens this page with a kernel of your own machine.");
      return;
    }
    server.base = new URL(server.base, location.href);
    if (location.search.includes("token=")) history.replaceState(null, "", location.pathname + location.hash);
    const kernel = new Kernel(server, notebook ? `${notebook}.ipynb` : `${page}.py`), cells = new Cells(kernel);
    const saved = notebook && notebook !== "theory" && (await kernel.api(`contents/${notebook}.ipynb`).catch(() => null));
    for (const block of blocks) {
      const text = block.querySelector("pre").textContent.replace(/\n$/, "");
      const cell = block.closest(".cell");
      if (cell) cells.list.push(new Cell(cells, text, cell, cell.querySelectorAll(".cell_output")));
      else cells.list.push(new Cell(cells, session(text), block, printed(text) ? [make("pre", {}, printed(text))] : []));
    }
    banner("The code on this page runs on your machine. ", saved ? "Your answers are saved in your own notebook. " : "", "Shift and Enter run a cell, and what it needs.");
    if (saved) cells.follow(`${notebook}.ipynb`, saved.content);
    document.documentElement.classList.add("live");
  }

  document.addEventListener("DOMContentLoaded", () => begin());
})();
