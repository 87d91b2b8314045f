// The matrix: a row for each model, question and prompt, a column for each side (region, or job and region).

class Matrix {
  constructor(records) {
    this.records = records;
    this.filters = { region: "", model: "", question: "", arm: "", status: "", kind: "", text: "" };
    this.only = { different: false, prompts: false, refusals: false, changed: false };
    this.rows = this.#grouped();
    this.visible = this.rows;
  }

  #grouped() {
    const rows = new Map();
    const r = this.records;
    for (let i = 0; i < r.size; i += 1) {
      if (r.get("probe", i)) continue;
      const [model, question, arm] = [r.get("model", i), r.get("question", i), r.get("arm", i)];
      const key = [model, question, arm].join("|");
      let row = rows.get(key);
      if (!row) rows.set(key, (row = { key, model, question, arm, sides: new Map(), position: rows.size }));
      const side = sideOf(r, i);
      if (!row.sides.has(side)) row.sides.set(side, []);
      row.sides.get(side).push(i);
    }
    const found = [...rows.values()];
    const sides = r.jobs.flatMap((job) => r.regions.map((region) => `${job}\n${region}`));
    for (const row of found) {
      row.sides = new Map(sides.filter((side) => row.sides.has(side)).map((side) => [side, row.sides.get(side)]));
      Object.assign(row, this.#compared(row));
    }
    this.#comparePrompts(found);
    return found.sort((a, b) => a.question.localeCompare(b.question) || a.position - b.position);
  }

