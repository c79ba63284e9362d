// The pauses: a page's questions become small checked ones. Without a script they are lists that unfold.
// What was answered is kept in the browser, and shown by marks in the table of contents.

"use strict";

(() => {
  const page = location.pathname.split("/").pop() || "index.html";
  const KEY = "attnscope-lesson";

  // progress.get(), progress.set("03-masks.html question 1", true)
  const progress = {
    get: () => JSON.parse(localStorage.getItem(KEY) || "{}"),
    set(name, done) {
      const kept = { ...progress.get(), [name]: done };
      localStorage.setItem(KEY, JSON.stringify(kept));
      mark();
    },
  };
  window.attnscopeProgress = progress;

  const make = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, given] of Object.entries(attributes)) element.setAttribute(name, given);
    element.append(...children);
    return element;
  };

  // A tick behind every page whose questions are all right, and behind the exercises that passed
  function mark() {
    const kept = progress.get();
    for (const link of document.querySelectorAll(".bd-links a.reference.internal")) {
      const target = link.getAttribute("href").split("/").pop().split("#")[0] || page;
      const questions = [1, 2, 3].filter((n) => kept[`${target} question ${n}`]).length;
      const passed = Object.keys(kept).filter((name) => name.startsWith(`${target} exercise`) && kept[name]).length;
      link.dataset.done = questions === 3 ? "✓" : target === "exercises.html" && passed ? `${passed} of 10` : "";
    }
  }

  function question(number, paragraph, options) {
    const asked = make("fieldset", { class: "question" });
    const legend = make("legend");
    legend.innerHTML = paragraph.innerHTML;
    const reply = make("p", { class: "reply", "aria-live": "polite" });
    const answers = options.map((option) => ({
      words: option.querySelector("summary"), why: [...option.children].slice(1),
      right: option.children[1].textContent.startsWith("Right."),
    }));
    const show = (answer) => {
      reply.className = `reply ${answer ? (answer.right ? "right" : "wrong") : "wrong"}`;
      reply.replaceChildren(...(answer ? answer.why.flatMap((each) => [...each.cloneNode(true).childNodes]) : ["Not quite. Have another look at the formula."]));
      progress.set(`${page} question ${number}`, Boolean(answer?.right));
    };
    asked.append(legend);
    if (/\(a number\)/.test(legend.textContent)) {
      const input = make("input", { type: "text", inputmode: "decimal", "aria-label": "Your answer, a number", size: 10 });
      const button = make("button", { type: "button" }, "Check");
      const check = () => {
        const given = Number(input.value.replace(",", "."));
        const near = (answer) => { const right = Number(answer.words.textContent); return Math.abs(given - right) <= 5e-4 + 5e-3 * Math.abs(right); };
        if (input.value.trim()) show(answers.find(near));
      };
      button.onclick = check;
      input.onkeydown = (event) => { if (event.key === "Enter") check(); };
      asked.append(make("div", { class: "answers" }, input, button));
    } else {
      answers.forEach((answer) => {
        const input = make("input", { type: "radio", name: `question-${number}` });
        input.onchange = () => show(answer);
        const label = make("label");
        label.append(input, ...[...answer.words.cloneNode(true).childNodes]);
        asked.append(label);
      });
    }
    const kept = answers.find((answer) => answer.right && progress.get()[`${page} question ${number}`]);
    if (kept) {
      const input = asked.querySelector("input[type=text]") ?? asked.querySelectorAll("input")[answers.indexOf(kept)];
      if (input.type === "text") input.value = kept.words.textContent;
      else input.checked = true;
      show(kept);
    }
    asked.append(reply);
    paragraph.replaceWith(asked);
    options.forEach((option) => option.remove());
  }

  function ask() {
    const heading = document.getElementById("pause");
    if (!heading) return;
    const paragraphs = [...heading.querySelectorAll("p")].filter((p) => /^Question \d/.test(p.textContent));
    paragraphs.forEach((paragraph, i) => {
      const options = [];
      for (let next = paragraph.nextElementSibling; next?.tagName === "DETAILS"; next = next.nextElementSibling) options.push(next);
      if (options.length) question(i + 1, paragraph, options);
    });
  }

  document.addEventListener("DOMContentLoaded", () => {
    const drawn = window.MathJax?.startup?.promise ?? Promise.resolve();
    drawn.then(ask).then(mark);
  });
})();
