"use strict";
// What documents and models wrote is only ever set as text.
(() => {
  const PAGE_OF_PAIRS = 25;
  const byId = (id) => document.getElementById(id);
  const parsed = (id, from = document) => JSON.parse(from.getElementById(id).textContent);
  let data = parsed("data");

  // Charts: empty ones were sent, their numbers follow by the names of their data sources.
  const charts = new Map();

  async function draw() {
    for (const { id, item } of parsed("charts")) {
      const views = await Bokeh.embed.embed_item(item, id);
      charts.set(id, views.roots[0].model.document);
    }
    fill();
    paint();
  }

  function fill() {
    for (const [id, chart] of charts) {
      const sources = Object.entries(data.numbers[id] || {});
      byId(id).closest("figure").hidden = !sources.length;
      for (const [name, columns] of sources) {
        const source = chart.get_model_by_name(name);
        if (source) source.data = "colour" in columns ? coloured(columns) : columns;
      }
    }
  }

  function coloured(columns) {
    const by = document.querySelector("input[name=colour]:checked").value;
    return { ...columns, colour: columns[`${by}_colour`].map((place) => data.palettes[by][place]) };
  }

  const dark = matchMedia("(prefers-color-scheme: dark)");
  function paint() {
    const ink = dark.matches ? "#b4bac1" : "#50565c";
    for (const chart of charts.values()) {
      for (const model of chart.roots().flatMap((root) => [...root.references()])) {
        if (model.type === "LinearAxis") {
          model.setv({ axis_label_text_color: ink, major_label_text_color: ink, axis_line_color: ink });
        }
      }
    }
  }
  dark.addEventListener("change", paint);

  // Tables: the buttons in their heads sort; what is not known stays last.
  const sorted = new Map();

  function sort(table, column, ascending) {
    const value = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
    const numbers = table.tHead.rows[0].cells[column].classList.contains("number");
    const body = table.tBodies[0];
    const rows = [...body.rows].sort((one, other) => {
      const [a, b] = [value(one), value(other)];
      if (a === "" || b === "") return (a === "") - (b === "");
      return (numbers ? a - b : a.localeCompare(b)) * (ascending ? 1 : -1);
    });
    body.append(...rows);
    [...table.tHead.rows[0].cells].forEach((head, place) => {
      head.setAttribute("aria-sort", place !== column ? "none" : ascending ? "ascending" : "descending");
    });
    sorted.set(table.id, [column, ascending]);
  }

  document.addEventListener("click", (event) => {
    const head = event.target.closest("th[aria-sort]");
    if (!head || !event.target.closest("button")) return;
    const numbers = head.classList.contains("number");
    const before = head.getAttribute("aria-sort");
    sort(head.closest("table"), head.cellIndex, before === "none" ? !numbers : before === "descending");
  });

  // Pairs.
  const controls = ["words", "status", "order"].map(byId);
  let matching = [];
  let shown = 0;

  function made(name, className, ...content) {
    const element = document.createElement(name);
    if (className) element.className = className;
    element.append(...content); // strings become text
    return element;
  }

  function read(name, className, text) {
    const element = made(name, className, text);
    element.dir = "auto";
    return element;
  }

  function fact(name, value, className) {
    const shownValue = made("b", className, String(value));
    shownValue.dir = "auto";
    return made("span", "", `${name} `, shownValue);
  }

  function card(pair) {
    const facts = made("div", "facts", fact("status", pair.s, pair.s === "kept" ? "" : "gone"));
    if (pair.r) facts.append(fact("because", pair.r));
    facts.append(fact("document", pair.d));
    if (pair.c !== null) facts.append(fact("cluster", pair.c));
    if (pair.n !== null) facts.append(fact("round", pair.n));
    for (const [name, value] of Object.entries(pair.x)) facts.append(fact(name.replaceAll("_", " "), value));
    const item = made("li", "", read("p", "question", pair.q), read("p", "answer", pair.a), facts);
    if (pair.e) {
      const passage = read("blockquote", "", "");
      passage.append(pair.b && `…${pair.b}`, made("mark", "", pair.e), pair.f && `${pair.f}…`);
      const evidence = made("details", "", made("summary", "", "Evidence"), passage);
      item.append(evidence);
    }
    return item;
  }

  function search() {
    const [words, status, order] = controls.map((control) => control.value);
    const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
    matching = data.pairs.filter((pair) => {
      const text = `${pair.q}\n${pair.a}\n${pair.e}\n${pair.d}\n${pair.r}`.toLowerCase();
      return (!status || pair.s === status) && wanted.every((word) => text.includes(word));
    });
    if (order) {
      const worth = (pair) => pair.x.utility ?? (order === "most" ? -Infinity : Infinity);
      matching.sort((one, other) => (worth(other) === worth(one) ? 0 : worth(other) > worth(one) ? 1 : -1));
      if (order === "least") matching.reverse();
    }
    byId("found").replaceChildren();
    shown = 0;
    more();
  }

  function more() {
    const next = matching.slice(shown, shown + PAGE_OF_PAIRS);
    byId("found").append(...next.map(card));
    shown += next.length;
    byId("more").hidden = shown >= matching.length;
    byId("matches").textContent = `${matching.length.toLocaleString("en")} match, ${shown.toLocaleString("en")} shown`;
  }

  function statuses() {
    const select = byId("status");
    const known = new Set([...select.options].map((option) => option.value));
    for (const status of new Set(data.pairs.map((pair) => pair.s))) {
      if (!known.has(status)) select.append(new Option(status, status));
    }
  }

  if (byId("search")) {
    statuses();
    search();
    controls.forEach((control) => control.addEventListener("input", search));
    byId("more").addEventListener("click", () => {
      const before = shown;
      more();
      byId("found").children[before].querySelector("summary")?.focus();
    });
    byId("search").addEventListener("submit", (event) => event.preventDefault());
    document.querySelectorAll("input[name=colour]").forEach((choice) =>
      choice.addEventListener("change", () => {
        document.querySelectorAll(".for-worth").forEach((key) => { key.hidden = choice.value !== "worth"; });
        fill();
      }));
  }

  // A live page asks its server for news. What comes is a page of the same server, escaped like this one; its scripts
  // never run. Parts that are unchanged stay, and with them what was opened, sorted or focused.
  const sent = new Map();

  function parts(from) {
    return [...from.querySelectorAll("[data-live]")];
  }

  function replace(html) {
    const fresh = new DOMParser().parseFromString(html, "text/html");
    const focused = document.activeElement?.id;
    for (const part of parts(fresh)) {
      const old = byId(part.id);
      if (!old || sent.get(part.id) === part.outerHTML) continue;
      sent.set(part.id, part.outerHTML);
      old.replaceWith(document.importNode(part, true));
    }
    for (const [id, [column, ascending]] of sorted) {
      if (byId(id)) sort(byId(id), column, ascending);
    }
    if (focused && document.activeElement?.id !== focused) byId(focused)?.focus();
    const earlier = JSON.stringify(data.pairs);
    data = parsed("data", fresh);
    fill();
    if (byId("search") && JSON.stringify(data.pairs) !== earlier) {
      statuses();
      const length = shown;
      search();
      while (shown < Math.min(length, matching.length)) more();
    }
  }

  async function poll(since) {
    let stamp = since;
    try {
      const answer = await fetch(`/fragment?since=${encodeURIComponent(stamp)}`, { cache: "no-store" });
      if (answer.status === 200) {
        replace(await answer.text());
        stamp = answer.headers.get("X-Stamp");
      }
      byId("live").textContent = `Live. Last change: ${byId("live").dataset.at = answer.status === 200
        ? new Date().toLocaleTimeString() : byId("live").dataset.at || "before this page was opened"}`;
    } catch {
      byId("live").textContent = "Not live: the server does not answer. This is what it last showed.";
    }
    setTimeout(() => poll(stamp), 1000 * Number(document.body.dataset.poll));
  }

  draw();
  if (document.body.dataset.poll) {
    parts(document).forEach((part) => sent.set(part.id, part.outerHTML));
    poll("");
  }
})();
