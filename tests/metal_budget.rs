//! The arithmetic of native-metal's memory limits. The crate itself builds on a Mac alone, so its
//! one plain file is taken in here.

#[path = "../native-metal/src/budget.rs"]
mod budget;

use budget::{Budget, gigabytes};

const GB: u64 = 1_000_000_000;

fn budget(cache: Option<u64>) -> Budget {
    Budget {
        needed: 2 * GB,
        cache,
        most: 10 * GB,
    }
}

#[test]
fn no_more_than_the_cache_is_left_unused() {
    let b = budget(Some(GB));
    assert!(!b.exceeded(GB), "less than at the start");
    assert!(!b.exceeded(3 * GB));
    assert!(b.exceeded(3 * GB + 1));
    assert!(budget(Some(0)).exceeded(2 * GB + 1), "nothing is kept");
}

#[test]
fn without_a_cache_limit_only_the_limit_in_all_counts() {
    let b = budget(None);
    assert!(!b.exceeded(10 * GB));
    assert!(b.exceeded(10 * GB + 1));
}

#[test]
fn what_is_in_use_may_exceed_the_cache_but_not_the_limit_in_all() {
    let b = budget(Some(0));
    assert_eq!(b.check(10 * GB), Ok(()));
    let error = b.check(12_340 * GB / 1000).unwrap_err();
    assert!(error.contains("12.3 GB"), "{error}");
    assert!(error.contains("--metal-memory-gb"), "{error}");
    assert_eq!(gigabytes(b.most), "10.0");
}
