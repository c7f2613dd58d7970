"use strict";
(() => {
  const all = (what, from = document) => [...from.querySelectorAll(what)];
  const one = (what) => document.querySelector(what);

  const root = document.documentElement;
  const toggle = one("#theme");
  const dark = () => (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const name = () => { toggle.textContent = dark() ? "Light colours" : "Dark colours"; };
  if (toggle) {
    toggle.hidden = false;
    name();
    toggle.addEventListener("click", () => { root.dataset.theme = dark() ? "light" : "dark"; name(); });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", name);
  }

  for (const box of all(".copy")) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Copy";
    button.setAttribute("aria-label", "Copy the command");
    button.addEventListener("click", async () => {
      const text = box.querySelector("pre");
      try {
        await navigator.clipboard.writeText(text.textContent);
        button.textContent = "Copied";
      } catch {
        // A page from a file may not write the clipboard: the reader can, once it is selected.
        getSelection().selectAllChildren(text);
        button.textContent = "Selected";
      }
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
    box.append(button);
  }

  const filter = one(".filter");
  if (!filter) return;
  filter.hidden = false;
  const rows = all(".row");
  const texts = new Map();
  const text = (row) => {
    if (!texts.has(row)) texts.set(row, row.textContent.toLowerCase());
    return texts.get(row);
  };
  const of = (field) => filter.elements[field]?.value ?? "";
  const outcomes = { "": ["lost", "gained", "wrong", "right"], seen: ["lost", "gained", "wrong"], flipped: ["lost", "gained"] };
  const apply = () => {
    const asked = of("outcome");
    const wanted = outcomes[asked] ?? [asked];
    const words = of("text").toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const data = row.dataset;
      const fits = wanted.includes(data.outcome) && (!of("gate") || data.gate === of("gate"))
        && (!of("kind") || data.kind === of("kind")) && words.every((word) => text(row).includes(word));
      row.hidden = !fits;
      shown += fits;
    }
    one("#shown").textContent = `${shown} of ${rows.length} rows`;
  };
  filter.addEventListener("input", apply);
  filter.addEventListener("submit", (event) => event.preventDefault());
  filter.addEventListener("reset", () => setTimeout(apply));
  const open = one("#open");
  open.addEventListener("click", () => {
    const opens = rows.some((row) => !row.hidden && !row.open);
    for (const row of rows) if (!row.hidden) row.open = opens;
    open.textContent = opens ? "Close all" : "Open all";
  });
  for (const link of all("a[data-kind]")) {
    link.addEventListener("click", () => {
      filter.reset();
      filter.elements.kind.value = link.dataset.kind;
      if (filter.elements.gate) filter.elements.gate.value = link.dataset.gate;
      setTimeout(apply);
    });
  }
  apply();
})();
