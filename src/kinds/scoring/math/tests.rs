use super::*;

#[test]
fn equal_mathematics_is_right() {
    let pairs = [
        ("18", "18"),
        ("\\boxed{18}", "18"),
        ("$18$.", "18"),
        ("\\frac{1}{2}", "0.5"),
        ("1/2", "\\dfrac12"),
        ("2/4", "\\frac{1}{2}"),
        ("-\\frac{3}{4}", "\\frac{-3}{4}"),
        ("2\\frac{3}{4}", "11/4"),
        ("1,000", "10^3"),
        ("10{,}000", "10000"),
        ("50\\%", "50"),
        ("\\$18", "18"),
        ("90^\\circ", "90"),
        ("5\\text{ cm}", "5"),
        ("18 apples", "18"),
        ("x = 5", "5"),
        ("5", "x=5"),
        ("2\\sqrt{2}", "\\sqrt{8}"),
        ("\\frac{1}{\\sqrt{2}}", "\\frac{\\sqrt{2}}{2}"),
        ("\\frac{\\sqrt{53}}{53}", "1/sqrt(53)"),
        ("\\sqrt{2}\\sqrt{3}", "\\sqrt 6"),
        ("\\sqrt{12} + \\sqrt{27}", "5\\sqrt{3}"),
        ("(1+\\sqrt{5})^2", "6 + 2\\sqrt{5}"),
        ("\\sqrt[3]{x}", "x^{1/3}"),
        ("9^{1/2}", "3"),
        ("(x+1)^2", "x^2 + 2x + 1"),
        ("(x-1)(x+1)", "x^2-1"),
        ("2*pi*r", "2\\pi r"),
        ("\\frac{x^2-1}{x-1}", "x+1"),
        ("e^{2x}", "e^{x+x}"),
        ("\\sin(x+y)", "\\sin(y+x)"),
        ("\\log_2 8", "\\log_{2}(8)"),
        ("5!", "120"),
        ("|-3|", "3"),
        ("2^{100}", "1267650600228229401496703205376"),
        ("(1+i)^2", "2i"),
        ("y = 2x + 1", "2x - y = -1"),
        ("(1, 2)", "(1,2)"),
        ("\\left( \\frac{1}{2}, 3 \\right)", "(0.5, 3)"),
        ("[0, \\infty)", "[0,\\infty)"),
        ("{3, 1, 2}", "\\{1, 2, 3\\}"),
        ("2, 1", "1, 2"),
        ("x = 1 or x = 2", "1, 2"),
        ("\\text{Evelyn}", "evelyn"),
        ("\\text{even}", "\\text{even}"),
        ("x_1 + x_2", "x_{2} + x_{1}"),
        ("❤ ↔ ♋ ✰ ♙", "❤ ↔ ♙ ✰ ♋"),
    ];
    let otherwise: Vec<_> = pairs.iter().filter(|(answer, right)| !is_right(answer, right)).collect();
    assert!(otherwise.is_empty(), "{otherwise:#?}");
}

#[test]
fn other_mathematics_is_wrong() {
    let pairs = [
        ("19", "18"),
        ("-18", "18"),
        ("711", "11"),
        ("0.333333333333", "1/3"),
        ("3.14159265358979", "\\pi"),
        ("1.41421356237", "\\sqrt{2}"),
        ("2\\sqrt{3}", "\\sqrt{8}"),
        ("-\\sqrt{2}", "\\sqrt{2}"),
        ("x^2 + 2x", "x^2 + 2x + 1"),
        ("\\sin(x)", "\\sin(y)"),
        ("(2, 1)", "(1, 2)"),
        ("(0, 1)", "[0, 1]"),
        ("[0, 1)", "[0, 1]"),
        ("1, 2, 3", "1, 2"),
        ("1", "1, 2"),
        ("y = 2x + 1", "y = 2x - 1"),
        ("x = 5", "y = 5"),
        ("1/0", "2/0"),
        ("odd", "even"),
        ("18", "many"),
        ("", "18"),
        ("1 2", "12"),
        ("5 5", "25"),
        ("❤ ↔ ♋ ❀ ♙", "❤ ↔ ♙ ❀ ♋"),
    ];
    let otherwise: Vec<_> = pairs.iter().filter(|(answer, right)| is_right(answer, right)).collect();
    assert!(otherwise.is_empty(), "{otherwise:#?}");
}

#[test]
fn any_text_is_read_in_time() {
    for text in [
        "(".repeat(100_000),
        "-".repeat(100_000) + "1",
        "\\sqrt{".repeat(50_000),
        "1".repeat(100_000),
        "9^".repeat(1_000) + "9",
        "9^{9^{9^9}}".to_owned(),
        "100!!!!".to_owned(),
        "1,".repeat(50_000),
        "x+".repeat(1_900) + "x",
        "\\frac{1}{".repeat(30) + "0" + &"}".repeat(30),
        "\\sqrt{340282366920938463463374607431768211455}".to_owned(),
        "\\sqrt{18446744073709551557}".to_owned(),
    ] {
        let _ = is_right(&text, "18");
        let _ = is_right("18", &text);
    }
}
