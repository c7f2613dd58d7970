// A result: in pages, copied, saved.

const PAGE = 25;
const $ = (id) => document.getElementById(id);
let table = null;
let first = 0;

/** Shows a result; none where it is null. */
export function show(result) {
  table = result;
  first = 0;
  $("result").hidden = !table;
  if (table) draw();
}

function draw() {
  const head = document.createElement("tr");
  // A column of numbers stands at the right, its name too.
  const amounts = table.columns.map((_, place) => {
    const values = table.rows.map((row) => row[place]).filter((value) => value !== null);
    return values.length > 0 && values.every((value) => ["number", "bigint"].includes(typeof value));
  });
  for (const [place, name] of table.columns.entries()) {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.textContent = name;
    cell.className = amounts[place] ? "amount" : "";
    head.append(cell);
  }
  const rows = table.rows.slice(first, first + PAGE).map((row) => {
    const line = document.createElement("tr");
    for (const [place, value] of row.entries()) {
      const cell = document.createElement("td");
      cell.textContent = value ?? "NULL";
      cell.className = [value === null && "null", amounts[place] && "amount"].filter(Boolean).join(" ");
      line.append(cell);
    }
    return line;
  });
  document.querySelector("#result thead").replaceChildren(head);
  document.querySelector("#result tbody").replaceChildren(...rows);
  const { length } = table.rows;
  const last = Math.min(first + PAGE, length);
  const cut = length < table.total ? ` (the first ${length.toLocaleString()} are here)` : "";
  $("shown").textContent = length ? `${first + 1} to ${last} of ${table.total.toLocaleString()}${cut}` : "no rows";
  $("previous").disabled = first === 0;
  $("next").disabled = last === length;
  $("copy-rows").disabled = $("csv").disabled = !length;
  document.querySelector("#result .table").scrollTop = 0;
}

function turn(by) {
  const to = first + by * PAGE;
  if (!table || to < 0 || to >= table.rows.length) return;
  first = to;
  draw();
}

const lines = (quoted, between) =>
  [table.columns, ...table.rows].map((row) => row.map((value) => quoted(value ?? "")).join(between)).join("\r\n") + "\r\n";

/** Copies a text, also where the page has no clipboard, and says whether that went well. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

/** The rows as a spreadsheet takes them from the clipboard. */
export const tabbed = () => lines((value) => String(value).replace(/[\t\r\n]+/g, " "), "\t");

function save() {
  const csv = lines((value) => (/[",\r\n]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : String(value)), ",");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([csv], { type: "text/csv" }));
  link.download = "rows.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

$("previous").addEventListener("click", () => turn(-1));
$("next").addEventListener("click", () => turn(1));
$("csv").addEventListener("click", save);
document.querySelector("#result .table").addEventListener("keydown", (event) => {
  // Arrows scroll what is wide.
  const by = { PageDown: 1, PageUp: -1 }[event.key];
  if (by && !event.ctrlKey && !event.metaKey) {
    turn(by);
    event.preventDefault();
  }
});
