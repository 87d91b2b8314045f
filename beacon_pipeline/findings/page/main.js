// What happens when the page is open: unpack, show the matrix, follow the filters and the keys.

// A browser may refuse storage to a file: then marks last as long as the page.
function kept(name) {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}

function keep(name, value) {
  try {
    localStorage.setItem(name, value);
  } catch {
    say("This browser keeps nothing for this page: save before you close it");
  }
}

function say(text) {
  for (const place of document.querySelectorAll("[data-says]")) place.textContent = text;
}

function fillChoices(records) {
  const choices = { region: records.regions, model: records.models, question: records.questions, arm: records.arms,
    status: records.values("status"), kind: records.states };
  for (const [name, values] of Object.entries(choices)) {
    const select = byId(`filter-${name}`);
    for (const value of values) {
      const shown = name === "kind" ? KINDS[value][1] : visible(value);
      select.append(make("option", { value }, shown));
    }
    if (values.length < 2) select.closest("label").hidden = true;
  }
  byId("only-changed").closest("label").hidden = records.jobs.length < 2;
  byId("only-prompts").closest("label").hidden = records.arms.length < 2;
}

function later(work, milliseconds) {
  let timer;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(work, milliseconds);
  };
}

// Work in the pauses of a person until it says that it is done.
function whenIdle(work) {
  requestIdleCallback((deadline) => {
    if (!work(deadline)) whenIdle(work);
  });
}

function followFilters(matrix, table) {
  const show = () => {
    table.clear().rows.add(matrix.apply()).draw();
    byId("count").textContent = `${matrix.visible.length} of ${matrix.rows.length} rows`;
    document.documentElement.dataset.filtered = String(performance.now());
  };
  for (const name of Object.keys(matrix.filters).filter((n) => n !== "text")) {
    byId(`filter-${name}`).addEventListener("change", (event) => {
      matrix.filters[name] = event.target.value;
      show();
    });
  }
  for (const name of Object.keys(matrix.only)) {
    byId(`only-${name}`).addEventListener("change", (event) => {
      matrix.only[name] = event.target.checked;
      show();
    });
  }
  const search = later(() => {
    matrix.filters.text = byId("filter-text").value;
    show();
  }, 80);
  byId("filter-text").addEventListener("input", search);
  // From the search to what was found; a form that is sent would be one request.
  byId("filters").addEventListener("submit", (event) => {
    event.preventDefault();
    byId("matrix").querySelector("button.open")?.focus();
  });
  byId("filters").addEventListener("reset", () => setTimeout(() => {
    for (const name of Object.keys(matrix.filters)) matrix.filters[name] = "";
    for (const name of Object.keys(matrix.only)) matrix.only[name] = false;
    show();
  }));
  show();
}

// In the matrix the arrows go from row to row; "/" goes to the search, "l" labels, "t" turns the theme.
function followKeys(labelling) {
  byId("matrix").addEventListener("keydown", (event) => {
    const by = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1 }[event.key];
    if (!by || !event.target.matches("button.open")) return;
    const buttons = [...byId("matrix").querySelectorAll("button.open")];
    const next = buttons[buttons.indexOf(event.target) + by];
    if (next) {
      event.preventDefault();
      next.focus();
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.target.matches("input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (document.querySelector("dialog[open]")) return;
    const does = { "/": () => byId("filter-text").focus(), l: () => labelling.start(), t: turnTheme }[event.key];
    if (!does) return;
    event.preventDefault();
    does();
  });
}

const THEMES = ["auto", "light", "dark"];

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  byId("theme").textContent = `Theme: ${theme}`;
}

function turnTheme() {
  const next = THEMES[(THEMES.indexOf(document.documentElement.dataset.theme) + 1) % THEMES.length];
  setTheme(next);
  keep("beacon-theme", next);
}

function openAddressed(matrix, cell) {
  const key = location.hash.startsWith("#cell=") ? decodeURIComponent(location.hash.slice(6)) : null;
  const row = key && matrix.rows.find((each) => each.key === key);
  if (row && row !== cell.row) cell.open(row);
  else if (row && !cell.dialog.open) cell.open(row);
}

async function start() {
  byId("theme").hidden = false;
  byId("theme").addEventListener("click", turnTheme);
  setTheme(THEMES.includes(kept("beacon-theme")) ? kept("beacon-theme") : "auto");
  const [packed, codes] = await Promise.all([unpacked("data"), unpackedBytes("texts")]);
  const records = new Records(packed, codes);
  const matrix = new Matrix(records);
  fillChoices(records);
  byId("matrix-section").hidden = false;
  const table = tableOf(matrix, (row) => cell.open(row));
  const cell = new Cell(matrix, table);
  const labelling = new Labelling(matrix);
  followFilters(matrix, table);
  followKeys(labelling);
  byId("label-start").addEventListener("click", () => labelling.start());
  window.addEventListener("hashchange", () => openAddressed(matrix, cell));
  openAddressed(matrix, cell);
  document.documentElement.dataset.ready = String(performance.now());
  whenIdle((deadline) => records.lowerUntil(() => deadline.timeRemaining() < 2));
}

start().catch((error) => {
  byId("broken").hidden = false;
  byId("broken").textContent = `The answers cannot be shown in this browser: ${error.message}`;
});
