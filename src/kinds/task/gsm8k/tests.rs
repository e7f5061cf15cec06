use insta::assert_snapshot;

use super::*;

/// A problem in the published form, made up.
const QUESTION: &str = "A box has 12 rows of 8 pens. Mia takes 1/4 of them and sells each for $1.50. How many dollars does she get?";
const SOLUTION: &str = "The box has 12 x 8 = <<12*8=96>>96 pens.\nThus, the share is 96/4 = <<96/4=24>>24 pens.\n\nShe gets 24*$1.50 = $<<24*1.5=36>>36.\n#### 1,036";

fn row() -> Row {
    Gsm8k.row("gsm8k/1".to_owned(), QUESTION.to_owned(), SOLUTION).unwrap()
}

#[test]
fn a_published_row_becomes_steps_and_an_answer() {
    let row = row();
    assert_snapshot!(row.completion, @r"
    The box has 12 x 8 = 96 pens.
    So, the share is 96/4 = 24 pens.
    She gets 24*$1.50 = $36.
    Thus, the answer is 1,036.
    ");
    assert_eq!((row.step_num, row.answer.as_str()), (3, Some("1,036")));
    assert!(Gsm8k.is_problem(&row));
}

#[test]
fn what_is_not_the_published_form_is_refused() {
    let refusal = |solution: &str| Gsm8k.row(String::new(), String::new(), solution).unwrap_err().to_string();
    assert_snapshot!([refusal("1 + 1 = 2"), refusal("1 + 1 = 2\n#### many"), refusal("\n#### 2")].join("\n"), @r"
    the solution has no line `#### …` with the answer
    the answer `many` is not a number
    the solution has no steps
    ");
    assert_eq!(without_notes("a <<1>>b << c"), "a b << c");
    let row = Gsm8k.row(String::new(), String::new(), "1000 * 1 = 1000\n#### 1e3").unwrap();
    assert!(Gsm8k.is_right(&row, "1000"));
}

#[test]
fn answers_are_numbers_however_they_are_written() {
    let is_right = |gold: &str, answer: &str| {
        let answered = Row {
            answer: gold.into(),
            ..row()
        };
        Gsm8k.is_right(&answered, answer)
    };
    for (gold, right) in [
        ("1,080", "1080"),
        ("1,080", "$1,080.00"),
        ("18", "18."),
        ("18", " 18 eggs"),
        ("18", "18%"),
        ("18", "018"),
        ("18", "$ 18 per day"),
        ("0.5", ".50"),
        ("-3", "-3.0"),
        ("-3", "-$3"),
        ("-3", "$-3"),
        ("0", "-0"),
        ("18", "+18"),
        ("18", "**$18**"),
        ("18", "\"18\""),
        ("18", "`18`"),
        ("18", "\\(18\\)"),
        ("18", "\\boxed{18}"),
        ("18", "$18$"),
        ("18", "\\$18"),
        ("18", "₹18"),
        ("18", "£18"),
        ("18", "18 €"),
        ("18", "US$18"),
        ("18", "USD 18"),
        ("18", "Rs. 18"),
        ("-5", "-$5"),
        ("-5", "minus 5"),
        ("-5", "**-5**"),
        ("18", "18 USD"),
        ("18", "18!"),
        ("18", "18.."),
        ("18", "18kg"),
        ("18", "18 m²"),
        ("18", "18m"),
        ("18", "18/day"),
        ("18", "18, one of the largest"),
        ("18", "18 seconds"),
        ("3", "3 quarters"),
        ("72", "72, which is the total"),
        ("18000", "18 thousand dollars"),
        ("18000", "18k"),
        ("18000", "18K."),
        ("18000", "**18** thousand"),
        ("18000000", "18 million"),
        ("18000000", "18M"),
        ("18000000", "$18m"),
        ("1500000", "$1.5 million"),
        ("1500000", "$1.5M"),
        ("1500000", "1,500 thousand"),
        ("2000000000", "2bn"),
        ("200000", "2 hundred thousand"),
        ("500000", "1/2 million"),
        ("1800000", "18 lakh"),
        ("60", "5 dozen eggs"),
        ("18", "1.5 dozen"),
        ("4", "1/3 dozen"),
        ("0.5", "1/2"),
        ("0.5", "½"),
        ("0.9", "18/20"),
        ("1/3", "2/6"),
        ("5", "10/2"),
        ("5.5", "5 1/2 hours"),
        ("5.5", "5 and a half hours"),
        ("5.5", "5½"),
        ("5.5", "5 ½"),
        ("5.5", "5 and 1/2"),
        ("5.75", "5 and three quarters"),
        ("18.5", "18½"),
        ("2/3", "2 thirds"),
        ("70000", "70 000"),
        ("70000", "70,000 dollars"),
        ("100000", "₹1,00,000"),
        ("1234567", "1 234 567 people"),
        ("18", "eighteen"),
        ("18", "Eighteen eggs."),
        ("18", "18 (eighteen)"),
        ("18", "eighteen (18) eggs"),
        ("18", "18 (1.5 dozen)"),
        ("18", "one and a half dozen"),
        ("25", "**twenty-five** dollars"),
        ("105", "one hundred and five"),
        ("2341", "two thousand three hundred forty-one"),
        ("12", "a dozen"),
        ("100", "a hundred"),
        ("0.5", "half"),
        ("0.5", "one half"),
        ("0.5", "a half of it"),
        ("2/3", "two thirds"),
        ("2.75", "two and three-quarters"),
        ("-3", "minus three"),
        ("1000000", "one million"),
        ("18000000000", "18 B"),
        ("18000000000", "18B"),
        ("18", "18 *eggs*"),
        ("18", "18**"),
        ("18", "*18*"),
        ("18", "***18***"),
        ("18", "** 18 **"),
        ("18", "18 quarters"),
        ("0.75", "three quarters"),
        ("0.75", "Three-quarters of a mile"),
        ("0.25", "a quarter"),
        ("250000", "a quarter million"),
        ("0.5", "\\frac{1}{2}"),
        ("0.5", "$\\dfrac12$"),
        ("18", "\\boxed{\\frac{36}{2}}"),
        ("-0.5", "-\\tfrac{1}{2}"),
        ("2.75", "2\\frac{3}{4}"),
        ("2.75", "2-3/4"),
        ("5.5", "5-1/2 inches"),
        ("18", "1.8e1"),
        ("1e3", "1000"),
        ("1E+3", "1,000 eggs"),
        ("0.018", "18e-3"),
        ("18000000", "1.8 × 10^7"),
        ("18000000", "$1.8 \\times 10^{7}$"),
        ("18000000", "1.8 x 10^7 people"),
        ("1800", "１，８００"),
        ("18.5", "＄１８．５"),
        ("1500000", "one million five hundred thousand"),
    ] {
        assert!(is_right(gold, right), "{gold} {right}");
    }
    for (gold, wrong) in [
        ("18", "19"),
        ("18", "-18"),
        ("18", "18 or 19"),
        ("18", "1,8"),
        ("18", "18.5"),
        ("18", ""),
        ("18", "."),
        ("1.5", "1.5.0"),
        ("1080", "10,80"),
        ("18", "3 * 6"),
        ("18", "x = 18"),
        ("18", "18 thousand dollars"),
        ("18", "18k"),
        ("18", "18 million"),
        ("18", "$18m"),
        ("18", "18½"),
        ("18", "18x"),
        ("18", "18 x"),
        ("18", "18n"),
        ("18", "18 times x"),
        ("18", "18 + y"),
        ("18", "18π"),
        ("18", "18²"),
        ("18", "18^a"),
        ("18", "18 squared"),
        ("18", "18/20"),
        ("18", "18 thirds"),
        ("18", "18 (in thousands)"),
        ("18", "18 plus tip"),
        ("18", "18 to twenty"),
        ("18", "1 8"),
        ("1", "1 000"),
        ("5", "5 dozen eggs"),
        ("5", "5 and a half hours"),
        ("5", "5 1/2"),
        ("1", "1/2"),
        ("1", "1/0"),
        ("20", "20 minutes and thirty seconds"),
        ("20", "20 minutes and a half"),
        ("20", "20 hours, five minutes"),
        ("40", "0.4"),
        ("5", "٥"),
        ("5", "5-1/2"),
        ("4.5", "5-1/2"),
        ("1", "one of them"),
        ("5", "five thousand"),
        ("25", "twenty-five and a half"),
        ("18", "eighteen hundred"),
        ("18", "eighteen or nineteen"),
        ("18", "18 (19)"),
        ("18", "18 (1.5 dozen and two)"),
        ("1", "a"),
        ("1", "a box"),
        ("100", "1,00"),
        ("18", "--18"),
        ("18", "18th"),
        ("1", "1st"),
        ("18", "18-th"),
        ("18", "18s"),
        ("18", "18*"),
        ("18", "18 * a"),
        ("18", "18+"),
        ("18", "18 B"),
        ("18", "18B"),
        ("18", "18‰"),
        ("18", "18 tens"),
        ("18", "18 factorial"),
        ("3", "three quarters"),
        ("18", "18 quarters and three dimes"),
        ("1", "\\frac{1}{2}"),
        ("1", "\\frac{1}{0}"),
        ("1", "\\frac{1}{x}"),
        ("2", "2-3/4"),
        ("2", "2-4/3"),
        ("1.8", "1.8e1"),
        ("1", "1e9999999999999999999999"),
        ("1.8", "1.8 × 10^7"),
    ] {
        assert!(!is_right(gold, wrong), "{gold} {wrong}");
    }
}

#[test]
fn a_gold_answer_may_be_a_number() {
    let is_right = |gold: &str, answer: &str| {
        let answered = Row {
            answer: serde_json::from_str(gold).unwrap(),
            ..row()
        };
        Gsm8k.is_right(&answered, answer)
    };
    for (gold, right) in [
        ("18", "18"),
        ("18", "$18.00"),
        ("18.0", "18 eggs"),
        ("1.8e1", "18"),
        ("1800E-2", "18"),
        ("0.50", "1/2"),
        ("-3", "-3"),
        ("-0.0", "0"),
        ("1e400", &format!("1{}", "0".repeat(400))),
        ("12345678901234567890123", "12,345,678,901,234,567,890,123"),
    ] {
        assert!(is_right(gold, right), "{gold} {right}");
    }
    for (gold, wrong) in [
        ("18", "19"),
        ("18", "-18"),
        ("12345678901234567890123", "12345678901234567890124"),
        ("1e400", "1"),
        ("1e9999999999999999999999", "1"),
        ("null", "null"),
        ("true", "true"),
        ("[18]", "18"),
    ] {
        assert!(!is_right(gold, wrong), "{gold} {wrong}");
    }
}

/// Every number that is written is read back, in each notation.
#[test]
fn notations_of_a_number_are_equal() {
    let mut stream = learn::seed::Stream::new(1, "amounts");
    for _ in 0..1_000 {
        let (number, by) = (stream.below(1_000_000), [2, 4, 5, 8, 10, 20, 3, 7, 12][stream.below(9) as usize]);
        let parsed = |text: String| Amount::parse(&text).unwrap_or_else(|| panic!("{text}"));
        assert_eq!(parsed(format!("{number} thousand")), parsed(format!("{}", number * 1_000)));
        assert_eq!(parsed(format!("{number}/{by}")), parsed(format!("{}/{}", number * 7, by * 7)));
        assert_eq!(parsed(format!("{}/{by}", number * by)), parsed(number.to_string()));
        assert_eq!(
            parsed(format!("{number} {}/{by}", by - 1)),
            parsed(format!("{}/{by}", number * by + by - 1))
        );
        assert_eq!(parsed(format!("{number}/{by} dozen")), parsed(format!("{}/{by}", number * 12)));
        assert_ne!(parsed(format!("{number}/{by}")), parsed(format!("{}/{by}", number + 1)));
        assert_eq!(Amount::of_json(&format!("{number}e-3")).unwrap(), parsed(format!("{number}/1000")));
    }
}

proptest::proptest! {
    #[test]
    fn any_text_is_a_number_or_none(text in proptest::prelude::any::<String>(), mixed in "[-+$*0-9,./ ½²kKxand thousdMé]{0,30}") {
        let _ = (Amount::parse(&text), Amount::of_json(&text));
        let _ = (Amount::parse(&mixed), Amount::of_json(&mixed));
        let _ = Gsm8k.follows(&row(), &[&text, &mixed]);
    }
}

#[test]
fn steps_follow_when_their_equations_hold() {
    let follows = |step: &str| Gsm8k.follows(&row(), &[step]);
    for step in [
        "The box has 12 x 8 = 96 pens.",
        "12/60 = $0.20 a minute, so 50 minutes are 0.2 x 50 = $10.",
        "10/3 = 3.33 and 2/3 = .66",
        "20% * 50 = 10, which is 10 / 50 * 100 = 20%",
        "(2 + 3) * [4 - 1] = 5 * 3 = 15",
        "- 5 * 2 = 10",
        "1. 1,200 + 34 = 1,234",
        "100/3 = 33 boxes",
        "There are 7 days in a week.",
        "2 + 3 apples = 4",
        "She has 3, 4 = 5",
        "−5 + 3 = −2",
        "1 / 0 = 3",
        // A side that a word cuts off cannot be read.
        "She has 10 apples - 3 = 7 apples.",
        "First: 90 flowers - 40 = 50 flowers",
        "6Y - 35 = 37",
        "2x - 3 = 11, 10 apples + 3 = 13",
        "5 apples * 2 = 10",
        "3 * 4 = 20 eggs - 8 eggs",
        "3 * 4 = 20 eggs - 8",
        "So 12 - 3 = 11 apples - 2 apples",
        "The answer is -5 * 2 = 7 and that is 5 - 3 = 2",
        "Total: -5 + 3 = -2",
        "x = 3 x 4 = 12",
    ] {
        assert_eq!(follows(step), [true], "{step}");
    }
    for step in [
        "The box has 12 x 8 = 98 pens.",
        "So 7 + 5 = 13.",
        "7 + 5 = 12 and 12 * 2 = 25",
        "(2 + 3) * 3 = 15 = 5 * 4",
        "10/4 = 2.6",
        "",
        // What is whole is read, whatever stands beside it.
        "10 apples - 3 = 8 - 2 = 5",
        "7 + 5 = 13 eggs - all of them",
        "Total: -5 + 3 = -1",
        "She has 5, -5 + 3 = 7",
        "x = 3 x 4 = 13",
    ] {
        assert_eq!(follows(step), [false], "{step}");
    }
}

#[test]
fn any_text_is_judged_in_time() {
    let deep = "(".repeat(100_000) + "1" + &")".repeat(100_000) + " = 1";
    let long = "1 + ".repeat(100_000) + "1 = 100001 = é½ =";
    assert_eq!(
        Gsm8k.follows(&row(), &[&deep, &long, "= = =", "-".repeat(100_000).as_str()]),
        [true; 4]
    );
    let digits = "123".repeat(100_000);
    for text in [
        digits.clone(),
        format!("{digits}/{digits}"),
        format!("{digits} {}", "thousand ".repeat(100_000)),
        format!("{digits} dozen"),
        "-".repeat(300_000),
        "**$".repeat(100_000) + "18",
        "1 234".to_owned() + &" 234".repeat(100_000),
        "18 and ".repeat(100_000),
        "18 ".to_owned() + &"m²".repeat(100_000),
    ] {
        let answered = Row {
            answer: text.as_str().into(),
            ..row()
        };
        Gsm8k.is_right(&answered, &text);
    }
}
