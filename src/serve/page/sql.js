// The query: painted while it is typed.

const KEYWORDS = new Set(("abort all and as asc begin between by case cast collate commit count create cross current_date current_time current_timestamp " +
  "delete desc distinct drop else end escape except exists explain false filter first following from full glob group having in index indexed inner insert " +
  "intersect into is isnull join last left like limit match natural not notnull null nulls offset on or order outer over partition pragma preceding range " +
  "recursive regexp replace right row rows select set table then true unbounded union unique update using values view when where window with").split(" "));

const TOKEN = /(?<comment>--[^\n]*|\/\*[\s\S]*?(?:\*\/|$))|(?<string>'(?:[^']|'')*'?)|(?<name>"(?:[^"]|"")*"?|`[^`]*`?|\[[^\]]*\]?)|(?<number>\b\d+(?:\.\d+)?(?:e[+-]?\d+)?\b)|(?<word>[\p{L}_][\p{L}\p{N}_$]*)/giu;

/** Replaces the content of `element` by `text`, its parts in spans. */
export function paint(element, text) {
  const parts = [];
  let at = 0;
  for (const found of text.matchAll(TOKEN)) {
    const { comment, string, number, word } = found.groups;
    const kind = comment ? "comment" : string ? "string" : number ? "number" : word && KEYWORDS.has(word.toLowerCase()) ? "keyword" : null;
    parts.push(text.slice(at, found.index));
    const span = document.createElement("span");
    span.textContent = found[0];
    if (kind) span.className = kind;
    parts.push(span);
    at = found.index + found[0].length;
  }
  // A last line that is empty takes room too.
  parts.push(text.slice(at) + "\n");
  element.replaceChildren(...parts);
}
