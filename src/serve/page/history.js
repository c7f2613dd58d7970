// Earlier questions, kept in this browser alone.

const KEY = "factory-history";
const KEPT = 50;
const $ = (id) => document.getElementById(id);
let entries = [];
let at = -1;
let draft = "";

/** Takes what this browser keeps, which another tab may have changed. */
function read() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    if (Array.isArray(kept)) entries = kept.filter((entry) => typeof entry?.question === "string");
  } catch {
    // A browser that keeps nothing has what was asked since the page is open.
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
  read();
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
  read();
  draw();
  addEventListener("storage", () => {
    read();
    at = -1;
    draw();
  });
  $("forget").addEventListener("click", () => {
    entries = [];
    keep();
    draw();
  });
  $("question").addEventListener("keydown", (event) => {
    const step = { ArrowUp: 1, ArrowDown: -1 }[event.key];
    const to = at + step;
    if (!step || to < -1 || to >= entries.length) return;
    if (at < 0) draft = $("question").value;
    at = to;
    $("question").value = entries[at]?.question ?? draft;
    event.preventDefault();
  });
}
