// The official TypeScript client against `factory mcp serve`, over standard input and output. scripts/mcp_clients.sh installs what it needs.
//     node mcp_clients.mjs BINARY DATABASE
import assert from "node:assert/strict";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";

const [binary, database] = process.argv.slice(2);
const client = new Client({ name: "check", version: "1" });
const args = ["mcp", "serve", "--db", database];
await client.connect(new StdioClientTransport({ command: binary, args, stderr: "ignore" }));
assert.equal(client.getServerVersion().name, "factory");

const { tools } = await client.listTools();
assert(tools.every((tool) => tool.annotations.readOnlyHint && tool.inputSchema.additionalProperties === false));

const execute = (sql) => client.callTool({ name: "sql_execution", arguments: { connectionId: "default", sql } });
const rows = await execute("SELECT id, name FROM buyers ORDER BY id");
assert.deepEqual(rows.structuredContent.rows, [[1, "Ada"], [2, null]]);
const refused = await execute("/* SELECT */ DROP TABLE buyers");
assert(refused.isError && refused.content[0].text.includes("refused"));

// A caller who leaves ends the query; the next one is answered.
const leaves = new AbortController();
const endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
const left = client.callTool(
  { name: "sql_execution", arguments: { connectionId: "default", sql: endless } },
  undefined,
  { signal: leaves.signal },
);
leaves.abort("enough");
await assert.rejects(left);
assert.deepEqual((await execute("SELECT 1")).structuredContent.rows, [[1]]);
await client.close();
console.log("the SDK for TypeScript: lists, calls, cancels");
