//! What numbers of samples mean for ways to learn, in words: which could help at all, and by how much at most.

use super::standing::Standing;
use crate::eval::stats::Share;

/// One paragraph. It is about these rows and these samples, and says so.
pub fn advice(of: &Standing) -> String {
    let (rows, samples) = (of.rows, of.samples);
    let mut text = vec![format!(
        "The greedy answer is right for {} of {rows} rows.",
        shown(&of.greedy)
    )];
    text.push(match of.within_reach.passed {
        0 => format!(
            "No other row has a right one among its {samples} samples: voting, RFT, preference pairs of samples and GRPO have nothing to gain from here."
        ),
        _ => format!(
            "For {} more at least one of {samples} samples is right: that is the most that voting, RFT, preference pairs of samples and GRPO could gain on these rows with such samples, and none of them is likely to gain it all.",
            shown(&of.within_reach)
        ),
    });
    let gain = of.vote.passed as i64 - of.greedy.passed as i64;
    text.push(match gain {
        1.. => format!("Voting gains {gain} of them as the model is, without any training."),
        0 => "Voting gains nothing as the model is.".to_owned(),
        _ => format!(
            "Voting loses {} rows as the model is: its samples are worse than its greedy answers.",
            -gain
        ),
    });
    text.push(match of.mixed.passed {
        0 => "No row has right samples and wrong ones, so that GRPO and on-policy pairs would learn nothing.".to_owned(),
        _ => format!(
            "{} have right samples and wrong ones: GRPO and on-policy pairs learn from those alone, RFT also from the {} that are all right, which teach it least.",
            shown(&of.mixed),
            of.all_right.passed
        ),
    });
    text.push(match of.out_of_reach.passed {
        0 => "No row is out of reach of its samples.".to_owned(),
        _ => format!(
            "For {} nothing that was drawn is right: more or other SFT data may help there, as may a larger base; learning from samples cannot, until some of more samples are right.",
            shown(&of.out_of_reach)
        ),
    });
    text.push("More samples would find a little more than this; rows that a model was trained on say nothing of others.".to_owned());
    text.join(" ")
}

/// `57 (0.187, 0.147 to 0.234)`
fn shown(share: &Share) -> String {
    let [low, high] = share.wilson95;
    format!(
        "{} ({:.3}, {low:.3} to {high:.3})",
        share.passed, share.value
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learning::rollouts::Group;
    use crate::learning::standing::tests::{group, one};

    fn said(groups: &[Group]) -> String {
        let groups: Vec<&Group> = groups.iter().collect();
        advice(&Standing::of(&groups))
    }

    #[test]
    fn what_cannot_help_is_said() {
        let right = || one("a", Some("r"), true);
        let wrong = || one("b", Some("w"), false);
        let solved = group(right(), &[right(), right(), right()]);
        let lost = group(wrong(), &[wrong(), wrong(), wrong()]);
        let open = group(wrong(), &[right(), right(), wrong()]);
        let unsteady = group(right(), &[wrong(), wrong(), right()]);

        let nothing = said(&[solved.clone(), lost.clone()]);
        for part in [
            "right for 1 (0.500, 0.095 to 0.905) of 2 rows",
            "nothing to gain from here",
            "Voting gains nothing",
            "GRPO and on-policy pairs would learn nothing",
            "For 1 (0.500, 0.095 to 0.905) nothing that was drawn is right",
        ] {
            assert!(nothing.contains(part), "{nothing}");
        }
        let some = said(&[solved.clone(), lost, open.clone()]);
        for part in [
            "For 1 (0.333, 0.061 to 0.792) more at least one of 3 samples is right",
            "Voting gains 1 of them",
            "1 (0.333, 0.061 to 0.792) have right samples and wrong ones",
            "the 1 that are all right",
        ] {
            assert!(some.contains(part), "{some}");
        }
        let worse = said(&[solved, unsteady]);
        for part in ["Voting loses 1 rows", "No row is out of reach"] {
            assert!(worse.contains(part), "{worse}");
        }
    }
}
