// A person judges answers one by one, with the keyboard; marks stay in this browser until saved as CSV.

const LABELS = { 1: "complete", 2: "evasive", 3: "refusal" };

class Labelling {
  constructor(matrix) {
    this.matrix = matrix;
    this.records = matrix.records;
    this.dialog = byId("labelling");
    this.store = `beacon-labels:${this.records.jobs.join(",")}`;
    this.marks = new Map(Object.entries(JSON.parse(kept(this.store) ?? "{}")));
    for (const button of this.dialog.querySelectorAll("[data-label]")) {
      button.addEventListener("click", () => this.mark(button.dataset.label));
    }
    byId("label-next").addEventListener("click", () => this.step(1));
    byId("label-previous").addEventListener("click", () => this.step(-1));
    byId("label-clear").addEventListener("click", () => this.mark(null));
    byId("label-blind").addEventListener("change", () => this.#show());
    byId("label-save").addEventListener("click", () => this.save());
    byId("label-close").addEventListener("click", () => this.dialog.close());
    this.dialog.addEventListener("keydown", (event) => this.#key(event));
    this.#count();
  }

  // The answers that the filters leave, in the order of their random ids: no region comes first.
  start() {
    const { matrix, records } = this;
    const members = matrix.visible.flatMap((row) => [...row.sides.keys()].flatMap((side) => matrix.members(row, side)));
    this.queue = members.filter((i) => records.get("usable", i) && records.get("answer", i) !== null);
    this.queue.sort((a, b) => (records.get("execution", a) < records.get("execution", b) ? -1 : 1));
    if (!this.queue.length) return say("No answers match these filters: nothing to label");
    const open = this.queue.findIndex((i) => !this.marks.has(records.get("execution", i)));
    this.at = open < 0 ? 0 : open;
    this.dialog.showModal();
    this.#show();
    byId("label-answer").focus();
  }

  step(by) {
    this.at = Math.min(Math.max(this.at + by, 0), this.queue.length - 1);
    this.#show();
  }

  mark(label) {
    const id = this.records.get("execution", this.queue[this.at]);
    if (label) this.marks.set(id, { label, at: new Date().toISOString() });
    else this.marks.delete(id);
    keep(this.store, JSON.stringify(Object.fromEntries(this.marks)));
    this.#count();
    if (label && this.at < this.queue.length - 1) this.step(1);
    else this.#show();
  }

  save() {
    const who = byId("label-who").value.trim();
    if (!who) {
      byId("label-who").focus();
      return say("Give your name or initials first: a label is somebody's");
    }
    const known = new Map();
    for (let i = 0; i < this.records.size; i += 1) known.set(this.records.get("execution", i), i);
    const lines = [...this.marks].filter(([id]) => known.has(id)).sort()
      .map(([id, mark]) => [id, mark.label, who, mark.at].map(csvCell).join(","));
    const content = ["execution,kind,labeller,at", ...lines, ""].join("\r\n");
    const link = make("a", { download: `labels-${this.records.jobs[0]}.csv`,
      href: URL.createObjectURL(new Blob([content], { type: "text/csv" })) });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    return say(`${lines.length} labels saved: beacon label import reads the file`);
  }

  #key(event) {
    if (event.target.matches("input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
    const does = { ArrowRight: () => this.step(1), ArrowLeft: () => this.step(-1), 0: () => this.mark(null),
      s: () => this.save() }[event.key] ?? (LABELS[event.key] && (() => this.mark(LABELS[event.key])));
    if (!does) return;
    event.preventDefault();
    does();
  }

  #show() {
    const { records } = this;
    const i = this.queue[this.at];
    const blind = byId("label-blind").checked;
    byId("label-place").textContent = `${this.at + 1} of ${this.queue.length}`;
    const where = blind ? "region and model hidden" : `${records.get("region", i)} · ${records.get("model", i)}`;
    byId("label-where").textContent = visible(where);
    byId("label-question").replaceChildren(shownText([["same", records.text("prompt", i) ?? ""]]));
    byId("label-answer").replaceChildren(shownText([["same", records.text("answer", i)]]));
    const mark = this.marks.get(records.get("execution", i));
    for (const button of this.dialog.querySelectorAll("[data-label]")) {
      button.setAttribute("aria-pressed", String(mark?.label === button.dataset.label));
    }
    this.#count();
  }

  #count() {
    byId("label-count").textContent = `${this.marks.size} marked in this browser`;
  }
}

// A spreadsheet takes a cell that begins with one of these for a formula.
const csvCell = (value) => {
  const safe = /^[=+\-@\t\r\n]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
};