  // Whether the texts of some region are not another's within a job, and whether a region's changed
  // between the jobs; `texts` are each side's, as a set.
  #compared(row) {
    const texts = new Map();
    for (const [side, members] of row.sides) {
      const usable = members.filter((i) => this.records.get("usable", i));
      if (!usable.length) continue;
      const codes = new Set(usable.map((i) => this.records.get("answer", i)));
      texts.set(side, [...codes].sort((a, b) => a - b).join(","));
    }
    const grouped = (part) => [...Map.groupBy(texts, ([side]) => side.split("\n")[part]).values()];
    const unlike = (groups) => groups.some((members) => new Set(members.map(([, codes]) => codes)).size > 1);
    return { texts, regionsDiffer: unlike(grouped(0)), changed: unlike(grouped(1)), comparable: texts.size > 1 };
  }

  // Whether a question's texts on some side differ between its prompts, each of which has a row of its own.
  #comparePrompts(rows) {
    const asked = Map.groupBy(rows, (row) => JSON.stringify([row.model, row.question]));
    for (const arms of asked.values()) {
      const bySide = Map.groupBy(arms.flatMap((row) => [...row.texts]), ([side]) => side);
      const differ = [...bySide.values()].some((texts) => new Set(texts.map(([, codes]) => codes)).size > 1);
      const several = [...bySide.values()].some((texts) => texts.length > 1);
      for (const row of arms) {
        row.promptsDiffer = differ;
        row.comparable ||= several;
        row.differs = row.regionsDiffer || differ;
        row.arms = arms;
      }
    }
  }

  // The members of a row on a side that the filters on executions leave.
  members(row, side) {
    return (row.sides.get(side) ?? []).filter((i) => this.#fits(i));
  }

  #fits(i) {
    const { region, status, kind } = this.filters;
    const r = this.records;
    return (
      (!region || r.get("region", i) === region) &&
      (!status || r.get("status", i) === status) &&
      (!kind || stateOf(r, i) === kind) &&
      (!this.only.refusals || stateOf(r, i) === "refusal") &&
      (!this.found || this.found.has(r.get("answer", i)))
    );
  }

  apply() {
    const { model, question, arm, text } = this.filters;
    this.found = text ? this.records.textsWith(text) : null;
    this.visible = this.rows.filter(
      (row) =>
        (!model || row.model === model) &&
        (!question || row.question === question) &&
        (!arm || row.arm === arm) &&
        (!this.only.different || row.differs) &&
        (!this.only.prompts || row.promptsDiffer) &&
        (!this.only.changed || row.changed) &&
        [...row.sides.values()].some((members) => members.some((i) => this.#fits(i))),
    );
    return this.visible;
  }
}

const sideOf = (records, i) => `${records.get("job", i)}\n${records.get("region", i)}`;

// What came of an execution, in one word: the answer's kind, or the status where there is none.
function stateOf(records, i) {
  const status = records.get("status", i);
  if (status !== "completed") return status;
  return records.get("usable", i) ? records.get("kind", i) : "unusable";
}

// By which rules an answer's kind is; nothing where no rule found it: an empty answer, a failure.
function kindBy(records, i) {
  if (!["substantive", "refusal"].includes(stateOf(records, i))) return null;
  return `by rules, version ${records.get("kind_version", i) ?? "not on record"}`;
}

// "✓ answer", or with several samples "✓ 4 ⊘ 1 · 2 texts".
function cellOf(records, members, asked) {
  if (!members.length) return make("span", { className: "none" }, asked ? "filtered out" : "not asked");
  const counts = new Map();
  for (const i of members) counts.set(stateOf(records, i), (counts.get(stateOf(records, i)) ?? 0) + 1);
  const texts = new Set(members.map((i) => records.get("answer", i)).filter((place) => place !== null));
  const holder = make("span", { className: "states" });
  for (const [state, [sign, word]] of Object.entries(KINDS)) {
    const count = counts.get(state);
    if (!count) continue;
    const many = members.length > 1;
    holder.append(
      make("span", { className: `state ${state}` },
        make("span", { "aria-hidden": "true" }, sign),
        many ? ` ${count}` : ` ${word}`,
        many ? make("span", { className: "quiet" }, ` ${word}`) : null),
    );
  }
  if (members.length > 1 && texts.size) {
    holder.append(make("span", { className: "quiet" }, `${texts.size} ${texts.size === 1 ? "text" : "texts"}`));
  }
  return holder;
}

function verdictOf(row) {
  if (!row.comparable) return make("span", { className: "quiet" }, "– nothing to compare");
  const parts = [row.regionsDiffer && "≠ regions", row.promptsDiffer && "≠ prompts", row.changed && "Δ changed"];
  const found = parts.filter(Boolean);
  return make("span", { className: found.length ? "differs" : "quiet" }, found.join(" · ") || "= same");
}

function tableOf(matrix, open) {
  const { records } = matrix;
  const several = records.jobs.length > 1;
  const sides = records.jobs.flatMap((job) => records.regions.map((region) => `${job}\n${region}`));
  const opening = (row) => {
    const button = make("button", { type: "button", className: "open" }, row.question);
    button.dataset.key = row.key;
    button.addEventListener("click", () => open(row));
    return button;
  };
  const column = (title, value, shown = value, extra = {}) => ({
    title, data: null, type: "string", ...extra,
    createdCell: (cell) => { cell.dataset.title = title; },
    render: (row, type) => (type === "display" ? shown(row) : value(row)),
  });
  const plain = (value) => (row) => make("span", {}, visible(value(row)));
  const columns = [
    column("Question", (row) => row.question, opening, { className: "row-name" }),
    column("Model", (row) => row.model, plain((row) => row.model)),
  ];
  if (records.arms.length > 1) columns.push(column("Prompt", (row) => row.arm, plain((row) => row.arm)));
  for (const side of sides) {
    const [job, region] = side.split("\n");
    const members = (row) => matrix.members(row, side);
    const order = (row) => members(row).map((i) => stateOf(records, i)).sort().join();
    columns.push(column(several ? `${region} · ${job}` : region, order, (row) => cellOf(records, members(row), row.sides.has(side))));
  }
  const order = (row) => [row.regionsDiffer, row.promptsDiffer, row.changed].map((one) => (one ? "0" : "1")).join("");
  columns.push(column("Texts", order, verdictOf));
  return jQuery("#matrix").DataTable({
    data: matrix.visible, columns, order: [], pageLength: 50, lengthMenu: [25, 50, 100, 250], deferRender: true,
    autoWidth: false, searching: false, orderClasses: false, layout: {
      topStart: null, topEnd: null, bottomStart: ["info", "pageLength"], bottomEnd: "paging" },
    language: { info: "_START_ to _END_ of _TOTAL_", infoEmpty: "none", emptyTable: "Nothing matches these filters",
      zeroRecords: "Nothing matches these filters", lengthMenu: "_MENU_ rows a page" },
  });
}
