"""Pairs of queries: a question of TPC-H with constants and changes of chance, and an answer to it that is another spelling of the
same or means something else, in every engine alike."""
import random
import re
from dataclasses import replace

from tpch.queries import QUERIES
from tpch.spelling import sql

# Predicates that a query can have more.
MORE = {
    "lineitem": ["l_quantity < 25", "l_shipmode in ('AIR', 'RAIL', 'SHIP')", "l_tax > 0.02", "l_returnflag <> 'R'", "l_linenumber = 1"],
    "orders": ["o_orderpriority = '1-URGENT'", "o_totalprice > 150000", "o_orderstatus <> 'P'", "o_orderdate >= {date 1994-06-17}"],
    "customer": ["c_mktsegment = 'BUILDING'", "c_acctbal between 0 and 5000", "c_comment like '%foxes%'"],
    "part": ["p_size <= 25", "p_retailprice < 1200.50", "p_mfgr in ('Manufacturer#1', 'Manufacturer#3')"],
    "supplier": ["s_acctbal > 0", "s_phone not like '1%'"],
    "partsupp": ["ps_availqty > 5000", "ps_supplycost < 500.25"],
    "nation": ["n_regionkey < 3", "n_name <> 'FRANCE'"],
}
OTHERS = {"<=": "< >", ">=": "> <", "<": "<= >", ">": ">= <", "=": "<>", "<>": "="}
COMPARISON = re.compile(r" (<=|>=|<>|<|>|=) ")
AGGREGATE = re.compile(r"^(sum|avg|min|max|count)\((?!distinct)")


def changed(parts, at, part):
    return (*parts[:at], part, *parts[at + 1:])


def without(parts, at):
    return (*parts[:at], *parts[at + 1:])


def some(rng, parts, fits=lambda part: True):
    """A place of chance among the parts that fit; None where none does."""
    return rng.choice([at for at, part in enumerate(parts) if fits(part)] or [None])


def settled(part):
    """The spelling that holds, alone."""
    return re.sub(r"<<(.*?)\|\|.*?>>", r"\1", part)


def outcome(item):
    """What a column of a result is called."""
    return item.rsplit(" as ", 1)[-1]


def without_keys(query, names):
    return tuple(key for key in query.order if key.split()[0] not in names)


# What follows changes what a query means; None where it has nothing of the kind.

def constant(query, rng):
    names = [name for name, values in query.values.items() if len(values) > 1]
    if not names:
        return None
    name = rng.choice(names)
    held, *others = query.values[name]
    new = rng.choice(others)
    return replace(query, values={**query.values, name: [new, *(value for value in [held, *others] if value != new)]})


def comparison(query, rng):
    def found(part):
        # Of the query itself: inside another it may join tables.
        return COMPARISON.search(settled(part).split("select")[0])

    at = some(rng, query.where, found)
    if at is None:
        return None
    part, place = settled(query.where[at]), found(query.where[at])
    other = rng.choice(OTHERS[place[1]].split())
    return replace(query, where=changed(query.where, at, f"{part[:place.start()]} {other} {part[place.end():]}"))


def negation(query, rng):
    def other(part):
        part = settled(part)
        for old, new in [("not exists", "exists"), ("exists", "not exists"), (" not like ", " like "), (" like ", " not like ")]:
            if old in part:
                return part.replace(old, new, 1)
        return None

    at = some(rng, query.where, other)
    return None if at is None else replace(query, where=changed(query.where, at, other(query.where[at])))


def predicate_dropped(query, rng):
    at = some(rng, query.where)
    return None if at is None else replace(query, where=without(query.where, at))


def predicate_added(query, rng):
    more = [predicate for table in query.tables for predicate in MORE.get(table, []) if predicate not in query.where]
    return replace(query, where=(*query.where, rng.choice(more))) if more else None


