// The page: a question goes in, a query and its rows come out.

import * as database from "./database.js";
import * as history from "./history.js";
import { copy, show, tabbed } from "./rows.js";
import { call, unlock } from "./server.js";
import { paint } from "./sql.js";

const $ = (id) => document.getElementById(id);
let running = null;

function say(text, kind = "") {
  $("status").textContent = text;
  $("status").className = kind;
}

/** Does one thing at a time, and says what it gives; Esc ends it. */
async function busy(words, work) {
  running?.abort();
  const own = (running = new AbortController());
  say(words, "busy");
  $("send").disabled = $("run").disabled = true;
  try {
    const done = await work(own.signal);
    if (running === own) say(done ?? "");
  } catch (error) {
    if (running !== own) return;
    if (error.name === "AbortError") return say("Stopped.");
    if (error.status === 401) $("unlock").hidden = false;
    say(error.message, "fault");
  } finally {
    if (running === own) {
      running = null;
      $("send").disabled = $("run").disabled = false;
    }
  }
}

function write(sql) {
  $("sql").value = sql;
  paint($("painted"), sql);
}

/** Rows, or why there are none; in words too, for whoever does not see them. */
function outcome(result) {
  const { error } = result;
  $("error").hidden = !error;
  $("error").textContent = error ? `The query fails: ${error}` : "";
  show(error ? null : result);
  return error ? "The query fails." : result.total === 1 ? "1 row." : `${result.total.toLocaleString()} rows.`;
}

function trust({ confidence, sure, samples, by, adapters, route, result }) {
  $("trust").hidden = false;
  $("badge").textContent = sure ? "Sure" : "Not sure";
  $("badge").className = sure ? "" : "unsure";
  $("meter").value = confidence ?? 0;
  const share = Math.round((confidence ?? 0) * samples);
  $("confidence").textContent =
    by === "none_runs" ? "none of the answers runs"
      : samples > 1 ? `${share} of ${samples} answers agree`
        : `its tokens are ${Math.round((confidence ?? 0) * 100)}% likely`;
  if (result.total === 0) $("confidence").textContent += ", and it returns no rows";
  const who = adapters.map(([name, weight]) => (weight === 1 ? name : `${name} × ${weight}`)).join(", ") || "the base model";
  $("route").textContent = `Answered by ${who}${route ? `: ${route.reason}` : ""}.`;
}

function ask(question) {
  if (!database.id()) return say("Bring a database first.", "fault");
  const tables = database.tables();
  if (!tables) return say("Tick one table at least.", "fault");
  return busy("Asking", async (signal) => {
    const rest = { question, model: $("model").value, tables };
    const answer = await database.withId((id) => call("POST", "/ask", { database: id, ...rest }, signal));
    $("answer").hidden = false;
    write(answer.sql ?? answer.answer);
    trust(answer);
    history.add(question, $("sql").value, database.name());
    return `${$("badge").textContent}. ${outcome(answer.result)}`;
  });
}

function run() {
  if (!database.id()) return say("Bring a database first.", "fault");
  return busy("Running", async (signal) => {
    const { result } = await database.withId((id) => call("POST", "/ask/query", { database: id, sql: $("sql").value }, signal));
    return outcome(result);
  });
}

const bring = (blob, name) =>
  busy("Reading the database", async () => {
    const note = await database.bring(blob, name);
    $("answer").hidden = true;
    show(null);
    $("question").focus();
    return note;
  });

async function begin() {
  await busy("Looking for models", async () => {
    for (;;) {
      try {
        const { data } = await call("GET", "/v1/models");
        const names = data.map((model) => model.id);
        // The base comes behind what was trained.
        const base = data.find((model) => !model.parent).id;
        const trained = names.filter((name) => name !== base);
        $("model").replaceChildren(...[...trained, base].map((name) => new Option(name)));
        $("unlock").hidden = true;
        return;
      } catch (error) {
        if (error.status !== 503) throw error;
        say("The model is being loaded", "busy");
        await new Promise((resolve) => setTimeout(resolve, 500));
      }
    }
  });
}

$("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  ask($("question").value.trim());
});
$("unlock").addEventListener("submit", (event) => {
  event.preventDefault();
  unlock($("key").value);
  begin();
});
$("ddl-form").addEventListener("submit", (event) => {
  event.preventDefault();
  bring(new Blob([$("ddl").value]), "pasted tables");
});
$("paste").addEventListener("click", () => {
  const form = $("ddl-form");
  form.hidden = !form.hidden;
  $("paste").ariaExpanded = !form.hidden;
  if (!form.hidden) $("ddl").focus();
});
$("file").addEventListener("change", () => {
  const [file] = $("file").files;
  if (file) bring(file, file.name);
  // The same file may be chosen again.
  $("file").value = "";
});
$("close").addEventListener("click", () => {
  running?.abort();
  database.close();
  $("answer").hidden = true;
  show(null);
});
$("sql").addEventListener("input", () => {
  paint($("painted"), $("sql").value);
  $("trust").hidden = true;
  $("route").textContent = "Edited by you.";
});
$("run").addEventListener("click", run);
$("copy-sql").addEventListener("click", async () => say((await copy($("sql").value)) ? "Copied." : "This browser does not let pages copy."));
$("copy-rows").addEventListener("click", async () => say((await copy(tabbed())) ? "Copied." : "This browser does not let pages copy."));

for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    document.body.classList.toggle("over", kind === "dragover");
    const file = kind === "drop" && event.dataTransfer.files[0];
    if (file) bring(file, file.name);
  });
}

document.addEventListener("keydown", (event) => {
  const typing = event.target.matches("input:not([type=checkbox]), textarea, select");
  if (event.key === "Escape") running?.abort();
  else if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !$("answer").hidden) run();
  else if (event.key === "/" && !typing) $("question").focus();
  else return;
  event.preventDefault();
});

history.begin((entry) => {
  $("question").value = entry.question;
  $("question").focus();
});
begin();
