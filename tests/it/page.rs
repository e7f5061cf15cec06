//! The page of a report, in a browser.

use std::path::PathBuf;

use serde_json::Value;

use crate::browser::Browser;
use crate::lab::{LOOP, Lab};
use crate::require::require;

/// A lab whose experiment ran, and its page.
fn page(experiment: &str) -> (Lab, PathBuf) {
    let lab = Lab::new(experiment);
    lab.stdout("run x.toml", 0);
    lab.stdout("report x.toml --baseline score[0] --html page.html", 0);
    let page = lab.path().join("page.html");
    (lab, page)
}

#[test]
fn the_page_works_in_a_browser() {
    let mut browser = require!(Browser::start(), "Chromium");
    let experiment = LOOP.replace("seed = [1]", "seed = [1, 2]");
    let (_lab, page) = page(&format!("# Does it <work>?\n#\n# cost    nothing\n{experiment}"));
    for (width, height, scheme) in [(1200, 900, "light"), (380, 800, "dark")] {
        browser.prefer(scheme);
        browser.open(&page, width, height);
        fits(&mut browser, f64::from(width));
        has_its_parts(&mut browser);
        filters(&mut browser);
        leads_to_stages(&mut browser);
        fits(&mut browser, f64::from(width));
    }
    assert_eq!(browser.complaints, [Value::Null; 0]);
}

fn fits(browser: &mut Browser, width: f64) {
    assert_eq!(browser.evaluate("innerWidth").as_f64(), Some(width), "a phone must not zoom out");
    let wide = browser.evaluate("document.documentElement.scrollWidth").as_f64().unwrap();
    assert!(wide <= width, "{wide} of {width} pixels");
}

fn has_its_parts(browser: &mut Browser) {
    assert_eq!(browser.evaluate("document.querySelector('h1').textContent"), "loop");
    assert_eq!(
        browser.evaluate("document.querySelector('.question p').textContent"),
        "Does it <work>?"
    );
    let figures = browser.evaluate("[...document.querySelectorAll('figure')].map((figure) => figure.id)");
    let expected = [
        "accuracy-by-iteration",
        "steps-by-iteration",
        "accuracy-by-length",
        "steps-by-length",
        "steps",
        "kept-skips",
        "training",
    ];
    assert_eq!(figures, serde_json::json!(expected));
    // Every panel is drawn: it has a size, a title, and something of every series in it.
    let empty = "[...document.querySelectorAll('.panels svg')].filter((svg) => svg.getBoundingClientRect().height < 100 || \
                 !svg.querySelector('title').textContent || !svg.querySelector('.line, .mark, .bar')).length";
    assert_eq!(browser.evaluate(empty), 0);
    assert_eq!(browser.evaluate("document.querySelectorAll('#stages .node').length"), 14);
    assert_eq!(
        browser.evaluate("document.querySelectorAll('#results table').length"),
        3,
        "results, differences and skips"
    );
}

/// The filters show what the content says they should.
fn filters(browser: &mut Browser) {
    browser.evaluate("window.samples = JSON.parse(document.getElementById('content').textContent).samples; 0");
    let shown = "Number(document.getElementById('count').textContent.split(' ')[0])";
    let all = browser.evaluate(shown).as_u64().unwrap();
    assert!(all >= 40, "{all}");
    assert_eq!(browser.evaluate("document.querySelectorAll('article').length"), 20);
    let set = |name: &str, value: &str| {
        format!(
            "(() => {{ const field = document.getElementById('filters').elements['{name}']; field.value = '{value}'; \
             field.dispatchEvent(new Event('input', {{ bubbles: true }})); return {shown}; }})()"
        )
    };
    for (name, value, condition) in [
        ("verdict", "wrong", "!answer.right"),
        ("verdict", "right", "answer.right"),
        ("verdict", "luck", "answer.right && !answer.valid"),
        ("verdict", "incomplete", "!answer.complete"),
        ("data", "ood_easy", "answer.data === 'ood_easy'"),
        ("steps", "fewer", "answer.steps < samples.problems[answer.problem].steps"),
        ("steps", "same", "answer.steps === samples.problems[answer.problem].steps"),
    ] {
        let expected = browser.evaluate(&format!("samples.answers.filter((answer) => {condition}).length"));
        assert_eq!(browser.evaluate(&set(name, value)), expected, "{name} {value}");
        browser.evaluate(&set(name, ""));
    }
    let question = browser.evaluate("samples.problems[samples.answers[0].problem].question");
    let found = browser.evaluate(&set("text", question.as_str().unwrap())).as_u64().unwrap();
    assert!((1..all).contains(&found), "{found} of {all}");
    assert_eq!(browser.evaluate(&set("text", "no such text anywhere")), 0);
    assert_eq!(browser.evaluate(&set("text", "")), all);
}

/// A number of the table, a mark of a figure and a box of the graph open the panel with the stage's key and params.
fn leads_to_stages(browser: &mut Browser) {
    for place in ["#results td button", ".panels g[data-stages]", "#stages .node", "article button"] {
        let click = format!("document.querySelector('{place}').dispatchEvent(new MouseEvent('click', {{ bubbles: true }}))");
        browser.evaluate(&click);
        assert_eq!(browser.evaluate("document.getElementById('panel').open"), true, "{place}");
        let text = browser.evaluate("document.getElementById('panel-content').textContent");
        for word in ["key", "kind", "Params", "Outputs", "took", "machine"] {
            assert!(text.as_str().unwrap().contains(word), "{place}: no {word} in {text}");
        }
        browser.evaluate("document.getElementById('close').click()");
        assert_eq!(browser.evaluate("document.getElementById('panel').open"), false);
    }
    browser.evaluate("document.querySelector('.node').focus(); document.activeElement.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true }))");
    assert_eq!(browser.evaluate("document.getElementById('panel').open"), true, "by keyboard");
    browser.evaluate("document.getElementById('close').click()");
}

#[test]
fn what_models_and_people_write_is_text() {
    let mut browser = require!(Browser::start(), "Chromium");
    let hostile = "</script><script>document.title = 'owned'</script><img src=x onerror=\"document.title='owned'\">";
    let experiment = LOOP.replace("name = \"loop\"", &format!("name = '''{}'''", hostile.replace('\'', "\"")));
    let (lab, page) = page(&experiment);
    // As if a model had written it: the page's own words, between which the answers stand.
    let text = std::fs::read_to_string(&page).unwrap();
    let content = text.split_once("id=\"content\">").unwrap().1.split_once("</script>").unwrap().0;
    let mut content: Value = serde_json::from_str(content).unwrap();
    let samples = content["samples"]["answers"].as_array_mut().unwrap();
    samples.iter_mut().for_each(|sample| sample["response"] = hostile.into());
    let escaped = content.to_string().replace('<', "\\u003c");
    let start = text.find("id=\"content\">").unwrap() + "id=\"content\">".len();
    let end = start + text[start..].find("</script>").unwrap();
    let page = lab.path().join("hostile.html");
    std::fs::write(&page, format!("{}{escaped}{}", &text[..start], &text[end..])).unwrap();
    browser.open(&page, 800, 600);
    assert_ne!(browser.evaluate("document.title"), "owned");
    assert_eq!(browser.evaluate("document.querySelectorAll('img').length"), 0);
    let shown = browser.evaluate("document.querySelector('article').textContent");
    assert!(shown.as_str().unwrap().contains("onerror"), "{shown}");
    assert_eq!(browser.complaints, [Value::Null; 0]);
}
