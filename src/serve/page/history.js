// Earlier questions, kept in this browser alone.

const KEY = "factory-history";
const KEPT = 50;
const $ = (id) => document.getElementById(id);
let entries = [];
let at = -1;

function read() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(kept) ? kept.filter((entry) => typeof entry?.question === "string") : [];
  } catch {
    return [];
  }
}

function keep() {
  try {
    localStorage.setItem(KEY, JSON.stringify(entries));
  } catch {
    // A browser that keeps nothing still shows them while the page is open.
  }
}

/** Keeps a question with its answer; the newest comes first. */
export function add(question, sql, database) {
  const same = (entry) => entry.question === question && entry.database === database;
  entries = [{ question, sql, database }, ...entries.filter((entry) => !same(entry))].slice(0, KEPT);
  at = -1;
  keep();
  draw();
}

let chosen = () => {};

function draw() {
  $("history").hidden = !entries.length;
  $("entries").replaceChildren(...entries.map((entry) => {
    const button = document.createElement("button");
    button.type = "button";
    const where = document.createElement("small");
    where.textContent = ` ${entry.database}`;
    button.append(entry.question, where);
    button.title = entry.sql;
    button.addEventListener("click", () => chosen(entry));
    const item = document.createElement("li");
    item.append(button);
    return item;
  }));
}

/** Shows what is kept; `choose` is called with the entry that somebody chooses. */
export function begin(choose) {
  chosen = choose;
  entries = read();
  draw();
  $("forget").addEventListener("click", () => {
    entries = [];
    keep();
    draw();
  });
  $("question").addEventListener("keydown", (event) => {
    const step = { ArrowUp: 1, ArrowDown: -1 }[event.key];
    const to = at + step;
    if (!step || to < -1 || to >= entries.length) return;
    at = to;
    $("question").value = entries[at]?.question ?? "";
    event.preventDefault();
  });
}