def aggregate(query, rng):
    at = some(rng, query.select, lambda item: AGGREGATE.search(settled(item)))
    if at is None:
        return None
    item = settled(query.select[at])
    if item.startswith("count(*)"):
        keys = [key for table, key in [("lineitem", "l_suppkey"), ("orders", "o_custkey"), ("customer", "c_nationkey")] if table in query.tables]
        if not keys:
            return None
        return replace(query, select=changed(query.select, at, item.replace("count(*)", f"count(distinct {rng.choice(keys)})")))
    found = AGGREGATE.search(item)
    new = rng.choice([name for name in ("sum", "avg", "min", "max", "count") if name != found[1]])
    return replace(query, select=changed(query.select, at, new + item[found.end(1):]))


def column_dropped(query, rng):
    keys = {key.split()[0] for key in query.order} if query.limit is not None else set()
    at = some(rng, query.select, lambda item: outcome(item) not in keys) if len(query.select) > 1 else None
    if at is None:
        return None
    return replace(query, select=without(query.select, at), order=without_keys(query, {outcome(query.select[at])}))


def columns_swapped(query, rng):
    if len(query.select) < 2:
        return None
    at = rng.randrange(len(query.select) - 1)
    first, second = query.select[at:at + 2]
    return replace(query, select=(*query.select[:at], second, first, *query.select[at + 2:]))


def group_dropped(query, rng):
    keys = [item for item in query.select if item.rsplit(" as ", 1)[0] in query.group]
    if len(query.group) < 2 or not keys or query.limit is not None or len(query.select) < 2:
        return None
    item = rng.choice(keys)
    return replace(query, select=tuple(other for other in query.select if other != item), order=without_keys(query, {outcome(item)}),
                   group=tuple(key for key in query.group if key != item.rsplit(" as ", 1)[0]))


def order_reversed(query, rng):
    if not query.order:
        return None
    return replace(query, order=tuple(key[:-5] if key.endswith(" desc") else f"{key} desc" for key in query.order))


def limit_changed(query, rng):
    # Without its whole order it would be left to the engine which rows it keeps.
    whole = next(other for other in QUERIES if other.name == query.name)
    if not query.order or len(query.order) < len(whole.order):
        return None
    return replace(query, limit=rng.choice([n for n in (1, 3, 5, 20) if n != query.limit]))


def distinct(query, rng):
    return None if query.distinct else replace(query, distinct=True)


def misspelt(query, rng):
    """No such column: it fails."""
    at = rng.randrange(len(query.select))
    item = settled(query.select[at])
    columns = [*re.finditer(r"\b[a-z]+_[a-z]+\b", item.rsplit(" as ", 1)[0])]
    if not columns:
        return None
    column = rng.choice(columns)
    return replace(query, select=changed(query.select, at, f"{item[:column.start()]}{column[0]}_no{item[column.end():]}"))


# What follows spells the same in another way.

def tables_shuffled(query, rng):
    return replace(query, tables=tuple(rng.sample(query.tables, len(query.tables)))) if len(query.tables) > 1 else None


def joins_explicit(query, rng):
    return replace(query, explicit=not query.explicit) if query.joins else None


def predicates_shuffled(query, rng):
    if len(query.where) < 2:
        return None
    return replace(query, where=tuple(rng.sample(query.where, len(query.where))), joins=tuple(rng.sample(query.joins, len(query.joins))))


def joins_commuted(query, rng):
    at = some(rng, query.joins)
    if at is None:
        return None
    left, right = query.joins[at].split(" = ")
    return replace(query, joins=changed(query.joins, at, f"{right} = {left}"))


def between_as_comparisons(query, rng):
    pattern = re.compile(r"^(\w+) between (\S+|\{[^{}]*\}) and (\S+|\{[^{}]*\})$")
    at = some(rng, query.where, pattern.search)
    if at is None:
        return None
    return replace(query, where=changed(query.where, at, pattern.sub(r"\1 >= \2 and \1 <= \3", query.where[at])))


def in_as_or(query, rng):
    pattern = re.compile(r"^(\w+) in \(('[^()]*')\)$")
    at = some(rng, query.where, pattern.search)
    if at is None:
        return None
    column, values = pattern.search(query.where[at]).groups()
    either = " or ".join(f"{column} = {value}" for value in values.split(", "))
    return replace(query, where=changed(query.where, at, f"({either})"))


