use super::*;

/// dept(id, name), emp(id, name, dept_id, boss_id, pay), task(id, dept, value, count). Keys: emp.dept_id, task.dept -> dept.id;
/// emp.boss_id -> emp.id.
fn schema() -> Schema {
    let table = |name: &str, columns: &str| Table {
        name: name.to_owned(),
        columns: columns.split(' ').map(str::to_owned).collect(),
    };
    let key = |one: (&str, &str), other: (&str, &str)| {
        let owned = |(table, column): (&str, &str)| (table.to_owned(), column.to_owned());
        (owned(one), owned(other))
    };
    Schema {
        tables: vec![
            table("dept", "id name"),
            table("Emp", "Id name dept_id boss_id pay"),
            table("task", "id dept value count"),
        ],
        foreign_keys: vec![
            key(("emp", "DEPT_ID"), ("dept", "id")),
            key(("emp", "boss_id"), ("emp", "id")),
            key(("task", "dept"), ("dept", "id")),
            key(("task", "no"), ("dept", "id")),
        ],
    }
}

fn verdict(predicted: &str, gold: &str) -> Result<bool, GoldError> {
    exact_set_match(predicted, gold, &schema())
}

/// Every line is a prediction, a bar and a gold.
fn pairs(lines: &str) -> impl Iterator<Item = (&str, &str)> {
    let lines = lines.trim().lines();
    lines.map(|line| line.trim().split_once(" | ").expect("a bar"))
}

#[track_caller]
fn same(lines: &str) {
    for (predicted, gold) in pairs(lines) {
        assert_eq!(verdict(predicted, gold), Ok(true), "{predicted} | {gold}");
    }
}

#[track_caller]
fn differ(lines: &str) {
    for (predicted, gold) in pairs(lines) {
        assert_eq!(verdict(gold, gold), Ok(true), "{gold}");
        assert_eq!(verdict(predicted, gold), Ok(false), "{predicted} | {gold}");
    }
}

/// Every line is a prediction for `gold`.
#[track_caller]
fn same_to(gold: &str, lines: &str) {
    let each = lines.trim().lines();
    each.for_each(|line| same(&format!("{line} | {gold}")));
}

#[track_caller]
fn differ_to(gold: &str, lines: &str) {
    let each = lines.trim().lines();
    each.for_each(|line| differ(&format!("{line} | {gold}")));
}

/// None of these is a query of the grammar.
#[track_caller]
fn outside(texts: &[&str]) {
    for text in texts {
        assert!(verdict(text, text).is_err(), "{text}");
        assert_eq!(verdict(text, "select name from dept"), Ok(false), "{text}");
    }
}

