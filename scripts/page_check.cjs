// What the page at / does in a browser: scripts/page_check.sh runs it.
const assert = require("node:assert/strict");
const { execFileSync, spawn } = require("node:child_process");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const { chromium } = require("playwright-core");

const [binary, pictures] = process.argv.slice(2);
const base = path.join(__dirname, "../tests/goldens/tiny-llama");
const folder = fs.mkdtempSync(path.join(os.tmpdir(), "page-"));
const QUERY = "select id, name from buyers;";
const SCRIPT = `CREATE TABLE buyers (id INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE "<img src=x onerror=alert(1)>" (a);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60)
INSERT INTO buyers SELECT i, CASE i WHEN 1 THEN 'Ada, "the first"' WHEN 2 THEN NULL ELSE 'buyer ' || i END FROM n;`;

/** An adapter that always says one query. */
function parrot() {
  const row = (i) => JSON.stringify({ prompt: `Answer. Schema: buyers(id, name). Question: Who is number ${i}?`, response: QUERY });
  const [data, out] = ["rows.jsonl", "parrot"].map((name) => path.join(folder, name));
  fs.writeFileSync(data, Array.from({ length: 8 }, (_, i) => row(i) + "\n").join(""));
  const flags = "--device cpu --rank 8 --lr 0.02 --steps 250 --batch 4".split(" ");
  execFileSync(binary, ["sft", "--base", base, "--data", data, "--out", out, ...flags], { stdio: "pipe" });
  return out;
}

const children = [];
process.on("exit", () => children.forEach((child) => child.kill()));

/** A server and its address; it ends with this program at the latest. */
function serve(lora, ...flags) {
  const command = ["serve", "--port", "0", "--device", "cpu", "--base", base, "--lora", lora, "--max-tokens", "40", ...flags];
  const child = spawn(binary, command, { stdio: ["ignore", "ignore", "pipe"] });
  children.push(child);
  return new Promise((resolve, reject) => {
    let told = "";
    child.stderr.on("data", (bytes) => {
      told += bytes;
      const found = / at (http:\S+)\n/.exec(told);
      if (found) resolve({ child, address: found[1] });
    });
    child.on("exit", () => reject(new Error(told)));
  });
}

async function main() {
  const lora = parrot();
  const { child, address } = await serve(lora);
  const args = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args });
  try {
    for (const [width, height, colorScheme] of [[1400, 900, "light"], [390, 844, "dark"]]) {
      await visit(browser, address, { viewport: { width, height }, colorScheme });
    }
    await unlocks(browser, lora);
  } finally {
    await browser.close();
    child.kill();
    fs.rmSync(folder, { recursive: true });
  }
}

/** One who has never been here. */
async function open(browser, address, options) {
  const context = await browser.newContext({ permissions: ["clipboard-read", "clipboard-write"], acceptDownloads: true, ...options });
  const page = await context.newPage();
  const faults = [];
  page.on("pageerror", (error) => faults.push(String(error)));
  page.on("console", (line) => line.type() === "error" && faults.push(line.text()));
  page.on("request", (request) => /^(data|blob):/.test(request.url()) || request.url().startsWith(address) || faults.push(request.url()));
  page.on("dialog", () => faults.push("a dialog"));
  await page.goto(address);
  return { page, faults };
}

async function visit(browser, address, options) {
  const { page, faults } = await open(browser, address, options);
  try {
    await use(page, faults, options);
  } catch (error) {
    throw new Error(`the page says: ${await page.locator("body").innerText()}`, { cause: error });
  } finally {
    await page.context().close();
  }
}

