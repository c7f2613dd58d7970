"""The official Python client against `factory mcp serve`, over standard input and output and over HTTP.

    python scripts/mcp_clients.py BINARY DATABASE

scripts/mcp_clients.sh installs what it needs."""

import asyncio
import json
import os
import subprocess
import sys
from importlib.metadata import version

from mcp import Client, MCPError, StdioServerParameters
from mcp.client.stdio import stdio_client


async def check(server):
    async with Client(server) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert {"connection_list", "sql_execution", "execute_query"} <= set(tools), sorted(tools)
        assert all(tool.annotations.read_only_hint and tool.annotations.idempotent_hint for tool in tools.values())

        async def execute(sql):
            return await client.call_tool("sql_execution", {"connectionId": "default", "sql": sql})

        rows = await execute("SELECT id, name FROM buyers ORDER BY id")
        assert not rows.is_error, rows
        assert rows.structured_content["rows"] == [[1, "Ada"], [2, None]], rows
        assert json.loads(rows.content[0].text) == rows.structured_content
        refused = await execute("COMMIT; DROP TABLE buyers")
        assert refused.is_error and "refused" in refused.content[0].text, refused

        many = await asyncio.gather(*(execute(f"SELECT {number}") for number in range(20)))
        assert [one.structured_content["rows"] for one in many] == [[[number]] for number in range(20)]
        try:
            await client.call_tool("drop_table", {})
        except MCPError as error:
            assert "no tool is called" in str(error), error
        else:
            raise AssertionError("a tool that is not there was called")


def main():
    binary, database = sys.argv[1:]
    parameters = StdioServerParameters(command=binary, args=["mcp", "serve", "--db", database])
    with open(os.devnull, "w") as log:
        asyncio.run(check(stdio_client(parameters, errlog=log)))
    process = subprocess.Popen([binary, "mcp", "serve", "--db", database, "--http", "0"], stderr=subprocess.PIPE, text=True)
    try:
        address = json.loads(process.stderr.readline())["text"]
        asyncio.run(check(address))
    finally:
        process.terminate()
        process.wait()
    print(f"mcp {version('mcp')} for Python: over stdio and HTTP as it expects")


main()
