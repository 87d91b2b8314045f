// One row of the matrix, opened: every answer of every region side by side, what was asked, what ran.

class Cell {
  constructor(matrix, table) {
    this.matrix = matrix;
    this.table = table;
    this.records = matrix.records;
    this.dialog = byId("cell");
    this.marking = true;
    byId("cell-close").addEventListener("click", () => this.dialog.close());
    byId("cell-next").addEventListener("click", () => this.step(1));
    byId("cell-previous").addEventListener("click", () => this.step(-1));
    byId("cell-marks").addEventListener("click", () => this.toggleMarks());
    byId("cell-reference").addEventListener("change", () => this.#fillSides());
    byId("cell-across").addEventListener("change", () => this.#show());
    this.dialog.addEventListener("close", () => this.#closed());
    this.dialog.addEventListener("keydown", (event) => this.#key(event));
  }

  open(row) {
    this.row = row;
    this.#head();
    this.#fillAcross();
    this.#show();
    if (!this.dialog.open) this.dialog.showModal();
    this.dialog.scrollTop = 0;
    byId("cell-title").focus();
    history.replaceState(null, "", addressOf(row));
  }

  // What the chosen sides are, and all that is said of them.
  #show() {
    this.sides = this.#sidesAcross(byId("cell-across").value);
    this.#fillReference();
    this.#fillSides();
    byId("cell-asked").replaceChildren(...this.#asked());
    byId("cell-ran").replaceChildren(this.#ran());
    byId("cell-paths").replaceChildren(this.#paths());
  }

  step(by) {
    const shown = this.table.rows({ order: "applied" }).data().toArray();
    const next = shown[shown.indexOf(this.row) + by];
    if (next) this.open(next);
  }

  toggleMarks() {
    this.marking = !this.marking;
    byId("cell-marks").setAttribute("aria-pressed", String(this.marking));
    this.#fillSides();
  }

  #key(event) {
    if (event.target.matches("input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
    const does = { ArrowRight: () => this.step(1), n: () => this.step(1), ArrowLeft: () => this.step(-1),
      p: () => this.step(-1), d: () => this.toggleMarks() }[event.key];
    if (!does) return;
    event.preventDefault();
    does();
  }

  #closed() {
    history.replaceState(null, "", location.pathname + location.search + "#matrix-section");
    const button = [...document.querySelectorAll("button.open")].find((b) => b.dataset.key === this.row.key);
    button?.focus();
  }

  #head() {
    const { row, records } = this;
    byId("cell-title").textContent = visible(`${row.question} · ${row.model}`);
    const [first] = [...row.sides.values()].flat().map((i) => records.text("prompt", i)).filter((t) => t !== null);
    byId("cell-question").replaceChildren(shownText([["same", first ?? ""]]));
    const arm = records.arms.length > 1 || row.arm !== "regional" ? `prompt: ${row.arm} · ` : "";
    const differ = [row.regionsDiffer && "texts differ between regions", row.promptsDiffer &&
      "texts differ between prompts", row.changed && "texts changed"].filter(Boolean);
    byId("cell-place").textContent = visible(`${arm}${differ.join(", ") || "same texts"}`);
    const link = byId("cell-link");
    link.href = addressOf(row);
    const dagster = records.regions.filter((region) => [...row.sides.keys()].some((s) => s.endsWith(`\n${region}`)));
    byId("cell-dagster").replaceChildren(...dagster.map((region) => {
      const href = records.dagster + encodeURIComponent(`${region}:${row.model}|${row.question}`);
      return make("a", { href, rel: "noreferrer noopener", target: "_blank" }, `Dagster: ${region}`);
    }));
  }

  // Side by side are the regions under the row's prompt, or all prompts of one region. It begins with
  // what differs.
  #fillAcross() {
    const { row } = this;
    const of = (side) => row.arms.filter((arm) => arm.sides.has(side));
    const several = [...row.sides.keys()].filter((side) => of(side).length > 1);
    const unlike = several.find((side) => new Set(of(side).map((arm) => arm.texts.get(side))).size > 1);
    const select = byId("cell-across");
    select.replaceChildren(make("option", { value: "" }, visible(`regions, prompt ${row.arm}`)),
      ...several.map((side) => make("option", { value: side }, visible(`prompts, ${this.#place(side)}`))));
    select.closest("label").hidden = !several.length;
    select.value = row.regionsDiffer || row.changed || !unlike ? "" : unlike;
  }

  #sidesAcross(across) {
    if (!across) return this.row.sides;
    const arms = this.row.arms.filter((arm) => arm.sides.has(across));
    return new Map(arms.map((arm) => [`${across}\n${arm.arm}`, arm.sides.get(across)]));
  }

  #fillReference() {
    const options = [...this.sides.keys()].map((side) =>
      make("option", { value: side }, this.#name(side)));
    byId("cell-reference").replaceChildren(...options);
  }

  #place(side) {
    const [job, region] = side.split("\n");
    return this.records.jobs.length > 1 ? `${region} · ${job}` : region;
  }

  #name(side) {
    const arm = side.split("\n")[2];
    return visible(arm === undefined ? this.#place(side) : `${this.#place(side)} · ${arm}`);
  }

  // Equal answers of a side once, the most common first.
  #groups(side) {
    const grouped = Map.groupBy(this.sides.get(side), (i) =>
      `${stateOf(this.records, i)}\n${this.records.get("answer", i)}\n${this.records.get("reasoning", i)}`);
    return [...grouped.values()].sort((a, b) => b.length - a.length);
  }

  #fillSides() {
    const chosen = byId("cell-reference").value;
    const [first] = this.#groups(chosen).filter(([i]) => this.records.text("answer", i) !== null);
    const reference = first ? this.records.text("answer", first[0]) : null;
    byId("cell-sides").replaceChildren(...[...this.sides.keys()].map((side) => {
      const groups = this.#groups(side).map((members) => this.#group(members, reference));
      return make("section", { className: "side", "aria-label": this.#name(side) },
        make("h3", {}, this.#name(side)), groups);
    }));
  }

  #group(members, reference) {
    const { records } = this;
    const [i] = members;
    const [sign, word] = KINDS[stateOf(records, i)];
    const text = records.text("answer", i);
    const details = [members.length > 1 ? `× ${members.length}` : null, records.get("finish_reason", i),
      kindBy(records, i),
      records.get("label", i) && `labelled ${records.get("label", i)} by ${records.get("label_method", i)}, ` +
        `version ${records.get("label_version", i)}`,
      records.get("output_tokens", i) === null ? null : `${records.get("output_tokens", i)} tokens`];
    const head = make("p", { className: "group-head" },
      make("span", { className: `state ${stateOf(records, i)}` }, `${sign} ${word}`),
      ["", ...details.filter(Boolean)].join(" · "));
    const marked = this.marking && text !== null && reference !== null ? differences(reference, text) : null;
    const unlike = marked !== null && commonShare(marked) < COMMON_SHARE;
    if (unlike) head.append(make("strong", {}, " · another text"));
    const parts = text === null ? null : marked && !unlike ? marked : [["same", text]];
    const why = text === null ? [records.get("failure_code", i), records.text("failure_message", i)] : [];
    return make("div", { className: "group" }, head, parts ? shownText(parts) : null,
      why.filter(Boolean).map((reason) => shownText([["same", reason]], "text why")),
      this.#folded("Thoughts (no part of the answer)", records.text("reasoning", i)));
  }

  #folded(title, text) {
    if (text === null || text === undefined) return null;
    return make("details", {}, make("summary", {}, title), shownText([["same", text]]));
  }

  #asked() {
    const { records } = this;
    const found = [];
    for (const [name, title] of [["prompt", "Question"], ["system_prompt", "System prompt"],
      ["rendered_prompt", "As the model got it"]]) {
      const grouped = new Map();
      for (const [side, members] of this.sides) {
        for (const i of members) {
          const text = records.text(name, i);
          if (text !== null) grouped.set(text, (grouped.get(text) ?? new Set()).add(this.#name(side)));
        }
      }
      for (const [text, sides] of grouped) {
        const whose = grouped.size > 1 ? ` (${[...sides].join(", ")})` : "";
        found.push(make("h4", {}, title + whose), shownText([["same", text]]));
      }
    }
    return found;
  }

  // Provenance by side; fields that differ come first, with a sign.
  #ran() {
    const { records } = this;
    const sides = [...this.sides.keys()];
    const rows = records.provenance.map((name) => {
      const values = sides.map((side) => {
        const found = this.sides.get(side).map((i) => records.get(name, i)).filter((v) => v !== null);
        return [...new Set(found)].map(String).sort().join(" / ");
      });
      const known = values.filter(Boolean);
      const within = known.some((value) => value.includes(" / "));
      return { name, values, known, differs: within || new Set(known).size > 1 };
    });
    const shown = rows.filter((row) => row.known.length);
    shown.sort((a, b) => b.differs - a.differs);
    const head = make("tr", {}, make("th", { scope: "col" }, "What ran"),
      sides.map((side) => make("th", { scope: "col" }, this.#name(side))));
    return make("table", { className: "plain" }, make("thead", {}, head), make("tbody", {}, shown.map((row) =>
      make("tr", { className: row.differs ? "differs" : "" },
        make("th", { scope: "row" }, `${row.differs ? "≠ " : ""}${row.name.replace("provenance_", "").replaceAll("_", " ")}`),
        row.differs
          ? row.values.map((value) => make("td", {}, visible(value) || "–"))
          : make("td", { colSpan: sides.length }, visible(row.known[0]))))));
  }

  // Read only when a person opens it: most never do, and it is as large as the answers' index.
  #paths() {
    const holder = make("details", {}, make("summary", {}, "Path of each execution: changes, attempts, calls, alerts"));
    const { sides } = this;
    holder.addEventListener("toggle", async () => {
      if (!holder.open || holder.dataset.filled) return;
      holder.dataset.filled = "yes";
      this.paths ??= unpacked("paths");
      const paths = await this.paths;
      for (const [side, members] of sides) {
        for (const i of members) holder.append(pathOf(this.records, paths, i, this.#name(side)));
      }
    });
    return holder;
  }
}

const addressOf = (row) => `#cell=${encodeURIComponent(row.key)}`;
const moment = (milliseconds) =>
  milliseconds === null ? "–" : new Date(milliseconds).toISOString().replace("T", " ").replace("Z", " UTC");

function pathOf(records, paths, i, side) {
  const title = `${side}, block ${records.get("block", i)}, sample ${records.get("sample", i)}`;
  const list = make("ol", {});
  for (const [at, from, to, cause, actor, detail] of paths.transitions[i] ?? []) {
    list.append(make("li", {}, visible(`${moment(at)}: ${from ?? "nothing"} → ${to} (${cause}, ${actor})`),
      detail ? shownText([["same", detail]], "text why") : null));
  }
  const attempts = (paths.attempts[i] ?? []).map(([number, call, code]) => {
    const c = paths.calls[call];
    return make("li", {}, visible(`attempt ${number}: call ${c.call} to ${c.provider}` +
      `${c.provider_call_id ? ` (its ${c.provider_call_id})` : ""}, made ${moment(c.created_at)}, ` +
      `${c.status ?? "not ended"}${code ? `, ${code}` : ""}`));
  });
  const alerts = (paths.alerts[i] ?? []).map(([since, until, what]) =>
    make("li", { className: "why" }, visible(`alert: ${what}, since ${moment(since)}, ` +
      `${until === null ? "open when this page was written" : `until ${moment(until)}`}`)));
  const id = `execution ${records.get("execution", i)} · seed ${records.get("seed", i) ?? "–"}` +
    `${records.get("out_of_block", i) ? " · left its block" : ""}`;
  return make("section", {}, make("h4", {}, title), make("p", { className: "quiet" }, id), list,
    make("ul", {}, attempts, alerts));
}