/** All that somebody does here. */
async function use(page, faults, options) {
  const text = (id) => page.locator(`#${id}`).innerText();
  const status = (wanted) => page.waitForFunction((wanted) => document.getElementById("status").textContent === wanted, wanted);
  const fits = async () => assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "it is as wide as the window");
  const keep = async (name) => pictures && (await page.screenshot({ path: path.join(pictures, `${name}-${options.viewport.width}.png`), fullPage: true }));
  await status("");
  assert.deepEqual(await page.locator("#model option").allInnerTexts(), ["parrot", "tiny-llama"]);
  await keep("empty");

  // Without a database nothing is asked, and what is none is refused.
  await page.keyboard.press("/");
  await page.keyboard.type("Who is number 3?");
  await page.keyboard.press("Enter");
  await status("Bring a database first.");
  await page.setInputFiles("#file", { name: "noise.db", mimeType: "", buffer: Buffer.from([255, 0, 1, 2]) });
  await page.waitForFunction(() => document.getElementById("status").textContent.startsWith("this database cannot be asked"));

  // A file that is chosen, a question, its rows.
  await page.setInputFiles("#file", { name: "shop.sql", mimeType: "", buffer: Buffer.from(SCRIPT) });
  await page.waitForSelector("#open:not([hidden])");
  assert.equal(await text("name"), "shop.sql");
  assert.equal(await text("count"), "2 tables");
  await page.click("#schema summary");
  assert.ok((await text("tables")).includes("<img src=x onerror=alert(1)>"), "names are texts");
  await keep("schema");
  // The model is shown the other alone; nothing is no choice.
  for (const nth of [0, 1]) await page.locator("#tables input").nth(nth).uncheck();
  await page.fill("#question", "Who?");
  await page.click("#send");
  await status("Tick one table at least.");
  await page.locator("#tables input").nth(0).check();
  await page.click("#schema summary");
  await page.focus("#question");
  await page.keyboard.press("Control+a");
  await page.keyboard.type("Who is number 3?");
  await page.keyboard.press("Enter");
  await page.waitForSelector("#result:not([hidden])");
  await status("Sure. 60 rows.");
  assert.equal(await page.inputValue("#sql"), QUERY);
  assert.equal((await page.locator("#painted").innerText()).trim(), QUERY);
  assert.deepEqual(await page.locator("#painted .keyword").allInnerTexts(), ["select", "from"]);
  assert.equal(await text("badge"), "Sure");
  assert.equal(await text("confidence"), "8 of 8 answers agree");
  assert.equal(await text("route"), "Answered by parrot.");
  assert.equal(await text("shown"), "1 to 25 of 60");
  assert.deepEqual(await page.locator("#result tbody tr:nth-child(2) td").allInnerTexts(), ["2", "NULL"]);
  await fits();
  await keep("answer");

  // Pages, by button and by key.
  await page.click("#next");
  await page.locator("#result .table").press("PageDown");
  assert.equal(await text("shown"), "51 to 60 of 60");
  assert.ok(await page.locator("#next").isDisabled());
  const [download] = await Promise.all([page.waitForEvent("download"), page.click("#csv")]);
  const csv = fs.readFileSync(await download.path(), "utf8").split("\r\n");
  assert.deepEqual([csv.length, csv[0], csv[1], csv[2]], [62, "id,name", '1,"Ada, ""the first"""', "2,"]);
  await page.click("#copy-rows");
  await status("Copied.");
  assert.ok((await page.evaluate(() => navigator.clipboard.readText())).includes("3\tbuyer 3"));

  // A query that is changed, run by keys, wrong, and right again.
  await page.fill("#sql", "select count(*) as n from buyers -- all");
  assert.deepEqual(await page.locator("#painted .comment").allInnerTexts(), ["-- all"]);
  await page.keyboard.press("Control+Enter");
  await page.waitForSelector("th:text-is('n')");
  assert.deepEqual(await page.locator("#result td").allInnerTexts(), ["60"]);
  assert.equal(await text("route"), "Edited by you.");
  await page.fill("#sql", "drop table buyers");
  await page.click("#run");
  await page.waitForSelector("#error:not([hidden])");
  assert.ok(await page.locator("#result").isHidden());
  await keep("fault");
  await page.fill("#sql", "select 1 where 0");
  await page.click("#run");
  await page.waitForSelector("#result:not([hidden])");
  assert.equal(await text("shown"), "no rows");
  // An integer that no number of JavaScript holds.
  await page.fill("#sql", "select 9007199254740993 as n");
  await page.click("#run");
  await page.waitForSelector("td:text-is('9007199254740993')");

  // What takes long is stopped by Esc.
  await page.fill("#sql", "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n");
  await page.keyboard.press("Control+Enter");
  await status("Running");
  await page.keyboard.press("Escape");
  await status("Stopped.");

  // History stays, in this browser alone.
  await page.reload();
  await status("");
  assert.equal(await page.locator("#entries button").count(), 1);
  await page.focus("#question");
  await page.keyboard.type("half a quest");
  await page.keyboard.press("ArrowUp");
  assert.equal(await page.inputValue("#question"), "Who is number 3?");
  await page.keyboard.press("ArrowDown");
  assert.equal(await page.inputValue("#question"), "half a quest");

  // Pasted tables; a file that is dropped takes their place.
  await page.click("#paste");
  await page.keyboard.type("CREATE TABLE buyers (id INT, name TEXT);");
  await page.click("#ddl-form button");
  await page.waitForSelector("#open:not([hidden])");
  assert.equal(await text("name"), "pasted tables");
  const dropped = await page.evaluateHandle((script) => {
    const transfer = new DataTransfer();
    transfer.items.add(new File([script], "dropped.sql"));
    return transfer;
  }, SCRIPT);
  await page.dispatchEvent("body", "drop", { dataTransfer: dropped });
  await page.waitForFunction(() => document.getElementById("name").textContent === "dropped.sql");
  await fits();
  await page.click("#forget");
  assert.ok(await page.locator("#history").isHidden());
  // A browser tells of refused requests; those are this server's own.
  assert.deepEqual(faults.filter((fault) => !/status of 400/.test(fault)), []);
}

/** A server that wants a key asks for it. */
async function unlocks(browser, lora) {
  const keys = path.join(folder, "keys");
  fs.writeFileSync(keys, "secret\n", { mode: 0o600 });
  const { child, address } = await serve(lora, "--api-keys", keys);
  const { page } = await open(browser, address, {});
  await page.fill("#key", "wrong");
  await page.keyboard.press("Enter");
  await page.fill("#key", "secret");
  await page.keyboard.press("Enter");
  await page.waitForSelector("#model option", { state: "attached" });
  assert.ok(await page.locator("#unlock").isHidden());
  child.kill();
}

main().then(() => console.log("the page: ok"), (error) => {
  console.error(error);
  process.exit(1);
});
