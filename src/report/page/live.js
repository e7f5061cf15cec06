"use strict";
// What the server says of the run enters the page as text, never as HTML; HTML comes as a whole page of the same server.
(() => {
  const at = (id) => document.getElementById(id);
  const element = (name, attributes, ...children) => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
    made.append(...children.filter((child) => child !== null));
    return made;
  };
  const setText = (node, text) => {
    if (node.textContent !== text) node.textContent = text;
  };
  // A name that opens the panel of its stage, if the page has it.
  const nameOf = (entry) => (entry.id === null ? element("b", null, entry.name) : element("button", { type: "button", class: "name", "data-stages": entry.id }, entry.name));
  // Keeps the elements of entries that are there still, so that focus and selection stay.
  const keep = (list, entries, keyOf, make, fill) => {
    const old = new Map([...list.children].map((child) => [child.dataset.key, child]));
    const wanted = entries.map((entry) => {
      const key = keyOf(entry);
      const made = old.get(key) || make(entry);
      made.dataset.key = key;
      fill(made, entry);
      return made;
    });
    if (wanted.length !== list.children.length || wanted.some((child, i) => list.children[i] !== child)) list.replaceChildren(...wanted);
  };

  let last = null;
  const showStatus = (status) => {
    last = status;
    at("live-message").hidden = !status.message;
    setText(at("live-message"), status.message || "");
    setText(at("live-title"), status.title);
    at("live-title").dataset.color = status.color || "";
    setText(at("live-place"), status.place);
    at("live-share").hidden = status.share === null;
    if (status.share !== null) at("live-share").value = status.share;
    keep(at("live-failures"), status.failures, (entry) => entry.name, () => element("li"), (made, entry) => {
      const said = ": " + entry.what + " — " + entry.error;
      if (made.dataset.said !== said) {
        made.dataset.said = said;
        made.replaceChildren(nameOf(entry), said);
      }
    });
    keep(at("live-running"), status.running, (entry) => entry.name + " " + entry.id,
      (entry) => element("li", null, element("progress", { max: 1, "aria-label": "Progress of " + entry.name }), nameOf(entry), element("span")),
      (made, entry) => {
        const bar = made.children[0];
        if (entry.share === null) bar.removeAttribute("value");
        else bar.value = entry.share;
        setText(made.children[2], entry.text);
      });
    const waiting = at("live-waiting");
    waiting.hidden = status.waits === 0;
    setText(waiting.querySelector("summary"), status.waits + (status.waits === 1 ? " stage waits" : " stages wait"));
    keep(waiting.querySelector("ul"), status.waiting, (entry) => entry.name + " " + entry.id, (entry) => element("li", null, nameOf(entry), element("span")),
      (made, entry) => setText(made.children[1], " waits for " + entry.for));
    colour();
  };

  // The graph's colours: a box stands for all stages of one name.
  const ORDER = ["failed", "running", "waiting", "done"];
  const WORDS = { failed: "failed", running: "running", waiting: "waits", done: "done" };
  const colour = () => {
    if (!last || last.page !== document.body.dataset.revision) return;
    for (const node of document.querySelectorAll(".node")) {
      const ids = node.getAttribute("data-stages").split(" ");
      const states = ids.map((id) => last.states[id]);
      const count = (state) => states.filter((found) => found === state).length;
      const state = ORDER.find((name) => (name === "done" ? count(name) === ids.length : count(name) > 0));
      for (const name of ORDER) node.classList.toggle("live-" + name, name === state);
      const title = node.querySelector("title");
      title.dataset.before = title.dataset.before || title.textContent;
      const told = ORDER.filter((name) => count(name) > 0).map((name) => (ids.length > 1 ? count(name) + " " : "") + WORDS[name]);
      setText(title, told.length ? title.textContent.split(": ")[0] + ": " + told.join(", ") : title.dataset.before);
    }
  };

  // The curves.
  const curves = new Map();
  const SVG = "http://www.w3.org/2000/svg";
  const WIDTH = 360, HEIGHT = 130, LEFT = 42, BOTTOM = 16, TOP = 6, RIGHT = 6;
  const drawn = (name, attributes, text) => {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const short = (number) => (Math.abs(number) >= 1e4 || (number !== 0 && Math.abs(number) < 1e-3) ? number.toExponential(1) : String(Number(number.toPrecision(3))));
  const draw = (figure, curve) => {
    const svg = figure.querySelector("svg");
    const losses = curve.points.map((point) => point[1]);
    const least = Math.min(...losses), most = Math.max(...losses);
    // A loss that falls by more than a decade is drawn on a logarithmic axis.
    const isLog = least > 0 && most / least > 10;
    const scale = isLog ? Math.log : (loss) => loss;
    const [low, high] = [scale(least), scale(most)];
    const lastStep = Math.max(curve.total, curve.points[curve.points.length - 1][0], 1);
    const x = (step) => LEFT + (step / lastStep) * (WIDTH - LEFT - RIGHT);
    const y = (loss) => TOP + (high > low ? (high - scale(loss)) / (high - low) : 0.5) * (HEIGHT - TOP - BOTTOM);
    const base = HEIGHT - BOTTOM;
    svg.replaceChildren(
      drawn("title", {}, "Loss over steps" + (isLog ? ", logarithmic" : "")),
      drawn("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: base, y2: base }),
      drawn("line", { x1: LEFT, x2: LEFT, y1: TOP, y2: base }),
      drawn("text", { x: LEFT - 4, y: TOP + 6, "text-anchor": "end" }, short(most)),
      drawn("text", { x: LEFT - 4, y: base, "text-anchor": "end" }, high > low ? short(least) : ""),
      drawn("text", { x: LEFT, y: HEIGHT - 3 }, "0"),
      drawn("text", { x: WIDTH - RIGHT, y: HEIGHT - 3, "text-anchor": "end" }, lastStep + " steps"),
      drawn("polyline", { points: curve.points.map(([step, loss]) => x(step).toFixed(1) + "," + y(loss).toFixed(1)).join(" ") }));
    const [step, loss] = curve.points[curve.points.length - 1];
    setText(figure.querySelector("figcaption span:last-child"), "loss " + short(loss) + (isLog ? " (log)" : "") + ", step " + step);
    figure.classList.toggle("over", !curve.runs);
  };
  const showCurves = (told) => {
    const names = new Set(told.map((curve) => curve.name));
    for (const name of curves.keys()) if (!names.has(name)) curves.delete(name);
    for (const curve of told) {
      const before = curves.get(curve.name) || { points: [] };
      const points = [...before.points.slice(0, curve.from), ...curve.points];
      curves.set(curve.name, { ...curve, points });
    }
    const entries = [...curves.values()].filter((curve) => curve.points.length);
    keep(at("live-curves"), entries, (curve) => curve.name, (curve) => {
      const svg = drawn("svg", { viewBox: "0 0 " + WIDTH + " " + HEIGHT, role: "img" });
      return element("figure", { class: "curve" }, element("figcaption", null, element("span", null, curve.name), element("span")), svg);
    }, draw);
  };

  // Another content of the page: what has changed is replaced; what is open and where it is scrolled to stays.
  const REPLACED = ["summary", "warnings", "results", "figures", "sizes", "shown"];
  const placed = (root, selector) => [...root.querySelectorAll(selector)];
  const keyOf = (details) => (details.querySelector("summary") || details).textContent;
  const swap = (old, fresh) => {
    if (old.innerHTML === fresh.innerHTML) return false;
    const open = new Set(placed(old, "details").filter((details) => details.open).map(keyOf));
    const shut = new Set(placed(old, "details").filter((details) => !details.open).map(keyOf));
    const scrolled = placed(old, ".scroll, .gallery").map((box) => [box.scrollLeft, box.scrollTop]);
    old.replaceChildren(...fresh.childNodes);
    for (const details of placed(old, "details")) {
      if (open.has(keyOf(details))) details.open = true;
      else if (shut.has(keyOf(details))) details.open = false;
    }
    placed(old, ".scroll, .gallery").forEach((box, i) => {
      if (scrolled[i]) [box.scrollLeft, box.scrollTop] = scrolled[i];
    });
    return true;
  };
  const swapGallery = (page) => {
    const [old, fresh] = [at("gallery"), page.getElementById("gallery")];
    if (old && fresh) return swap(old, fresh);
    if (fresh) at("stages").before(fresh);
    if (old) old.remove();
    return Boolean(old || fresh);
  };
  const replace = (page) => {
    // What is read stays where it is: the section in the middle of the screen.
    const above = placed(document, "section[id]").filter((section) => !section.hidden && section.getBoundingClientRect().top < innerHeight / 2);
    const seen = above[above.length - 1];
    const top = seen ? seen.getBoundingClientRect().top : 0;
    for (const id of REPLACED) {
      const [old, fresh] = [at(id), page.getElementById(id)];
      if (old && fresh) swap(old, fresh);
    }
    swapGallery(page);
    const [nav, freshNav] = [document.querySelector("header nav"), page.querySelector("header nav")];
    if (nav && freshNav) swap(nav, freshNav);
    at("samples").hidden = page.getElementById("samples").hidden;
    const [graph, freshGraph] = [document.querySelector(".graph"), page.querySelector(".graph")];
    if (graph.outerHTML !== freshGraph.outerHTML) graph.replaceWith(freshGraph);
    at("content").textContent = page.getElementById("content").textContent;
    document.title = page.title;
    setText(document.querySelector("h1"), page.querySelector("h1").textContent);
    document.querySelector(".question").replaceChildren(...page.querySelector(".question").childNodes);
    document.body.className = page.body.className;
    document.body.dataset.revision = page.body.dataset.revision;
    document.dispatchEvent(new Event("content-replaced"));
    if (seen && seen.isConnected && scrollY > 0) scrollBy({ top: seen.getBoundingClientRect().top - top, behavior: "instant" });
    colour();
  };
  let fetching = false;
  const refresh = async () => {
    if (fetching) return;
    fetching = true;
    try {
      while (last && last.page !== document.body.dataset.revision) {
        const before = document.body.dataset.revision;
        const answer = await fetch("/", { cache: "no-store" });
        // A server that was started anew has another token.
        if (!answer.ok) break;
        replace(new DOMParser().parseFromString(await answer.text(), "text/html"));
        if (document.body.dataset.revision === before) break;
      }
    } catch {
      // The next status tries again.
    } finally {
      fetching = false;
    }
  };

  // The log of a stage, in its panel.
  const logs = new Set();
  const closeLogs = () => {
    for (const log of logs) log.close();
    logs.clear();
  };
  const MOST = 200000;
  document.addEventListener("stage-shown", ({ detail: { stage, made } }) => {
    const text = element("pre", { tabindex: 0, "aria-label": "Log" });
    const box = element("details", { class: "log" }, element("summary", null, "Log"), text);
    let log = null;
    const open = () => {
      if (log || !box.open) return;
      text.textContent = "No log yet.";
      log = new EventSource("/log?" + new URLSearchParams({ stage: stage.name, variant: JSON.stringify(stage.variant) }));
      logs.add(log);
      log.addEventListener("begin", () => (text.textContent = ""));
      log.addEventListener("text", (event) => {
        const follows = text.scrollTop + text.clientHeight >= text.scrollHeight - 20;
        text.textContent = (text.textContent + JSON.parse(event.data)).slice(-MOST);
        if (follows) text.scrollTop = text.scrollHeight;
      });
    };
    const close = () => {
      if (log) {
        log.close();
        logs.delete(log);
      }
      log = null;
    };
    box.addEventListener("toggle", () => (box.open ? open() : close()));
    made.querySelector("summary").after(box);
    const state = last && last.states[stage.id];
    box.open = state === "running" || state === "failed";
  });
  at("panel").addEventListener("close", closeLogs);

  // The stream of the server; a page that nobody sees has none.
  let events = null;
  const connect = () => {
    if (events || document.hidden) return;
    events = new EventSource("/events");
    events.addEventListener("open", () => (at("live-lost").hidden = true));
    events.addEventListener("error", () => {
      at("live-lost").hidden = false;
      // Where the server has refused, the browser does not try again by itself.
      if (events && events.readyState === EventSource.CLOSED) {
        events = null;
        setTimeout(connect, 5000);
      }
    });
    events.addEventListener("status", (event) => {
      showStatus(JSON.parse(event.data));
      refresh();
    });
    events.addEventListener("curves", (event) => showCurves(JSON.parse(event.data)));
  };
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) return connect();
    if (events) events.close();
    events = null;
  });
  addEventListener("pagehide", () => {
    if (events) events.close();
    events = null;
  });
  addEventListener("pageshow", connect);
  connect();
})();
