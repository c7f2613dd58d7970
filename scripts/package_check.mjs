// Asks a package's GGUF in llama.cpp as its Modelfile says. scripts/package_check.sh runs it: RUN PACKAGE PROMPTS KIND.
import {execFileSync} from "node:child_process";
import {createRequire} from "node:module";
import {mkdtempSync, readFileSync, writeFileSync} from "node:fs";
import {tmpdir} from "node:os";
import {join} from "node:path";
import {pathToFileURL} from "node:url";

const reader = createRequire(join(process.env.NODE_PATH, "x.js")).resolve("node-llama-cpp");
const {getLlama} = await import(pathToFileURL(reader));
const [run, folder, wanted, kind] = process.argv.slice(2);
const json = path => JSON.parse(readFileSync(path, "utf8"));
const lines = path => readFileSync(path, "utf8").split("\n").filter(line => line.trim()).map(line => JSON.parse(line));

// The Modelfile: a template and parameters, texts in triple quotes.
const file = readFileSync(join(folder, "Modelfile"), "utf8");
const template = /^TEMPLATE """([\s\S]*?)"""$/m.exec(file)[1];
const stops = [...file.matchAll(/^PARAMETER stop """([\s\S]*?)"""$/gm)].map(match => match[1]);
const number = name => Number(new RegExp(`^PARAMETER ${name} (\\S+)$`, "m").exec(file)[1]);
if (number("temperature") !== 0) throw new Error("the run is not greedy");

// What Go's template gives for one message of a user.
function rendered(question) {
    const text = template
        .replace(/\{\{ if eq \.Role "assistant" \}\}([\s\S]*?)\{\{ else \}\}([\s\S]*?)\{\{ end \}\}/g, "$2")
        .replace("{{ range .Messages }}", "").replace("{{ end }}", "").replaceAll("{{ .Role }}", "user");
    const parts = text.split(/\{\{ \.(?:Content|Prompt) \}\}/);
    if (parts.some(part => part.includes("{{"))) throw new Error(`not rendered: ${text}`);
    return parts.join(question);
}

// Where scored rows have a metric.
const COLUMNS = {
    "factory execution_accuracy": "exec_match", "factory exact_match": "exact_match", "public-exact exact_match": "public_exact_match",
};

const llama = await getLlama({gpu: false, build: "never", logLevel: "error"});
const model = await llama.loadModel({modelPath: join(folder, "model.gguf")});
const context = await model.createContext({contextSize: number("num_ctx"), threads: 2});
const sequence = context.getSequence();

async function answer(question) {
    const tokens = model.tokenize(rendered(question), true);
    if (model.tokens.shouldPrependBosToken) tokens.unshift(model.tokens.bos);
    await sequence.clearHistory();
    const found = [];
    let text = "";
    for await (const token of sequence.evaluate(tokens, {temperature: 0})) {
        found.push(token);
        text = model.detokenize(found, false);
        const cut = stops.map(stop => text.indexOf(stop)).filter(at => at >= 0);
        if (cut.length) return text.slice(0, Math.min(...cut));
        if (found.length >= number("num_predict")) break;
    }
    return text;
}

const evidence = json(join(run, "evidence.json"));
const gates = evidence.gates.filter(gate => gate.answers);
const own = new Map(gates.flatMap(gate => lines(join(run, "rows", `${gate.gate.name}.candidate.jsonl`)).map(row => [row.index, row.predicted_sql])));
const answers = gates[0].answers;
const rows = lines(answers.command[answers.command.indexOf("--data") + 1]);
// The first gate's rows first.
const asked = [...own.keys()].map(index => ({row: rows[index], index}));
const others = [];
let same = 0;
for (const [place, {row, index}] of asked.entries()) {
    row.predicted_sql = await answer(row.prompt ?? row.instruction);
    // llama.cpp shows a text's first space, which is left out here.
    if (row.predicted_sql.trim() === own.get(index).trim()) same++;
    else others.push({place, here: own.get(index), there: row.predicted_sql});
}
const first = Math.min(Number(wanted), asked.length);
const sameFirst = first - others.filter(other => other.place < first).length;
console.log(JSON.stringify({kind, prompts: first, same: sameFirst, of_all: asked.length, same_of_all: same}));
for (const other of others.slice(0, 3)) console.log(JSON.stringify(other));

// Every gate by its own scoring's command, with these answers.
const work = mkdtempSync(join(tmpdir(), "package-check-"));
const predictions = join(work, "predictions.jsonl");
writeFileSync(predictions, rows.map(row => JSON.stringify({predicted_sql: "", ...row}) + "\n").join(""));
const verdicts = json(join(run, "gates.json"));
const compared = json(join(folder, "compared.json"));
for (const {gate, candidate} of gates) {
    const words = candidate.command.slice(1).filter((word, at, all) => !/^--\w*-?out$/.test(word) && !/^--\w*-?out$/.test(all[at - 1] ?? ""));
    const out = join(work, `${gate.name}.jsonl`);
    const command = words.map(word => word === answers.outputs.main ? predictions : word);
    execFileSync(process.env.FACTORY, [...command, "--out", out], {stdio: ["ignore", "ignore", "inherit"]});
    const verdict = verdicts.find(verdict => verdict.name === gate.name);
    const kept = lines(out).filter(row => Object.entries(gate.where ?? {}).every(([field, text]) => rows[row.index][field] === text));
    const column = COLUMNS[`${verdict.mode} ${verdict.metric}`];
    if (!column) throw new Error(`gate ${gate.name}: where ${verdict.metric} of ${verdict.mode} stands is not known here`);
    const passed = kept.filter(row => row[column] === true).length;
    const here = compared.gates.find(other => other.name === gate.name);
    console.log(JSON.stringify({gate: gate.name, n: kept.length, run: verdict.value, here: here.value, here_same: here.same_answers, llama_cpp: passed / kept.length}));
}
process.exit(kind === "f16" && sameFirst < first ? 1 : 0);
