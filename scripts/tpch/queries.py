"""The 22 questions of TPC-H as data that scripts/tpch/mutants.py changes and scripts/tpch/spelling.py writes for an engine.

In a piece of text `$name` is a constant of `values` (`$name.part` where its values have parts); `{date …}`, `{year …}` and
`{substr …}` are what engines spell differently; `<<a||b>>` are two spellings of the same. Orders are total, so that LIMIT cuts
the same rows off on every engine: a key is added where the specification leaves ties open.
"""
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Query:
    name: str
    question: str
    select: tuple
    tables: tuple
    joins: tuple = ()
    where: tuple = ()
    group: tuple = ()
    having: tuple = ()
    order: tuple = ()
    limit: int | None = None
    common: tuple = ()  # (name, text) of common tables
    values: dict = field(default_factory=dict)  # each constant's values; the first is the one that holds
    distinct: bool = False
    explicit: bool = False  # JOIN … ON in place of commas
    wrap: str = ""  # "with" or "from": the whole query in another


REVENUE = "l_extendedprice * (1 - l_discount)"
COLORS = ["green", "almond", "navy", "rose", "salmon", "steel", "ivory"]
NATIONS = ["GERMANY", "FRANCE", "JAPAN", "KENYA", "BRAZIL", "CANADA", "SAUDI ARABIA", "CHINA"]
REGIONS = ["ASIA", "EUROPE", "AMERICA", "AFRICA"]
STARTS = ["1993-07-01", "1994-01-01", "1994-10-01", "1995-04-01", "1996-01-01"]
YEARS = ["1994-01-01", "1993-01-01", "1995-01-01", "1996-01-01"]

