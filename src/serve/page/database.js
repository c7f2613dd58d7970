// The database that is asked: brought by a file, a drop or a text, kept by the server for a while.

import { call, Refused } from "./server.js";

const $ = (id) => document.getElementById(id);
let content = null;
let open = null;

/** Its id; null where there is none. */
export const id = () => open?.id ?? null;
export const name = () => open?.name ?? "";

/** The tables that are ticked; an empty list is all of them. Null where none is. */
export function tables() {
  const boxes = [...$("tables").querySelectorAll("input")];
  const ticked = boxes.filter((box) => box.checked).map((box) => box.value);
  if (!ticked.length) return null;
  return ticked.length === boxes.length ? [] : ticked;
}

/** Takes `blob`, called `name`, in place of what there was, and gives what one should know of it. */
export async function bring(blob, name) {
  const brought = await call("POST", "/ask/databases", blob);
  close();
  content = blob;
  open = { ...brought, name };
  $("name").textContent = name;
  const { length } = open.tables;
  $("count").textContent = length === 1 ? "1 table" : `${length} tables`;
  $("tables").replaceChildren(...open.tables.map(entry));
  $("drop").hidden = true;
  $("open").hidden = false;
  return open.note ?? "";
}

function entry(table) {
  const box = document.createElement("input");
  Object.assign(box, { type: "checkbox", checked: true, value: table.name });
  const columns = document.createElement("span");
  columns.className = "column";
  columns.textContent = ` (${table.columns.map((column) => column.name).join(", ")})`;
  const label = document.createElement("label");
  label.append(box, " ", table.name, columns);
  const item = document.createElement("li");
  item.append(label);
  return item;
}

/** Has the server forget it. */
export function close() {
  if (open) call("DELETE", `/ask/databases/${open.id}`).catch(() => {});
  open = content = null;
  $("drop").hidden = false;
  $("open").hidden = true;
}

/** Does `work` with its id; once more where the server has let it go meanwhile. */
export async function withId(work) {
  const [own, bytes] = [open, content];
  try {
    return await work(own.id);
  } catch (error) {
    if (!(error instanceof Refused) || error.code !== "database_not_found" || open !== own) throw error;
    own.id = (await call("POST", "/ask/databases", bytes)).id;
    return work(own.id);
  }
}