def factors_commuted(query, rng):
    old, new = rng.choice([
        ("l_extendedprice * (1 - l_discount)", "(1 - l_discount) * l_extendedprice"),
        ("l_extendedprice * (1 - l_discount)", "(l_extendedprice - l_extendedprice * l_discount)"),
        ("ps_supplycost * ps_availqty", "ps_availqty * ps_supplycost"), ("l_extendedprice * l_discount", "l_discount * l_extendedprice")])
    at = some(rng, query.select, lambda item: old in item)
    return None if at is None else replace(query, select=changed(query.select, at, query.select[at].replace(old, new)))


def other_spelling(query, rng):
    spots = [(name, at) for name in ("select", "where") for at, part in enumerate(getattr(query, name)) if part.startswith("<<")]
    if not spots:
        return None
    name, at = rng.choice(spots)
    parts = getattr(query, name)
    return replace(query, **{name: changed(parts, at, re.sub(r"<<(.*?)\|\|(.*?)>>", r"<<\2||\1>>", parts[at]))})


def counted_otherwise(query, rng):
    at = some(rng, query.select, lambda item: item.startswith("count(*)"))
    keys = [key for table, key in [("lineitem", "l_orderkey"), ("orders", "o_orderkey"), ("customer", "c_custkey")] if table in query.tables]
    new = rng.choice(["sum(1)", *(f"count({key})" for key in keys)])
    return None if at is None else replace(query, select=changed(query.select, at, query.select[at].replace("count(*)", new)))


def wrapped(query, rng):
    return None if query.wrap else replace(query, wrap=rng.choice(["with", "from"]))


def order_dropped(query, rng):
    return replace(query, order=()) if query.order and query.limit is None else None


def true_added(query, rng):
    return replace(query, where=(*query.where, rng.choice(["1 = 1", "not 1 = 2"]))) if query.where else None


OTHER_MEANING = [constant, comparison, negation, predicate_dropped, predicate_added, aggregate, column_dropped, columns_swapped, group_dropped,
                 order_reversed, limit_changed, distinct]
SAME_MEANING = [tables_shuffled, joins_explicit, predicates_shuffled, joins_commuted, between_as_comparisons, in_as_or, factors_commuted,
                other_spelling, counted_otherwise, wrapped, order_dropped, true_added]


def mutate(query, rng, mutators, count):
    """The query with up to `count` changes, as far as any fits, and what they were."""
    done = []
    for _ in range(count):
        for mutator in rng.sample(mutators, len(mutators)):
            new = mutator(query, rng)
            if new is not None:
                query = new
                done.append(mutator.__name__)
                break
    return query, done


def asked(base, rng):
    """A question: the query with constants of chance, mostly changed."""
    values = {name: rng.sample(values, len(values)) for name, values in base.values.items()}
    return mutate(replace(base, values=values), rng, OTHER_MEANING, rng.choice([0, 1, 1, 2, 2]))[0]


def answered(gold, rng):
    """An answer: as often right as not."""
    if rng.random() < 0.5:
        return mutate(gold, rng, SAME_MEANING, rng.choice([0, 1, 1, 2, 3]))
    query, same = mutate(gold, rng, SAME_MEANING, rng.choice([0, 0, 1]))
    failing = misspelt(query, rng) if rng.random() < 0.05 else None
    if failing:
        return failing, [*same, misspelt.__name__]
    query, other = mutate(query, rng, OTHER_MEANING, rng.choice([1, 1, 1, 2]))
    return query, same + other


def pairs(count, seed):
    """`count` different pairs, the questions by turns: id, question, the reference, the answer, and what was done to it."""
    rng = random.Random(seed)
    made, known = [], set()
    while len(made) < count:
        base = QUERIES[len(made) % len(QUERIES)]
        gold = asked(base, rng)
        predicted, changes = answered(gold, rng)
        texts = (sql(gold, "postgres"), sql(predicted, "postgres"))
        if texts not in known:
            known.add(texts)
            made.append(dict(id=f"{base.name}-{len(made):04}", question=base.question, gold=gold, predicted=predicted, changes=changes))
    return made
