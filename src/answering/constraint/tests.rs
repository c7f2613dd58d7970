//! Which queries the names of a schema allow.

use super::names::{Names, Words};
use super::scan::Scan;
use super::vocabulary::Bytes;
use crate::data::schema::{functions, of_text};
use std::sync::Arc;

const SHOP: &str = "CREATE TABLE goods (id INT, name TEXT, price REAL, maker_id INT);
    CREATE TABLE makers (id INT, name TEXT, \"home town\" TEXT); CREATE TABLE sales (good_id INT, day TEXT, pieces INT)";

fn names(schema: &str) -> Arc<Names> {
    let all = functions().unwrap();
    let functions = Arc::new(Words::new(all.iter().map(String::as_str)));
    Arc::new(Names::new(&of_text(schema).unwrap().unwrap(), functions))
}

/// How much of a query is taken; `None` where all of it is, and it may end there.
fn refused(query: &str) -> Option<&str> {
    let mut scan = Scan::new(names(SHOP));
    for (at, &byte) in query.as_bytes().iter().enumerate() {
        if !scan.push(byte) {
            return Some(&query[..at]);
        }
    }
    (!scan.may_end()).then_some(query)
}

#[test]
fn queries_of_the_schema_are_allowed() {
    for query in [
        "SELECT name FROM goods;",
        " select Name, PRICE from GOODS where price > 2.5 and name like '%x''y%' order by price desc limit 3",
        "SELECT COUNT(*) FROM goods",
        "SELECT count (*) , max( price ) FROM goods GROUP BY maker_id HAVING COUNT(*) > 1",
        "SELECT g.name FROM goods g JOIN makers m ON g.maker_id = m.id WHERE m.name = \"Ann\";",
        "SELECT T1.name, T2.name FROM goods AS T1 JOIN makers AS T2 ON T1.maker_id = T2.id",
        "SELECT goods.name FROM goods, makers WHERE goods.maker_id = makers.id",
        "SELECT m.\"home town\", m.`home town`, m.[home town] FROM makers AS m",
        "SELECT DISTINCT name AS n FROM goods ORDER BY n",
        "SELECT name, price * 2 doubled FROM goods WHERE doubled > 3",
        "SELECT name FROM goods WHERE id IN (SELECT good_id FROM sales WHERE pieces > 3)",
        "SELECT name FROM goods AS g WHERE NOT EXISTS (SELECT 1 FROM sales s WHERE s.good_id = g.id)",
        "SELECT (SELECT count(*) FROM sales s WHERE s.good_id = g.id) FROM goods g",
        "SELECT (SELECT name FROM makers WHERE makers.id = maker_id) FROM goods",
        "SELECT avg(n) FROM (SELECT count(*) AS n FROM sales GROUP BY good_id)",
        "SELECT goods.name FROM goods JOIN (SELECT count(*) AS n FROM sales) x ON x.n > price",
        "WITH busy AS (SELECT good_id AS who, sum(pieces) AS n FROM sales GROUP BY good_id) SELECT b.who, n FROM busy b WHERE n > 2",
        "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 5) SELECT i FROM c",
        "SELECT name FROM goods UNION SELECT name FROM makers ORDER BY name",
        "SELECT name FROM goods UNION ALL SELECT day FROM sales UNION ALL VALUES (1)",
        "SELECT CASE WHEN price > 3 THEN 'dear' ELSE 'cheap' END FROM goods",
        "SELECT CASE maker_id WHEN 1 THEN name END AS x FROM goods",
        "SELECT CAST(price AS INT), CAST(sum(price) AS REAL) / count(*) FROM goods",
        "SELECT name FROM goods WHERE price BETWEEN 1 AND 2 AND name IS NOT NULL AND id NOT IN (1, 2)",
        "SELECT name, row_number() OVER (PARTITION BY maker_id ORDER BY price DESC) AS r FROM goods",
        "SELECT sum(price) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM goods",
        "SELECT count(*) FILTER (WHERE price > 1) FROM goods",
        "SELECT strftime('%Y', day) FROM sales WHERE date(day) < current_date",
        "SELECT g.* FROM goods g LEFT OUTER JOIN sales s ON (s.good_id = g.id) WHERE s.day IS NULL",
        "SELECT name FROM goods JOIN makers USING (id) WHERE price > 1",
        "SELECT name COLLATE NOCASE FROM goods ORDER BY 1 ASC NULLS LAST LIMIT 2 OFFSET 1",
        "SELECT rowid FROM goods WHERE goods.rowid = 1",
        "SELECT x.n FROM (SELECT count(*) AS n FROM sales) x WHERE x.n > 1",
        "SELECT day, n * 2 FROM (SELECT day, count(*) n FROM sales GROUP BY day) WHERE n > 2",
        "SELECT total FROM goods JOIN (SELECT good_id AS g, sum(pieces) AS total FROM sales GROUP BY 1) ON g = id",
        "SELECT max(n) FROM (SELECT count(*) AS n FROM sales UNION SELECT 3)",
        "SELECT x.\"count(*)\" FROM (SELECT count(*) FROM sales) AS x",
        "SELECT anything FROM (SELECT * FROM sales)",
        "SELECT column1 FROM (VALUES (1), (2))",
        "SELECT who FROM (SELECT g.name AS who, makers.`home town` FROM goods g, makers) y WHERE y.[home town] = 'x'",
        "WITH busy(who, n) AS (SELECT good_id, count(*) FROM sales GROUP BY 1) SELECT who FROM busy WHERE busy.n > 1",
        "WITH a AS (SELECT good_id AS k FROM sales), b AS (SELECT id AS k FROM goods) SELECT k FROM a JOIN b USING (k)",
        "SELECT x.\"a \"\"b\", x.[c d] FROM (SELECT 1 AS \"a \"\"b\", name AS 'c d' FROM goods) x",
        "SELECT count FROM (SELECT count (*) AS count FROM goods)",
        "SELECT (SELECT n FROM (SELECT count(*) AS n FROM sales WHERE good_id = g.id)) FROM goods g",
        "SELECT name FROM goods WHERE (id, price) IN (SELECT good_id, pieces FROM sales)",
        "SELECT name FROM goods WHERE NOT (id, price) = (1, 2.5) OR (id, price) > (SELECT 1, 2)",
        "SELECT name FROM goods WHERE price IS NOT DISTINCT FROM 3 AND id IS DISTINCT FROM maker_id",
        "SELECT name FROM goods WHERE name REGEXP '^a' OR name NOT MATCH 'b' OR name GLOB 'c*'",
        "SELECT name FROM goods WHERE name = X'41fF' OR id = 0xFf",
        "SELECT main.goods.name FROM main.goods JOIN \"main\".sales s WHERE main.goods.id = s.good_id",
        "SELECT main.name FROM goods AS main WHERE main.price > 1",
        "SELECT 1",
    ] {
        assert_eq!(refused(query), None, "{query}");
    }
}

#[test]
fn names_of_nothing_are_refused_where_they_begin_to_be() {
    for (query, taken) in [
        ("SELECT name FROM shops", "SELECT name FROM s"),
        ("SELECT name FROM good WHERE", "SELECT name FROM good"),
        // It may be a sub-query's, until FROM ends.
        ("SELECT cost FROM goods;", "SELECT cost FROM goods"),
        (
            "SELECT x.cost FROM goods x WHERE",
            "SELECT x.cost FROM goods ",
        ),
        (
            "SELECT x.m FROM (SELECT count(*) AS n FROM sales) x",
            "SELECT x.m FROM (SELECT count(*) AS n FROM sales) ",
        ),
        (
            "SELECT n FROM (SELECT count(*) AS n FROM sales) WHERE day",
            "SELECT n FROM (SELECT count(*) AS n FROM sales) WHERE da",
        ),
        (
            "WITH a AS (SELECT day AS d FROM sales) SELECT a.day",
            "WITH a AS (SELECT day AS d FROM sales) SELECT a.d",
        ),
        ("SELECT 1 FROM main.shops", "SELECT 1 FROM main.s"),
        (
            "SELECT name FROM goods WHERE id IS distant",
            "SELECT name FROM goods WHERE id IS dist",
        ),
        (
            "SELECT name FROM goods WHERE id = distinct",
            "SELECT name FROM goods WHERE id = d",
        ),
        (
            "SELECT name FROM goods WHERE id = x ",
            "SELECT name FROM goods WHERE id = x",
        ),
        (
            "SELECT name FROM goods WHERE kind",
            "SELECT name FROM goods WHERE ",
        ),
        // A column of another table.
        (
            "SELECT name FROM goods WHERE pieces",
            "SELECT name FROM goods WHERE pi",
        ),
        (
            "SELECT s.day FROM sales s JOIN goods g ON g.day",
            "SELECT s.day FROM sales s JOIN goods g ON g.",
        ),
        ("SELECT g.day FROM goods g", "SELECT g.day FROM goods "),
        (
            "SELECT day FROM goods WHERE 1",
            "SELECT day FROM goods WHER",
        ),
        ("SELECT day FROM goods;", "SELECT day FROM goods"),
        (
            "SELECT g.name FROM goods WHERE",
            "SELECT g.name FROM goods WHER",
        ),
        ("SELECT goods.pieces", "SELECT goods.p"),
        (
            "SELECT name FROM goods WHERE y.id",
            "SELECT name FROM goods WHERE ",
        ),
        ("SELECT makers.`home city`", "SELECT makers.`home "),
        ("SELECT makers(name) FROM", "SELECT makers"),
        (
            "SELECT length FROM goods WHERE",
            "SELECT length FROM goods WHER",
        ),
        (
            "SELECT name FROM goods WHERE id IN (SELECT maker FROM sales)",
            "SELECT name FROM goods WHERE id IN (SELECT maker FROM sales",
        ),
    ] {
        assert_eq!(refused(query), Some(taken), "{query}");
    }
}

#[test]
fn what_was_taken_back_is_forgotten() {
    let mut scan = Scan::new(names(SHOP));
    assert!(scan.push_all(b"SELECT name FROM goods WHERE "));
    for _ in 0..3 {
        assert!(scan.push_all(b"price > (SELECT max(pieces) FROM sales)"));
        scan.pop(39);
        assert!(!scan.push_all(b"pieces"));
        assert!(!scan.push_all(b"price) "));
    }
    assert!(scan.push_all(b"id = 1") && scan.may_end() && scan.may_end());
}

#[test]
fn names_may_be_anything() {
    let odd = "CREATE TABLE \"a \"\"b\"\"\" (\"select\" INT, [x]]y] INT, `größe` INT, \"1st\" INT)";
    for query in [
        "SELECT \"select\" FROM \"a \"\"b\"\"\"",
        "SELECT t.\"select\", t.größe, t.`größe`, t.\"1st\" FROM [a \"b\"] t",
    ] {
        let mut scan = Scan::new(names(odd));
        assert!(scan.push_all(query.as_bytes()) && scan.may_end(), "{query}");
    }
    let mut scan = Scan::new(names(odd));
    assert!(!scan.push_all("SELECT 1 FROM [a \"b\"] t WHERE t.grösse".as_bytes()));
}
