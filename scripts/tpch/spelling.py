"""Writes a Query as the SQL of an engine. Only dates, years and parts of texts are spelled differently."""
import re

ENGINES = ("sqlite", "duckdb", "postgres")

# The beginnings of columns, which say whose they are.
TABLES = {"r": "region", "n": "nation", "s": "supplier", "c": "customer", "p": "part", "ps": "partsupp", "o": "orders", "l": "lineitem",
          "e": "earned"}


def sql(query, engine):
    """The query on one line."""
    text = spelled(query)
    text = re.sub(r"<<(.*?)\|\|.*?>>", r"\1", text)
    text = re.sub(r"\$(\w+)(?:\.(\w+))?", lambda found: constant(query.values[found[1]][0], found[2]), text)
    text = re.sub(r"\{(\w+) ([^{}]*)\}", lambda found: MACROS[found[1]](found[2].split(), engine), text)
    return text


def constant(value, part):
    return value[part] if part else value


def spelled(query):
    where = [*query.where] if query.explicit else [*query.joins, *query.where]
    text = f"select {'distinct ' if query.distinct else ''}{', '.join(query.select)} from "
    text += joined(query) if query.explicit else ", ".join(query.tables)
    for word, parts, between in [("where", where, " and "), ("group by", query.group, ", "), ("having", query.having, " and "),
                                 ("order by", query.order, ", ")]:
        if parts:
            text += f" {word} {between.join(parts)}"
    if query.limit is not None:
        text += f" limit {query.limit}"
    if query.common:
        text = "with " + ", ".join(f"{name} as ({inner})" for name, inner in query.common) + " " + text
    return {"": text, "with": f"with answer as ({text}) select * from answer", "from": f"select * from ({text}) as answer"}[query.wrap]


def joined(query):
    """The tables by JOIN … ON, each joined to those before it."""
    names, waiting, joins = {name_of(query.tables[0])}, list(query.tables[1:]), list(query.joins)
    text = query.tables[0]
    while waiting:
        def ready(table):
            return [join for join in joins if names_in(join, query) <= names | {name_of(table)}]

        table = next(table for table in waiting if ready(table))
        text += f" join {table} on {' and '.join(ready(table))}"
        waiting.remove(table)
        names.add(name_of(table))
        joins = [join for join in joins if not names_in(join, query) <= names]
    return text


def name_of(table):
    return table.split()[-1]


def names_in(predicate, query):
    """The names of the tables whose columns a join compares."""
    found = set()
    for alias, prefix in re.findall(r"(?:(\w+)\.)?\b(ps|[rnscpole])_\w+", predicate):
        found.add(alias or TABLES[prefix])
    if not found <= {name_of(table) for table in query.tables}:
        raise ValueError(f"{query.name}: {predicate}: a table that is not there")
    return found


def date(words, engine):
    """`1998-12-01`, or `1998-12-01 - 90 day`."""
    day, *moved = words
    if not moved:
        return f"'{day}'" if engine == "sqlite" else f"date '{day}'"
    sign, count, unit = moved
    return {
        "sqlite": f"date('{day}', '{sign}{count} {unit}')",
        "duckdb": f"date '{day}' {sign} interval {count} {unit}",
        "postgres": f"date '{day}' {sign} interval '{count} {unit}'",
    }[engine]


def year(words, engine):
    [column] = words
    return f"cast(strftime('%Y', {column}) as integer)" if engine == "sqlite" else f"extract(year from {column})"


def substr(words, engine):
    column, start, length = words
    return {
        "sqlite": f"substr({column}, {start}, {length})",
        "duckdb": f"{column}[{start}:{int(start) + int(length) - 1}]",
        "postgres": f"substring({column} from {start} for {length})",
    }[engine]


MACROS = {"date": date, "year": year, "substr": substr}
