use super::*;

fn read(text: &str) -> Option<String> {
    answer(text).map(|amount| amount.plain())
}

#[test]
fn the_seven_usual_wordings_give_the_number() {
    for number in ["18", "1,080", "-5", "0.5", "70000", "2.75", "1234567"] {
        let plain = number.replace(',', "");
        for text in [
            format!("#### {number}"),
            format!("The answer is {number}."),
            format!("\\boxed{{{number}}}"),
            format!("**{number}**"),
            format!("So she makes ${number} every day."),
            format!("Answer: {number}"),
            format!("Thus, the answer is {number} dollars."),
        ] {
            let before = format!("She has 16 eggs - 3 = 13 eggs.\n{text}");
            assert_eq!((read(&text), read(&before)), (Some(plain.clone()), Some(plain.clone())), "{text}");
        }
    }
}

#[test]
fn a_lead_without_a_number_is_passed_over() {
    for (text, number) in [
        ("It is 18. The answer is correct.", Some("18")),
        ("The answer is 18. Is the answer right?", Some("18")),
        ("#### \n#### 18\n####", Some("18")),
        ("\\boxed{18} \\boxed{}", Some("18")),
        ("The answer is unknown.", None),
        ("The answer is 18x. It is not 17.", None),
        ("the answer", None),
        ("x18 18th", None),
        ("70.000.000", None),
        ("1,2,3", None),
    ] {
        assert_eq!(read(text).as_deref(), number, "{text}");
    }
}

#[test]
fn plain_numbers_have_no_more_than_they_need() {
    for (text, plain) in [
        ("$1,080.00", "1080"),
        ("-.5", "-0.5"),
        ("0.05", "0.05"),
        ("1/3", "1/3"),
        ("1/30", "1/30"),
        ("2 1/2", "2.5"),
        ("100/3", "100/3"),
        ("0.00", "0"),
        ("1e300", &format!("1{}", "0".repeat(300))),
        ("12e-500", "12e-500"),
        ("1e999999", "1e999999"),
    ] {
        assert_eq!(Amount::parse(text).unwrap().plain(), plain, "{text}");
    }
}

#[test]
fn any_text_is_read_in_time() {
    for part in [
        "1 ",
        "the answer is ",
        "answer: 1 so ",
        "a.a",
        ".",
        "**1**",
        "- 1",
        "\\boxed{1}",
        "$1.",
        "one ",
        "1,",
        "18, since ",
        "1/2",
        "(1",
        "\n1.",
        "-",
        "½",
        "=1",
    ] {
        let text = part.repeat(20_000 / part.len());
        let _ = (answer(&text), last(&text));
    }
}

proptest::proptest! {
    #[test]
    fn any_text_has_a_number_or_none(text in proptest::prelude::any::<String>(), mixed in r"[-$#*=0-9,./ ½²kx{}\n]{0,20}(the answer is|####|so|\\boxed\{)?[-$*=0-9,./ ½²kx]{0,20}") {
        let _ = (answer(&text), answer(&mixed), last(&mixed));
    }
}
