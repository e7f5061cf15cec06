"use strict";
// Text by models or people enters the page as text, never as HTML.
(() => {
  const PAGE = 20;
  let content;
  let stages;
  const read = () => {
    content = JSON.parse(document.getElementById("content").textContent);
    stages = new Map(content.stages.map((stage) => [stage.id, stage]));
  };
  read();

  const element = (name, attributes, ...children) => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
    made.append(...children.filter((child) => child !== null));
    return made;
  };
  const titleOf = (stage) => {
    const variant = Object.entries(stage.variant).map(([axis, value]) => axis + "=" + value);
    return stage.name + (variant.length ? " (" + variant.join(", ") + ")" : "");
  };

  // The panel: the stages that a number comes from.
  const panel = document.getElementById("panel");
  const STATES = { ran: "in the store, from the latest run", cached: "in the store, from an earlier run", run: "to run", unknown: "to run after others" };
  const list = (entries) => {
    const made = element("dl");
    for (const [name, value] of entries) {
      if (value === null || value === undefined || value === "") continue;
      made.append(element("dt", null, name), element("dd", null, value));
    }
    return made;
  };
  const leaves = (value, path) => {
    if (value !== null && typeof value === "object" && !Array.isArray(value)) {
      return Object.entries(value).flatMap(([key, inner]) => leaves(inner, path ? path + "." + key : key));
    }
    return [[path, element("code", null, typeof value === "string" ? value : JSON.stringify(value))]];
  };
  const digest = (text) => (text ? element("code", null, text) : "not there yet");
  const section = (title, entries) => (entries.length ? [element("h4", null, title), list(entries)] : []);
  const inputOf = (input) => {
    const from = stages.get(input.stage);
    const source = from ? element("button", { type: "button", "data-stages": input.stage }, titleOf(from) + "." + input.output) : "";
    return [input.port, element("span", null, source, " ", digest(input.digest))];
  };
  const heldOut = (found) => {
    if (!found) return "";
    const early = found.stopped_early ? ", stopped early" : "";
    return "; held-out loss " + found.best_loss.toPrecision(4) + " at best, after step " + found.best_step + "; weights of step " + found.kept_step + early;
  };
  const outputOf = (output) => {
    const rows = output.rows === null ? "" : output.rows.toLocaleString("en") + " rows, ";
    const size = " (" + rows + output.bytes.toLocaleString("en") + " bytes)";
    return [output.port, element("span", null, digest(output.digest), size + heldOut(output.validation))];
  };
  const ranOf = (ran) => [
    ["began", ran.at + " UTC"],
    ["took", ran.took + " on " + ran.threads + (ran.threads === 1 ? " thread" : " threads")],
    ["machine", ran.host + ": " + ran.cores + " cores, " + ran.instruction_set],
    ["runner", ran.runner],
    ["run", element("code", null, ran.run)],
    ["ran for", ran.experiment],
  ];
  // What the stage wrote for people stands in the gallery; the panel has it too.
  const picturesOf = (stage) => {
    const shots = document.querySelectorAll('#gallery [data-of="' + stage.id + '"]');
    return shots.length ? [element("h4", null, "Pictures and texts"), ...[...shots].map((shot) => shot.cloneNode(true))] : [];
  };
  const describe = (stage, open) => {
    const made = element("details", null, element("summary", null, titleOf(stage)));
    // Of many stages, only those that are opened are described.
    const fill = () => {
      if (made.childElementCount > 1) return;
      made.append(...about(stage));
      document.dispatchEvent(new CustomEvent("stage-shown", { detail: { stage, made } }));
    };
    if (open) {
      fill();
      made.open = true;
    }
    made.addEventListener("toggle", fill);
    return made;
  };
  const about = (stage) => {
    const facts = list([
      ["kind", stage.kind],
      ["state", STATES[stage.state] + (stage.reason ? ": " + stage.reason : "")],
      ["key", stage.key ? element("code", null, stage.key) : "known when its inputs are"],
      ["seed", stage.seed === null ? null : String(stage.seed)],
      ["numbers", stage.numerics],
    ]);
    return [
      facts,
      ...picturesOf(stage),
      ...section("When and where", stage.ran ? ranOf(stage.ran) : []),
      ...section("Params", stage.params === null ? [] : leaves(stage.params, "")),
      ...section("Inputs", stage.inputs.map(inputOf)),
      ...section("Outputs", stage.outputs.map(outputOf)),
    ];
  };
  const show = (ids) => {
    const chosen = ids.split(" ").map((id) => stages.get(Number(id))).filter(Boolean);
    if (!chosen.length) return;
    document.getElementById("panel-title").textContent = chosen.length === 1 ? chosen[0].name : chosen.length + " stages";
    document.getElementById("panel-content").replaceChildren(...chosen.map((stage, i) => describe(stage, i === 0)));
    if (!panel.open) panel.showModal();
    panel.scrollTop = 0;
  };
  document.addEventListener("click", (event) => {
    const leads = event.target.closest("[data-stages]");
    if (leads) show(leads.getAttribute("data-stages"));
    else if (event.target === panel) panel.close();
  });
  document.addEventListener("keydown", (event) => {
    const node = event.target.closest && event.target.closest(".node");
    if (node && (event.key === "Enter" || event.key === " ")) {
      event.preventDefault();
      show(node.getAttribute("data-stages"));
    }
  });
  document.getElementById("close").addEventListener("click", () => panel.close());

  // The graph: the edges of the stage under the pointer.
  const lightEdges = () => {
    for (const node of document.querySelectorAll(".node")) {
      const number = node.getAttribute("data-node");
      const edges = document.querySelectorAll('.edge[data-from="' + number + '"], .edge[data-to="' + number + '"]');
      const light = (on) => edges.forEach((edge) => edge.classList.toggle("lit", on));
      for (const name of ["pointerenter", "focus"]) node.addEventListener(name, () => light(true));
      for (const name of ["pointerleave", "blur"]) node.addEventListener(name, () => light(false));
    }
  };
  lightEdges();

  // The samples.
  const form = document.getElementById("filters");
  const more = document.getElementById("more");
  let what;
  let problems;
  let answers;
  let searched;
  const relation = (answer) => (answer.fields ? undefined : Math.sign(answer.steps - problems[answer.problem].steps));
  const words = (answer) => {
    if (answer.fields) return [answer.id, ...answer.fields.flat()];
    const problem = problems[answer.problem];
    return [problem.id, problem.question, problem.solution, answer.response];
  };
  const options = (name, entries) => {
    const field = form.elements[name];
    const chosen = field.value;
    field.length = 1;
    for (const [value, text] of new Map(entries)) field.append(element("option", { value }, text));
    field.value = chosen;
    if (field.selectedIndex < 0) field.selectedIndex = 0;
  };
  const readSamples = () => {
    const { samples } = content;
    what = samples.examples.length === 0 ? "answer" : samples.answers.length === 0 ? "example" : "sample";
    problems = samples.problems;
    // Answers to problems, then examples that programs wrote: these have fields.
    answers = [...samples.answers, ...samples.examples];
    searched = answers.map((answer) => words(answer).join("\n").toLowerCase());
    options("stage", answers.map((answer) => [String(answer.stage), stages.has(answer.stage) ? titleOf(stages.get(answer.stage)) : "?"]));
    options("data", answers.filter((answer) => answer.data).map((answer) => [answer.data, answer.data]));
    for (const name of ["verdict", "steps"]) form.elements[name].closest("label").style.display = samples.answers.length ? "" : "none";
    order = answers.map((_, i) => i).sort((i, j) => rank(answers[i]) - rank(answers[j]) || i - j);
  };

  const lines = (text) => text.split("\n").filter((line) => line.trim() !== "");
  // Steps are the same whatever their number: `2. 8 + 0 …`.
  const unnumbered = (line) => line.trim().replace(/^\d+\.\s*/, "");
  const steps = (title, text, other, mark) => {
    const known = new Set(lines(other).map(unnumbered));
    const made = element("ol", { class: "steps" });
    for (const line of lines(text)) made.append(element("li", known.has(unnumbered(line)) ? null : { class: mark }, line));
    return element("div", null, element("h3", null, title), made);
  };
  const example = ({ id, stage, data, fields }) => {
    const made = stages.get(stage);
    const head = element("header", null,
      element("span", null, id),
      data ? element("span", null, data) : null,
      made ? element("button", { type: "button", "data-stages": stage }, titleOf(made)) : null);
    const rows = fields.map(([name, text]) => element("tr", null, element("th", null, name), element("td", null, text)));
    return element("article", null, head, element("table", { class: "fields" }, element("tbody", null, ...rows)));
  };
  const article = (answer) => {
    if (answer.fields) return example(answer);
    const problem = problems[answer.problem];
    const verdict = answer.right ? "right" : "wrong";
    const luck = verdicts.luck(answer);
    const asked = answer.requested === null ? "" : ", asked for " + answer.requested;
    const stage = stages.get(answer.stage);
    const head = element("header", null,
      element("span", { class: luck ? "luck" : verdict }, luck ? "right, but a step does not follow" : verdict),
      element("span", null, answer.steps + " of " + problem.steps + " steps" + asked),
      answer.complete ? null : element("span", null, "without an end"),
      element("span", null, answer.data),
      stage ? element("button", { type: "button", "data-stages": answer.stage }, titleOf(stage)) : null,
      element("span", null, problem.id));
    const pair = element("div", { class: "pair" },
      steps("Full solution", problem.solution, answer.response, "gone"),
      steps("Answer", answer.response, problem.solution, "own"));
    return element("article", null, head, element("p", { class: "question" }, problem.question), pair);
  };

  let found = [];
  let shown = 0;
  const extend = () => {
    const next = found.slice(shown, shown + PAGE);
    document.getElementById("list").append(...next.map((i) => article(answers[i])));
    shown += next.length;
    more.hidden = shown >= found.length;
    document.getElementById("count").textContent = found.length + " " + what + (found.length === 1 ? "" : "s");
  };
  // First answers with fewer steps, then wrong ones.
  const rank = (answer) => (relation(answer) < 0 ? 0 : answer.right || answer.fields ? 2 : 1);
  let order = [];
  const verdicts = {
    "": () => true,
    right: (answer) => answer.right,
    luck: (answer) => answer.right && !answer.valid,
    wrong: (answer) => !answer.fields && !answer.right,
    incomplete: (answer) => !answer.fields && !answer.complete,
  };
  const filter = () => {
    const wanted = Object.fromEntries(new FormData(form));
    const sought = wanted.text.toLowerCase().split(/\s+/).filter((word) => word);
    const sign = { fewer: -1, same: 0, more: 1 }[wanted.steps];
    const fits = (answer, i) =>
      sought.every((word) => searched[i].includes(word)) &&
      (!wanted.stage || String(answer.stage) === wanted.stage) &&
      (!wanted.data || answer.data === wanted.data) &&
      verdicts[wanted.verdict](answer) &&
      (sign === undefined || relation(answer) === sign);
    found = order.filter((i) => fits(answers[i], i));
    shown = 0;
    document.getElementById("list").replaceChildren();
    extend();
  };
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  more.addEventListener("click", extend);
  readSamples();
  filter();

  // A page that a server keeps up to date has another content from time to time.
  document.addEventListener("content-replaced", () => {
    read();
    lightEdges();
    const before = shown;
    readSamples();
    filter();
    while (shown < before && shown < found.length) extend();
  });
})();