#[test]
fn literals_limits_and_distinct_do_not_count() {
    same(
        r#"
        select name from emp where pay > 5 | SELECT NAME FROM EMP WHERE pay > -7.5
        select name from emp where name = 'a' | select name from emp where name = "it's"
        select name from emp where name = 'it''s' | select name from emp where name = id + 2
        select name from emp where name like value | select name from emp where name like '%a'
        select name from emp limit 3 | select name from emp limit 5
        select distinct name from emp | select name from emp
        select count(distinct name) from emp | select count(name) from emp
        select name from emp where pay between 1 and 2 | select name from emp where pay between 3 and id
    "#,
    );
    differ("
        select name from emp limit 3 | select name from emp
        select name from emp where pay = 1 | select name from emp where pay = (select max(pay) from emp)
    ");
}

#[test]
fn select_and_where_have_no_order() {
    same("
        select name, pay from emp | select pay, name from emp
        select name from emp where pay > 1 and name = 'a' | select name from emp where name = 'b' and pay > 2
        select *, count(*) from emp | select COUNT( * ) , * from emp
    ");
    differ(
        "
        select name from emp | select name, name from emp
        select name, name, pay from emp | select name, pay, pay from emp
        select max(pay) from emp | select min(pay) from emp
        select pay from emp | select max(pay) from emp
        select (count(*)) from emp | select count(*) from emp
        select pay - id from emp | select id - pay from emp
        select pay - id from emp | select pay + id from emp
        select sum(pay - id) from emp | select sum(pay) from emp
        select name from emp where pay > 1 | select name from emp where pay >= 1
        select name from emp where name like 'a' | select name from emp where name not like 'a'
        select name from emp where name is 'a' | select name from emp where name = 'a'
        select name from emp where max(pay) > 1 | select name from emp where pay > 1
        select name from emp | select name from emp where pay > 1
    ",
    );
}

#[test]
fn and_or_are_sets_without_precedence() {
    let with = |links: [&str; 2]| {
        let [one, two] = links;
        format!("select name from emp where id = 1 {one} pay = 2 {two} name = 3")
    };
    let mixed = with(["and", "or"]);
    assert_eq!(verdict(&mixed, &with(["or", "and"])), Ok(true));
    assert_eq!(verdict(&mixed, &with(["or", "or"])), Ok(false));
    assert_eq!(verdict(&mixed, &with(["and", "and"])), Ok(false));
    differ(
        "select name from emp where name = id or pay = 2 | select name from emp where name = id",
    );
}

#[test]
fn group_having_and_order_count_in_order() {
    let gold = "select name from emp group by name, pay having count(*) > 1 and max(pay) < 3";
    same_to(
        gold,
        "
        select name from emp group by name, pay having count(*) > 9 and max(distinct pay) < 8
    ",
    );
    same("
        select name from emp order by pay | select name from emp order by pay asc
        select name from emp order by pay desc, id | select name from emp order by pay, id desc
        select name from emp order by (sum(pay) / count(id)) | select name from emp order by sum(pay) / count(id)
    ");
    differ_to(
        gold,
        "
        select name from emp group by pay, name having count(*) > 1 and max(pay) < 3
        select name from emp group by name, pay having max(pay) < 3 and count(*) > 1
        select name from emp group by name, pay having count(*) > 1 or max(pay) < 3
        select name from emp group by name, pay
    ",
    );
    differ(
        "
        select name from emp order by pay, id | select name from emp order by id, pay
        select name from emp order by pay desc | select name from emp order by pay
        select name from emp order by pay desc limit 1 | select name from emp order by pay desc
    ",
    );
}

#[test]
fn set_operators_compare_their_operands() {
    let gold = "select name from emp where pay > 1 union select name from dept";
    same_to(
        gold,
        "
        select name from emp where pay > 2 UNION (select name from dept);
        (select name from emp where pay > 2) union select distinct name from dept
        select name from emp where pay > 2; union select name from dept
    ",
    );
    differ_to(
        gold,
        "
        select name from dept union select name from emp where pay > 1
        select name from emp where pay > 1 except select name from dept
        select name from emp where pay > 1 union select id from dept
        select name from emp where pay > 1
    ",
    );
}

#[test]
fn tables_count_and_on_does_not() {
    let gold = "select e.name from emp as e join dept as d on e.dept_id = d.id";
    same_to(
        gold,
        "
        select t1.name from dept as t2 join emp as t1 on t1.id = t2.name
        select emp.name from emp join dept
        select name from emp join dept on boss_id = dept.id and pay > 3
    ",
    );
    same("
        select e.name from emp as e join dept as d on e.id = t.id join task as t | select e.name from emp as e join dept as d join task as t on e.dept_id = t.dept
    ");
    differ_to(
        gold,
        "
        select name from emp
        select e.name from emp as e join emp as d on e.dept_id = d.id
        select d.name from emp as e join dept as d on e.dept_id = d.id
        select e.name from emp as e join dept as d on e.dept_id = 1 or e.id = d.id
        select e.name from emp as e join dept as d on e.name like d.name
    ",
    );
}

#[test]
fn or_after_a_column_counts_in_where_and_not_in_on() {
    let gold = "select d.name from emp as e join dept as d on e.id = d.id or e.pay in (1)";
    same_to(
        gold,
        "
        select d.name from emp as e join dept as d on e.id = d.id
        select d.name from emp as e join dept as d on e.id = d.id or e.pay = 1 or e.pay = 2 and d.id = 3
    ",
    );
    differ_to(
        gold,
        "
        select d.name from emp as e join dept as d on e.id = 1 or d.id = 2
        select d.name from emp as e join dept as d on e.id = d.id or e.id = 2 and d.id = 3 or e.id = 1
        select d.name from emp as e join dept as d where e.id = d.id or e.pay in (1)
    ",
    );
}

#[test]
fn foreign_keys_make_columns_one_where_their_tables_are() {
    same("
        select e.dept_id from emp as e join dept as d | select d.id from emp as e join dept as d
        select t.dept from emp as e join task as t | select e.dept_id from emp as e join task as t
        select boss_id from emp order by id | select id from emp order by boss_id
        select name from dept join emp group by dept_id having dept_id > 1 | select name from dept join emp group by dept.id having dept.id > 1
        select name from dept join emp union select dept_id from emp | select name from dept join emp union select dept_id from emp
    ");
    // In subqueries they stay two, and so do those of tables that only an operand has.
    differ("
        select e.id from emp as e join dept as d | select d.id from emp as e join dept as d
        select name from dept where id in (select id from emp) | select name from dept where id in (select boss_id from emp)
        select name from dept union select id from emp | select name from dept union select boss_id from emp
        select dept.id from emp | select dept_id from emp
    ");
}

#[test]
fn foreign_keys_are_transitive_in_any_order() {
    let column = |name: &str| ("t".to_owned(), name.to_owned());
    let keys = [("a", "b"), ("c", "d"), ("b", "c")];
    let columns = ["a", "b", "c", "d", "e"].map(str::to_owned).to_vec();
    let schema = Schema {
        tables: vec![Table {
            name: "t".to_owned(),
            columns,
        }],
        foreign_keys: keys
            .map(|(one, other)| (column(one), column(other)))
            .to_vec(),
    };
    let verdict = |predicted: &str| exact_set_match(predicted, "select a from t", &schema);
    assert_eq!(verdict("select d from t"), Ok(true));
    assert_eq!(verdict("select c from t"), Ok(true));
    assert_eq!(verdict("select e from t"), Ok(false));
}

#[test]
fn subqueries_count_in_all_but_literals() {
    let gold =
        "select name from dept where id not in (select dept_id from emp where pay > 1 and id = 2)";
    same_to(gold, "
        select name from dept where id not in (select dept_id from emp as e where e.pay > 7 and e.id = 3)
    ");
    differ_to(gold, "
        select name from dept where id not in (select dept_id from emp where id = 2 and pay > 1)
        select name from dept where id not in (select distinct dept_id from emp where pay > 1 and id = 2)
        select name from dept where id not in (select pay from emp where pay > 1 and id = 2)
        select name from dept where id in (select dept_id from emp where pay > 1 and id = 2)
        select name from dept where id not in (5)
    ");
    same(
        r#"
        select count(*) from (select name from emp where pay = 1.0 and name = 'a') | select count(*) from (select name from emp where pay = 1 and name = "a")
    "#,
    );
    differ("
        select count(*) from (select name from emp where pay = 1) | select count(*) from (select name from emp where pay = 2)
        select count(*) from emp | select count(*) from (select name from emp)
    ");
}

#[test]
fn aliases_belong_to_their_query() {
    same("
        select t1.pay from emp as t1 union select t1.name from dept as t1 | select e.pay from emp as e union select d.name from dept as d
        select name from emp as e where pay > (select max(id) from task as t where t.dept = e.dept_id) | select name from emp where pay > (select max(id) from task where dept = 1)
        select dept.pay from emp as dept | select pay from emp
        select emp.pay from emp as e | select pay from emp
    ");
    outside(&[
        "select t.name from emp as e",
        "select dept.name from emp",
        "select name from emp as e union select e.name from dept",
        "select t.id from (select name from task as t)",
        "select e.name from (select name from task as t where t.id = e.id) join emp as e",
    ]);
}

#[test]
fn spaces_comments_and_names_like_words_do_not_fail() {
    same(
        "
        select name from emp where id=1 | select name from emp where id = 1
        select name /* a; */ from emp -- it's | select name from emp
        select name from emp where id ! = 1 | select name from emp where id != 1
        select name from emp where id > = 1 | select name from emp where id>=1
        select value, count from task | select task.count, task.value from task
    ",
    );
}

#[test]
fn text_after_the_semicolon() {
    same(
        "
        select name from emp; | select name from emp
        select name from emp; drop table emp | select name from emp ;;
    ",
    );
    differ(
        "
        select name from emp; it's done | select name from emp
    ",
    );
}

#[test]
fn the_reason_is_one_line_that_says_what_was_met() {
    let reason = |gold: &str| verdict("", gold).unwrap_err().to_string();
    let long = reason(&format!("select name from dept 'a\n{}'", "b".repeat(999)));
    assert!(!long.contains('\n') && long.len() < 200, "{long}");
    assert!(reason(&format!("select {} from dept", "b".repeat(999))).len() < 200);
    assert!(reason("select name fro dept").contains("ends"));
    assert!(reason("select nme from dept").contains("`nme`"));
    assert!(reason("select name from dept where id <> 1").contains("`<>`"));
    assert!(reason("").contains("`select`"));
}

#[test]
fn long_and_deep_texts_end() {
    let nested = |depth: usize| {
        let open = "select name from dept where id in (".repeat(depth);
        format!("{open}select id from dept{}", ")".repeat(depth))
    };
    assert_eq!(verdict(&nested(40), &nested(40)), Ok(true));
    outside(&[&nested(60), &nested(20_000), &"(".repeat(100_000)]);
    outside(&[
        &"select name from (".repeat(6_000),
        &"select name union ".repeat(6_000),
    ]);
    let list = |count: usize| format!("select {}name from dept", "name, id, ".repeat(count));
    assert_eq!(verdict(&list(10_000), &list(10_000)), Ok(true));
    assert_eq!(verdict(&list(10_000), &list(10_001)), Ok(false));
    let tables = |count: usize| format!("select dept.id from dept{}", " join emp".repeat(count));
    assert_eq!(verdict(&tables(60), &tables(60)), Ok(true));
    outside(&[&tables(64), &tables(10_000)]);
}