QUERIES = [
    Query(
        "q01", "What was billed, discounted and taxed of what had been shipped, by return flag and line status?",
        select=("l_returnflag", "l_linestatus", "sum(l_quantity) as quantity", "sum(l_extendedprice) as base_price",
                f"sum({REVENUE}) as discounted", f"sum({REVENUE} * (1 + l_tax)) as charged",
                "<<avg(l_quantity)||sum(l_quantity) / count(l_quantity)>> as mean_quantity",
                "<<avg(l_extendedprice)||sum(l_extendedprice) / count(*)>> as mean_price", "avg(l_discount) as mean_discount",
                "count(*) as positions"),
        tables=("lineitem",),
        where=("l_shipdate <= {date 1998-12-01 - $days day}",),
        group=("l_returnflag", "l_linestatus"), order=("l_returnflag", "l_linestatus"),
        values={"days": ["90", "60", "75", "120", "800"]}),
    Query(
        "q02", "Which suppliers of a region sell parts of a size and kind at the lowest cost there?",
        select=("s_acctbal", "s_name", "n_name", "p_partkey", "p_mfgr", "s_address", "s_phone", "s_comment"),
        tables=("part", "supplier", "partsupp", "nation", "region"),
        joins=("p_partkey = ps_partkey", "s_suppkey = ps_suppkey", "s_nationkey = n_nationkey", "n_regionkey = r_regionkey"),
        where=("p_size = $size", "p_type like '%$metal'", "r_name = '$region'",
               "<<ps_supplycost = (select min(ps2.ps_supplycost) from partsupp ps2, supplier s2, nation n2, region r2 "
               "where ps2.ps_partkey = p_partkey and s2.s_suppkey = ps2.ps_suppkey and s2.s_nationkey = n2.n_nationkey "
               "and n2.n_regionkey = r2.r_regionkey and r2.r_name = '$region')"
               "||(ps_partkey, ps_supplycost) in (select ps2.ps_partkey, min(ps2.ps_supplycost) from partsupp ps2, supplier s2, "
               "nation n2, region r2 where s2.s_suppkey = ps2.ps_suppkey and s2.s_nationkey = n2.n_nationkey "
               "and n2.n_regionkey = r2.r_regionkey and r2.r_name = '$region' group by ps2.ps_partkey)>>"),
        order=("s_acctbal desc", "n_name", "s_name", "p_partkey"), limit=100,
        values={"size": ["15", "25", "37", "4", "48"], "metal": ["BRASS", "STEEL", "COPPER", "TIN"], "region": REGIONS}),
    Query(
        "q03", "Which ten orders that had not been shipped by a day are worth most?",
        select=("l_orderkey", f"sum({REVENUE}) as revenue", "o_orderdate", "o_shippriority"),
        tables=("customer", "orders", "lineitem"), joins=("c_custkey = o_custkey", "l_orderkey = o_orderkey"),
        where=("c_mktsegment = '$segment'", "o_orderdate < {date $day}", "l_shipdate > {date $day}"),
        group=("l_orderkey", "o_orderdate", "o_shippriority"), order=("revenue desc", "o_orderdate", "l_orderkey"), limit=10,
        values={"segment": ["BUILDING", "AUTOMOBILE", "MACHINERY"], "day": ["1995-03-15", "1995-03-05", "1995-03-28", "1995-04-30"]}),
    Query(
        "q04", "How many orders of a quarter had a position that came late, by priority?",
        select=("o_orderpriority", "count(*) as orders_late"),
        tables=("orders",),
        where=("o_orderdate >= {date $start}", "o_orderdate < {date $start + 3 month}",
               "<<exists (select 1 from lineitem where l_orderkey = o_orderkey and l_commitdate < l_receiptdate)"
               "||o_orderkey in (select l_orderkey from lineitem where l_commitdate < l_receiptdate)>>"),
        group=("o_orderpriority",), order=("o_orderpriority",), values={"start": STARTS}),
    Query(
        "q05", "What did suppliers of each nation of a region earn from customers of their own nation in a year?",
        select=("n_name", f"sum({REVENUE}) as revenue"),
        tables=("customer", "orders", "lineitem", "supplier", "nation", "region"),
        joins=("c_custkey = o_custkey", "l_orderkey = o_orderkey", "l_suppkey = s_suppkey", "c_nationkey = s_nationkey",
               "s_nationkey = n_nationkey", "n_regionkey = r_regionkey"),
        where=("r_name = '$region'", "o_orderdate >= {date $year}", "o_orderdate < {date $year + 1 year}"),
        group=("n_name",), order=("revenue desc", "n_name"), values={"region": REGIONS, "year": YEARS}),
    Query(
        "q06", "How much more would have been earned in a year without the small discounts on small quantities?",
        select=("sum(l_extendedprice * l_discount) as revenue",),
        tables=("lineitem",),
        where=("l_shipdate >= {date $year}", "l_shipdate < {date $year + 1 year}",
               "<<l_discount between $discount.low and $discount.high"
               "||l_discount between $discount.mean - 0.01 and $discount.mean + 0.01>>", "l_quantity < $quantity"),
        values={"year": YEARS, "quantity": ["24", "25", "30", "10"],
                "discount": [dict(low="0.05", mean="0.06", high="0.07"), dict(low="0.02", mean="0.03", high="0.04"),
                             dict(low="0.07", mean="0.08", high="0.09")]}),
    Query(
        "q07", "What was shipped between two nations, by direction and year?",
        select=("n1.n_name as seller", "n2.n_name as buyer", "{year l_shipdate} as shipped", f"sum({REVENUE}) as revenue"),
        tables=("supplier", "lineitem", "orders", "customer", "nation n1", "nation n2"),
        joins=("s_suppkey = l_suppkey", "o_orderkey = l_orderkey", "c_custkey = o_custkey", "s_nationkey = n1.n_nationkey",
               "c_nationkey = n2.n_nationkey"),
        where=("<<((n1.n_name = '$pair.a' and n2.n_name = '$pair.b') or (n1.n_name = '$pair.b' and n2.n_name = '$pair.a'))"
               "||n1.n_name in ('$pair.a', '$pair.b') and n2.n_name in ('$pair.a', '$pair.b') and n1.n_name <> n2.n_name>>",
               "l_shipdate between {date 1995-01-01} and {date $last}"),
        group=("n1.n_name", "n2.n_name", "{year l_shipdate}"), order=("seller", "buyer", "shipped"),
        values={"pair": [dict(a="FRANCE", b="GERMANY"), dict(a="JAPAN", b="INDIA"), dict(a="KENYA", b="PERU"), dict(a="CHINA", b="IRAN")],
                "last": ["1996-12-31", "1995-12-31", "1997-12-31"]}),
    Query(
        "q08", "What share of a region's market for a kind of part did a nation have, by year?",
        select=("{year o_orderdate} as ordered",
                f"<<sum(case when n2.n_name = '$nation' then {REVENUE} else 0 end) / sum({REVENUE})"
                f"||1 - sum(case when n2.n_name <> '$nation' then {REVENUE} else 0 end) / sum({REVENUE})>> as share"),
        tables=("part", "supplier", "lineitem", "orders", "customer", "nation n1", "nation n2", "region"),
        joins=("p_partkey = l_partkey", "s_suppkey = l_suppkey", "l_orderkey = o_orderkey", "o_custkey = c_custkey",
               "c_nationkey = n1.n_nationkey", "n1.n_regionkey = r_regionkey", "s_nationkey = n2.n_nationkey"),
        where=("r_name = '$region'", "o_orderdate between {date 1995-01-01} and {date 1996-12-31}", "p_type like '$type%'"),
        group=("{year o_orderdate}",), order=("ordered",),
        values={"nation": NATIONS, "region": REGIONS, "type": ["ECONOMY", "STANDARD POLISHED", "SMALL", "PROMO BURNISHED"]}),
    Query(
        "q09", "What was the profit on parts of a colour, by nation of the supplier and year?",
        select=("n_name", "{year o_orderdate} as ordered", f"sum({REVENUE} - ps_supplycost * l_quantity) as profit"),
        tables=("part", "supplier", "lineitem", "partsupp", "orders", "nation"),
        joins=("s_suppkey = l_suppkey", "ps_suppkey = l_suppkey", "ps_partkey = l_partkey", "p_partkey = l_partkey",
               "o_orderkey = l_orderkey", "s_nationkey = n_nationkey"),
        where=("p_name like '%$color%'",),
        group=("n_name", "{year o_orderdate}"), order=("n_name", "ordered desc"), values={"color": COLORS}),
    Query(
        "q10", "Which twenty customers sent back most of what they ordered in a quarter?",
        select=("c_custkey", "c_name", f"sum({REVENUE}) as revenue", "c_acctbal", "n_name", "c_address", "c_phone", "c_comment"),
        tables=("customer", "orders", "lineitem", "nation"),
        joins=("c_custkey = o_custkey", "l_orderkey = o_orderkey", "c_nationkey = n_nationkey"),
        where=("o_orderdate >= {date $start}", "o_orderdate < {date $start + 3 month}", "l_returnflag = 'R'"),
        group=("c_custkey", "c_name", "c_acctbal", "c_phone", "n_name", "c_address", "c_comment"),
        order=("revenue desc", "c_custkey"), limit=20, values={"start": ["1993-10-01", "1993-07-01", "1994-01-01", "1994-10-01"]}),
    Query(
        "q11", "Which parts make up a large share of what a nation's suppliers have in stock?",
        select=("ps_partkey", "sum(ps_supplycost * ps_availqty) as stock"),
        tables=("partsupp", "supplier", "nation"), joins=("ps_suppkey = s_suppkey", "s_nationkey = n_nationkey"),
        where=("n_name = '$nation'",), group=("ps_partkey",),
        having=("sum(ps_supplycost * ps_availqty) > (select sum(p2.ps_supplycost * p2.ps_availqty) * $share from partsupp p2, supplier s2, "
                "nation n2 where p2.ps_suppkey = s2.s_suppkey and s2.s_nationkey = n2.n_nationkey and n2.n_name = '$nation')",),
        order=("stock desc", "ps_partkey"), values={"nation": NATIONS, "share": ["0.005", "0.004", "0.0075", "0.01"]}),
    Query(
        "q12", "Did positions that came late in a year by two ways of shipping belong to urgent orders?",
        select=("l_shipmode",
                "<<sum(case when o_orderpriority in ('1-URGENT', '2-HIGH') then 1 else 0 end)"
                "||count(case when o_orderpriority = '1-URGENT' or o_orderpriority = '2-HIGH' then 1 end)>> as urgent",
                "sum(case when o_orderpriority <> '1-URGENT' and o_orderpriority <> '2-HIGH' then 1 else 0 end) as others"),
        tables=("orders", "lineitem"), joins=("o_orderkey = l_orderkey",),
        where=("l_shipmode in ('$modes.a', '$modes.b')", "l_commitdate < l_receiptdate", "l_shipdate < l_commitdate",
               "l_receiptdate >= {date $year}", "l_receiptdate < {date $year + 1 year}"),
        group=("l_shipmode",), order=("l_shipmode",),
        values={"modes": [dict(a="MAIL", b="SHIP"), dict(a="AIR", b="RAIL"), dict(a="TRUCK", b="FOB")], "year": YEARS}),
    Query(
        "q13", "How many customers placed how many orders, apart from special ones?",
        select=("placed", "count(*) as customers"),
        tables=("(select c_custkey, count(o_orderkey) as placed from customer left join orders on o_custkey = c_custkey "
                "and o_comment not like '%$words.a%$words.b%' group by c_custkey) as counted",),
        group=("placed",), order=("customers desc", "placed desc"),
        values={"words": [dict(a="special", b="requests"), dict(a="express", b="accounts"), dict(a="pending", b="deposits")]}),
    Query(
        "q14", "What share of a month's revenue came from promoted parts?",
        select=(f"<<100.00 * sum(case when p_type like '$kind%' then {REVENUE} else 0 end) / sum({REVENUE})"
                f"||100.00 * (sum(case when p_type like '$kind%' then {REVENUE} else 0 end) / sum({REVENUE}))>> as promoted",),
        tables=("lineitem", "part"), joins=("l_partkey = p_partkey",),
        where=("l_shipdate >= {date $month}", "l_shipdate < {date $month + 1 month}"),
        values={"month": ["1995-09-01", "1994-02-01", "1996-12-01", "1997-06-01"], "kind": ["PROMO", "ECONOMY", "SMALL"]}),
    Query(
        "q15", "Which supplier earned most in a quarter?",
        select=("s_suppkey", "s_name", "s_address", "s_phone", "e_total"),
        tables=("supplier", "earned"), joins=("s_suppkey = e_suppkey",),
        where=("<<e_total = (select max(e_total) from earned)||not exists (select 1 from earned more where more.e_total > earned.e_total)>>",),
        order=("s_suppkey",),
        common=(("earned", f"select l_suppkey as e_suppkey, sum({REVENUE}) as e_total from lineitem where l_shipdate >= {{date $start}} "
                           "and l_shipdate < {date $start + 3 month} group by l_suppkey"),),
        values={"start": ["1996-01-01", "1993-04-01", "1995-07-01", "1997-10-01"]}),
    Query(
        "q16", "How many suppliers without complaints can deliver parts, by brand, type and size?",
        select=("p_brand", "p_type", "p_size", "count(distinct ps_suppkey) as suppliers"),
        tables=("partsupp", "part"), joins=("p_partkey = ps_partkey",),
        where=("p_brand <> '$brand'", "p_type not like '$type%'", "p_size in ($sizes)",
               "<<ps_suppkey not in (select s_suppkey from supplier where s_comment like '%Customer%Complaints%')"
               "||not exists (select 1 from supplier where s_suppkey = ps_suppkey and s_comment like '%Customer%Complaints%')>>"),
        group=("p_brand", "p_type", "p_size"), order=("suppliers desc", "p_brand", "p_type", "p_size"),
        values={"brand": ["Brand#45", "Brand#12", "Brand#31"], "type": ["MEDIUM POLISHED", "ECONOMY", "SMALL BRUSHED"],
                "sizes": ["49, 14, 23, 45, 19, 3, 36, 9", "1, 2, 3, 4, 5, 6, 7, 8", "10, 20, 30, 40, 50"]}),
    Query(
        "q17", "What would be lost in a year without the small orders of parts of a brand?",
        select=("sum(l_extendedprice) / 7.0 as yearly",),
        tables=("lineitem", "part"), joins=("p_partkey = l_partkey",),
        where=("p_brand = '$brand'", "p_container like '$size%'",
               "<<l_quantity < (select 0.2 * avg(l2.l_quantity) from lineitem l2 where l2.l_partkey = p_partkey)"
               "||5 * l_quantity < (select avg(l2.l_quantity) from lineitem l2 where l2.l_partkey = p_partkey)>>"),
        values={"brand": ["Brand#23", "Brand#11", "Brand#34", "Brand#52"], "size": ["MED", "LG", "JUMBO", "SM"]}),
    Query(
        "q18", "Which hundred orders of large quantities cost most?",
        select=("c_name", "c_custkey", "o_orderkey", "o_orderdate", "o_totalprice", "sum(l_quantity) as quantity"),
        tables=("customer", "orders", "lineitem"), joins=("c_custkey = o_custkey", "o_orderkey = l_orderkey"),
        where=("<<o_orderkey in (select l2.l_orderkey from lineitem l2 group by l2.l_orderkey having sum(l2.l_quantity) > $quantity)"
               "||(select sum(l2.l_quantity) from lineitem l2 where l2.l_orderkey = o_orderkey) > $quantity>>",),
        group=("c_name", "c_custkey", "o_orderkey", "o_orderdate", "o_totalprice"),
        order=("o_totalprice desc", "o_orderdate", "o_orderkey"), limit=100,
        values={"quantity": ["250", "260", "270", "290"]}),
    Query(
        "q19", "What was earned on three brands of parts sent by air and handed over in person?",
        select=(f"sum({REVENUE}) as revenue",),
        tables=("lineitem", "part"), joins=("p_partkey = l_partkey",),
        where=("((p_brand = '$brands.a' and p_container like 'SM%' and l_quantity between $least and $least + 15 and p_size between 1 and 15)"
               " or (p_brand = '$brands.b' and p_container like 'MED%' and l_quantity between 10 and 30 and p_size between 1 and 30)"
               " or (p_brand = '$brands.c' and p_container like 'LG%' and l_quantity between 20 and 40 and p_size between 1 and 45))",
               "l_shipmode in ('AIR', 'REG AIR')", "l_shipinstruct = 'DELIVER IN PERSON'"),
        values={"brands": [dict(a="Brand#12", b="Brand#23", c="Brand#34"), dict(a="Brand#33", b="Brand#51", c="Brand#15")],
                "least": ["1", "4", "8"]}),
    Query(
        "q20", "Which suppliers of a nation have more of parts of a colour than half of what was shipped in a year?",
        select=("s_name", "s_address"),
        tables=("supplier", "nation"), joins=("s_nationkey = n_nationkey",),
        where=("s_suppkey in (select ps_suppkey from partsupp where ps_partkey in (select p_partkey from part where p_name like '%$color%') "
               "and ps_availqty > (select 0.5 * sum(l_quantity) from lineitem where l_partkey = ps_partkey and l_suppkey = ps_suppkey "
               "and l_shipdate >= {date $year} and l_shipdate < {date $year + 1 year}))", "n_name = '$nation'"),
        order=("s_name",), values={"color": COLORS, "year": YEARS, "nation": NATIONS}),
    Query(
        "q21", "Which suppliers of a nation alone kept orders of several suppliers waiting?",
        select=("s_name", "count(*) as late"),
        tables=("supplier", "lineitem l1", "orders", "nation"),
        joins=("s_suppkey = l1.l_suppkey", "o_orderkey = l1.l_orderkey", "s_nationkey = n_nationkey"),
        where=("o_orderstatus = 'F'", "l1.l_receiptdate > l1.l_commitdate", "n_name = '$nation'",
               "exists (select 1 from lineitem l2 where l2.l_orderkey = l1.l_orderkey and l2.l_suppkey <> l1.l_suppkey)",
               "not exists (select 1 from lineitem l3 where l3.l_orderkey = l1.l_orderkey and l3.l_suppkey <> l1.l_suppkey "
               "and l3.l_receiptdate > l3.l_commitdate)"),
        group=("s_name",), order=("late desc", "s_name"), limit=100, values={"nation": NATIONS}),
    Query(
        "q22", "How many customers with money and without orders are there, by the country code of their telephone?",
        select=("{substr c_phone 1 2} as code", "count(*) as customers", "sum(c_acctbal) as balance"),
        tables=("customer",),
        where=("{substr c_phone 1 2} in ($codes)",
               "c_acctbal > (select avg(c2.c_acctbal) from customer c2 where c2.c_acctbal > 0.00 and {substr c2.c_phone 1 2} in ($codes))",
               "<<not exists (select 1 from orders where o_custkey = c_custkey)||c_custkey not in (select o_custkey from orders)>>"),
        group=("{substr c_phone 1 2}",), order=("code",),
        values={"codes": ["'13', '31', '23', '29', '30', '18', '17'", "'10', '11', '12', '14'", "'20', '25', '33', '28', '32'"]}),
]
