// Draws the matrix from the page's data. Everything from outside goes in as textContent, never as markup.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const n = data.corpora.length;
  const state = { view: 0, order: "given", row: 0, column: 0, open: null, feature: 0 };
  const tip = document.getElementById("tip");
  const PAIR = /^#pair=(\d+),(\d+)$/; // the address of a cell
  const PIXELS = 4; // of a png for each of its chart's: 1360 wide, as a column of a paper takes at 400 dpi

  function el(name, attributes = {}, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
      else if (value === true) made.setAttribute(key, "");
      else if (value !== false && value != null) made.setAttribute(key, value);
    }
    made.append(...children);
    return made;
  }

  const label = (i) => data.corpora[i].label + (data.corpora[i].proxy ? " *" : "");
  const view = () => data.views[state.view];
  const shown = (value) => (Math.abs(value) >= 100 ? value.toFixed(0) : Math.abs(value) >= 10 ? value.toFixed(1) : value.toFixed(2));
  const exact = (value) => value.toPrecision(3);

  function order() {
    const given = [...Array(n).keys()];
    if (state.order === "name") return given.sort((a, b) => (data.corpora[a].label < data.corpora[b].label ? -1 : 1));
    return state.order === "likeness" ? view().order : given;
  }

  // --- Copy a text; download a table as csv, a chart as a picture ---

  function button(text, then, name = null) {
    return el("button", { type: "button", class: "small", onclick: then, "aria-label": name }, text);
  }
  function copying(text, content) {
    const copy = button(text, async () => {
      try {
        await navigator.clipboard.writeText(content());
        copy.textContent = "Copied";
      } catch {
        copy.textContent = "Not allowed here: select it, and copy";
      }
    });
    return copy;
  }
  function download(name, blob) {
    const url = URL.createObjectURL(blob);
    el("a", { href: url, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  }
  const slug = (text) => text.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "") || "table";
  const quoted = (value) => (/[",\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : String(value));
  const cellsOf = (table) => [...table.rows].map((row) => [...row.cells].map((cell) => cell.textContent.replaceAll("−", "-")));
  function asCsv(name, rows) {
    const text = () => rows().map((row) => row.map(quoted).join(",")).join("\n") + "\n";
    return button("csv", () => download(`${name}.csv`, new Blob([text()], { type: "text/csv" })), `Download ${name} as csv`);
  }
  function drawing(svg) {
    const copy = svg.cloneNode(true), all = [copy, ...copy.querySelectorAll("*")], own = [svg, ...svg.querySelectorAll("*")];
    const { width, height } = svg.viewBox.baseVal;
    for (const [key, value] of [["xmlns", "http://www.w3.org/2000/svg"], ["width", width], ["height", height]]) copy.setAttribute(key, value);
    // what the page's style says of each element goes into the file
    all.forEach((part, k) => {
      const style = getComputedStyle(own[k]);
      for (const key of ["fill", "stroke", "stroke-width", "stroke-dasharray", "opacity", "fill-opacity", "font", "text-anchor"]) part.style.setProperty(key, style.getPropertyValue(key));
    });
    const paper = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    for (const [key, value] of [["width", "100%"], ["height", "100%"], ["fill", getComputedStyle(document.body).backgroundColor]]) paper.setAttribute(key, value);
    copy.prepend(paper);
    return new XMLSerializer().serializeToString(copy);
  }
  function png(svg, then) {
    const picture = new Image();
    picture.onload = () => {
      const canvas = el("canvas", { width: PIXELS * picture.width, height: PIXELS * picture.height });
      canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
      canvas.toBlob(then);
    };
    picture.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(drawing(svg))}`;
  }

  // --- The grid: one cell is in the tab order, arrows move it ---

  const box = el("div", { class: "matrix scroll" });
  const about = el("p", { class: "about" });
  const ends = [el("span"), el("span")];
  const provenance = el("p", { class: "source" });
  const panel = el("div", { class: "panel", id: "pair", "aria-live": "polite", hidden: true });

  function draw() {
    const { values, atCeiling, alike, symmetric, metric, feature } = view();
    const places = order();
    const all = values.flat();
    const low = Math.min(...all), high = Math.max(...all);
    const likeness = (value) => (high === low ? 0.5 : alike === "high" ? (value - low) / (high - low) : (high - value) / (high - low));
    const head = el("tr", {}, el("td", { role: "presentation", class: "corner" }));
    head.firstChild.removeAttribute("tabindex");
    for (const j of places) head.append(el("th", { scope: "col", title: data.corpora[j].name }, el("span", {}, label(j))));
    const body = el("tbody");
    places.forEach((i, row) => {
      const line = el("tr", {}, el("th", { scope: "row", title: data.corpora[i].name }, label(i)));
      places.forEach((j, column) => {
        const t = likeness(values[i][j]);
        const cell = el("td", {
          role: "gridcell", tabindex: row === state.row && column === state.column ? 0 : -1,
          "data-row": row, "data-column": column, "data-i": i, "data-j": j,
          "aria-label": view().says[i][j],
          "aria-selected": String(Boolean(state.open && state.open[0] === i && state.open[1] === j)),
          class: (t > 0.6 ? "strong" : t > 0.5 ? "middle" : "") + (i === j ? " self" : ""),
        }, (atCeiling[i][j] ? "≈" : "") + shown(values[i][j]));
        cell.style.setProperty("--t", `${(6 + 94 * t).toFixed(1)}%`);
        line.append(cell);
      });
      body.append(line);
    });
    const name = `${metric} on ${feature}` + (symmetric ? "" : "; row: source, column: target");
    box.replaceChildren(el("table", { role: "grid", "aria-label": `Similarity, ${name}` }, el("thead", {}, head), body));
    about.textContent = `${view().measure}. ${view().about}${symmetric ? "" : " Rows are the source, columns the target."}`;
    const [least, most] = alike === "high" ? [low, high] : [high, low];
    ends[0].textContent = `less similar ${exact(least)}`;
    ends[1].textContent = `${exact(most)} more similar`;
    provenance.textContent = view().source;
  }

  // every view, and not the one that is shown: one row per cell
  const similarities = () => [["metric", "feature", "source", "target", "value", "low", "high"], ...data.views.flatMap(
    ({ metric, feature, values, low, high }) => values.flatMap((row, i) => row.map((value, j) =>
      [metric, feature, data.corpora[i].name, data.corpora[j].name, value, low[i][j], high[i][j]])))];

  const at = (row, column) => box.querySelector(`td[data-row="${row}"][data-column="${column}"]`);
  const cellOf = (event) => event.target.closest("td[data-row]");

  function move(row, column) {
    const before = at(state.row, state.column);
    state.row = Math.max(0, Math.min(n - 1, row));
    state.column = Math.max(0, Math.min(n - 1, column));
    const now = at(state.row, state.column);
    before.tabIndex = -1;
    now.tabIndex = 0;
    now.focus();
    now.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  box.addEventListener("keydown", (event) => {
    const cell = cellOf(event);
    if (!cell) return;
    const row = +cell.dataset.row, column = +cell.dataset.column, far = event.ctrlKey;
    const moves = {
      ArrowUp: [row - 1, column], ArrowDown: [row + 1, column], ArrowLeft: [row, column - 1], ArrowRight: [row, column + 1],
      Home: [far ? 0 : row, 0], End: [far ? n - 1 : row, n - 1],
    };
    if (moves[event.key]) move(...moves[event.key]);
    else if (event.key === "Enter" || event.key === " ") open(+cell.dataset.i, +cell.dataset.j);
    else if (event.key === "Escape") (tip.hidden ? close() : hide());
    else return;
    event.preventDefault();
  });
  box.addEventListener("click", (event) => {
    const cell = cellOf(event);
    if (!cell) return;
    move(+cell.dataset.row, +cell.dataset.column);
    hide();
    open(+cell.dataset.i, +cell.dataset.j);
  });

  // --- The tip ---

  function tell(cell) {
    const i = +cell.dataset.i, j = +cell.dataset.j, { values, low, high, sizeFree } = view();
    const itself = sizeFree ? "itself" : "its noise ceiling";
    const ceilings = sizeFree ? "" : `; noise ceilings ${exact(values[i][i])}${i === j ? "" : ` and ${exact(values[j][j])}`}`;
    const sizes = (i === j ? [i] : [i, j]).map((k) => el("div", {}, `${label(k)}: ${data.corpora[k].size}`));
    tip.replaceChildren(
      el("b", {}, i === j ? `${label(i)}, ${itself}` : `${label(i)} and ${label(j)}`),
      el("div", {}, `${exact(values[i][j])}, 95% ${exact(low[i][j])} to ${exact(high[i][j])}${ceilings}`),
      ...sizes);
    tip.hidden = false;
    const there = cell.getBoundingClientRect(), own = tip.getBoundingClientRect();
    const left = Math.max(8, Math.min(there.left + there.width / 2 - own.width / 2, innerWidth - own.width - 8));
    const above = there.top - own.height - 8;
    tip.style.left = `${left}px`;
    tip.style.top = `${above > 8 ? above : there.bottom + 8}px`;
    cell.setAttribute("aria-describedby", "tip");
  }
  function hide() {
    tip.hidden = true;
    box.querySelectorAll("[aria-describedby]").forEach((cell) => cell.removeAttribute("aria-describedby"));
  }
  for (const [begin, end] of [["mouseover", "mouseout"], ["focusin", "focusout"]]) {
    box.addEventListener(begin, (event) => cellOf(event) && tell(cellOf(event)));
    box.addEventListener(end, hide);
  }
  // a move by keyboard scrolls its cell into view, and the tip goes with it
  addEventListener("scroll", () => {
    const cell = document.activeElement;
    if (cell.matches('td[aria-describedby="tip"]')) tell(cell);
    else hide();
  }, { passive: true });

  // --- The panel: what makes a pair differ ---

  function open(i, j, quietly = false) {
    state.open = [i, j];
    if (!quietly) history.replaceState(null, "", `#pair=${i},${j}`);
    box.querySelectorAll("td[data-row]").forEach((cell) =>
      cell.setAttribute("aria-selected", String(+cell.dataset.i === i && +cell.dataset.j === j)));
    drawPanel();
    if (!quietly) panel.scrollIntoView({ block: "nearest" });
  }
  function close() {
    state.open = null;
    panel.hidden = true;
    box.querySelectorAll('[aria-selected="true"]').forEach((cell) => cell.setAttribute("aria-selected", "false"));
    at(state.row, state.column).focus();
  }
  panel.addEventListener("keydown", (event) => event.key === "Escape" && close());

  function drawPanel() {
    if (!state.open) return;
    const [i, j] = state.open;
    const shut = el("button", { type: "button", onclick: close }, "Close");
    const title = el("h3", {}, i === j ? `${label(i)} against itself` : `${label(i)} and ${label(j)}`);
    const parts = [el("div", { class: "head" }, title, shut), el("p", {}, view().says[i][j])];
    for (const k of new Set([i, j])) {
      const { name, size, proxy } = data.corpora[k];
      parts.push(el("p", { class: "note" }, `${label(k)}: ${size}${proxy ? `; proxy corpus: ${proxy}` : ""}${name === data.corpora[k].label ? "" : ` (${name})`}`));
    }
    if (i !== j) parts.push(...difference(i, j));
    const link = copying("Copy link", () => location.href.replace(/#.*|$/, `#pair=${i},${j}`));
    parts.push(el("div", { class: "downloads" }, link, ...(i === j ? [] : [asCsv(`difference-${slug(label(i))}-${slug(label(j))}`, () => partsOf(i, j))])));
    panel.replaceChildren(...parts);
    panel.hidden = false;
  }

  function difference(i, j) {
    const turned = i > j;
    const [bits, inA, inB] = data.pairs[turned ? `${j}-${i}` : `${i}-${j}`][state.feature];
    const sides = turned ? [[i, inB], [j, inA]] : [[i, inA], [j, inB]];
    const choices = choose("What makes the difference, on", data.featureTitles, state.feature, (k) => { state.feature = k; drawPanel(); panel.querySelectorAll("input")[k].focus(); }, "feature");
    const grams = sides.map(([who, rows]) => {
      const head = ["n-gram", "of the difference", `per million in ${label(i)}`, `in ${label(j)}`];
      const body = rows.map(([gram, part, a, b]) => [el("code", {}, gram), `${(100 * part / bits).toFixed(1)}%`, ...(turned ? [b, a] : [a, b]).map((v) => v.toLocaleString("en"))]);
      const table = grid(head, body), excerpts = data.examples[who]?.[state.feature] ?? {};
      table.querySelectorAll("tbody tr").forEach((line, k) => openable(line, excerpts[rows[k][0]] ?? []));
      return el("div", {}, el("h4", {}, `More in ${label(who)}`), table);
    });
    const told = `Jensen-Shannon divergence on ${data.featureTitles[state.feature]}: ${bits.toFixed(3)} bits per ${data.symbols[state.feature]}, 1 at most, on all that was counted. The largest parts of it:`;
    return [choices, el("p", { class: "about" }, told), el("div", { class: "sides" }, ...grams)];
  }

  // the n-gram of a row becomes a button that shows where it stands in documents, in a row below
  function openable(line, excerpts) {
    if (!excerpts.length) return;
    const below = el("tr", { class: "excerpts", hidden: true }, el("td", { colspan: line.cells.length }, ...excerpts.map((text) => el("blockquote", {}, text))));
    const opener = el("button", { type: "button", class: "small", "aria-expanded": "false", onclick: () => {
      below.hidden = !below.hidden;
      opener.setAttribute("aria-expanded", String(!below.hidden));
    } }, line.cells[0].firstChild);
    line.cells[0].append(opener);
    line.after(below);
  }

  function partsOf(i, j) {
    const rows = [["feature", "more_in", "ngram", "bits", `per_million_${label(i)}`, `per_million_${label(j)}`]];
    const turned = i > j;
    data.pairs[turned ? `${j}-${i}` : `${i}-${j}`].forEach(([, ...sides], k) => sides.forEach((grams, side) => {
      const who = turned === (side === 1) ? i : j;
      for (const [gram, bits, a, b] of grams) rows.push([data.features[k], label(who), gram, bits, ...(turned ? [b, a] : [a, b])]);
    }));
    return rows;
  }

  function grid(head, rows) {
    const cell = (value, k, name) => el(name, k ? { class: "n" } : {}, value);
    const table = el("table", {}, el("thead", {}, el("tr", {}, ...head.map((text, k) => cell(text, k, "th")))),
      el("tbody", {}, ...rows.map((row) => el("tr", {}, ...row.map((value, k) => cell(value, k, "td"))))));
    return el("div", { class: "scroll" }, table);
  }

  function choose(title, names, chosen, then, group) {
    const labels = names.map((name, k) => el("label", {},
      el("input", { type: "radio", name: group, value: k, checked: k === chosen, onchange: () => then(k) }), el("span", {}, name)));
    return el("fieldset", { id: group }, el("legend", {}, title), el("div", { class: "choices" }, ...labels));
  }

  // --- Controls ---

  const metrics = choose("Measured by", data.views.map((one) => one.title), 0, (k) => {
    state.view = k;
    draw();
    drawPanel();
  }, "metric");
  const sort = el("select", { id: "sort", onchange: (event) => { state.order = event.target.value; draw(); } },
    ...[["given", "as given"], ["name", "by name"], ["likeness", "by similarity"]].map(([value, text]) => el("option", { value }, text)));
  const hint = el("p", { class: "about hint" }, "Choose a cell to see which words and patterns make the difference. With the keyboard: arrows, Enter, Escape.");
  document.getElementById("matrix-view").append(
    el("div", { class: "controls" }, metrics, el("label", {}, el("span", {}, "Order"), sort)),
    about,
    el("div", { class: "beside" },
      el("div", {}, box, el("div", { class: "scale" }, ends[0], el("i"), ends[1]),
        el("div", { class: "downloads" }, asCsv("similarity", similarities)), hint), panel),
    provenance);
  draw();
  const link = PAIR.exec(location.hash);
  const [first, second] = link ? [+link[1], +link[2]] : data.open;
  if (first < n && second < n) open(first, second, !link);
  addEventListener("hashchange", () => {
    const pair = PAIR.exec(location.hash);
    if (pair && pair[1] < n && pair[2] < n) open(+pair[1], +pair[2]);
  });

  document.querySelectorAll("pre.command").forEach((pre) => pre.after(copying("Copy", () => pre.textContent)));
  document.querySelectorAll("figure.chart").forEach((figure) => {
    const title = slug(figure.querySelector("figcaption").textContent), svg = figure.querySelector("svg");
    const pictures = svg ? [
      button("png", () => png(svg, (blob) => download(`${title}.png`, blob)), `Download ${title} as png`),
      button("svg", () => download(`${title}.svg`, new Blob([drawing(svg)], { type: "image/svg+xml" })), `Download ${title} as svg`),
    ] : [];
    figure.append(el("div", { class: "downloads" }, ...pictures, asCsv(title, () => cellsOf(figure.querySelector("table")))));
  });
  document.querySelectorAll("main .scroll > table").forEach((table) => {
    if (table.closest(".matrix, #pair, figure")) return;
    const title = slug((table.caption || table.closest("section").querySelector("h2")).textContent);
    table.parentElement.after(el("div", { class: "downloads" }, asCsv(title, () => cellsOf(table))));
  });

  const theme = document.getElementById("theme"), root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  let dark = system.matches, own = false;
  const say = () => { theme.textContent = dark ? "Light" : "Dark"; theme.setAttribute("aria-label", `Switch to ${dark ? "light" : "dark"} colours`); };
  theme.addEventListener("click", () => { dark = !dark; own = true; root.style.colorScheme = dark ? "dark" : "light"; say(); });
  system.addEventListener("change", (event) => { if (!own) { dark = event.matches; say(); } });
  theme.hidden = false;
  say();
})();
