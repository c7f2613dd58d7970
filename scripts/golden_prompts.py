"""The prompts of scripts/goldens.py: for SmolLM2, SQL with schemas, prose, code, numbers, Unicode, chat markers."""

TINY_PROMPTS = ["select", "id > 42", "<|im_start|>é = 'ß'\n"]

ASK = "You write SQLite. Answer with one SELECT statement.\n"
SHOP = "Schema: customers(id, name, city); orders(id, customer_id, total, placed_on); items(order_id, sku, quantity).\n"

PROMPTS = [
    ASK + SHOP + "Question: Which customers live in Oslo?\n",
    ASK + SHOP + "Question: What is the total of all orders placed after 2023-06-30, by city?\nSQL:",
    ASK + "Schema: flights(no, origin, dest, minutes).\nQuestion: Name the ten longest flights out of 'LHR'.\nselect",
    "CREATE TABLE plants (\n  id INTEGER PRIMARY KEY,\n  species TEXT NOT NULL,\n  height_cm REAL\n);\n\nINSERT INTO plants VALUES",
    "SELECT city, COUNT(*) AS n FROM customers GROUP BY city HAVING n >= 3 ORDER BY n",
    "The capital of France is",
    "Once upon a time, in a village between two rivers, there lived a clockmaker who",
    "Water boils at a lower temperature on a mountain because",
    "def fibonacci(n):\n    \"\"\"Return the n-th Fibonacci number.\"\"\"\n    if n < 2:\n        return n\n",
    "fn main() {\n    let xs = vec![1, 2, 3];\n    let total: i32 = xs.iter()",
    "#include <stdio.h>\n\nint main(void) {\n\tprintf(\"%d\\n\", 6 * 7);\n\treturn",
    "1, 1, 2, 3, 5, 8, 13, 21, 34,",
    "Prices: 1200.50  99  7,000\n\n2024 budget:  15% of 88000 is",  # digits after two spaces or newlines split differently
    "3.14159265358979 is an approximation of",
    "Der Zug nach München fährt um 8:45 Uhr ab. Größe und Straße schreibt man",
    "El niño comió una manzana y después",
    "東京は日本の首都です。人口は",
    "Café ☕, naïve, Ωmega, 😀🚀 — “quotes” and a\u00a0hard space:",
    "<|im_start|>user\nList three colours.<|im_end|>\n<|im_start|>assistant\n",
    "A",
]
