// The record as it was packed, and the few ways in which a text reaches the page: as text, always.

const byId = (id) => document.getElementById(id);

function unpacking(id) {
  const element = byId(id);
  const bytes = Uint8Array.from(atob(element.textContent.trim()), (letter) => letter.charCodeAt(0));
  element.remove();
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip")));
}
const unpacked = async (id) => unpacking(id).json();
const unpackedBytes = async (id) => new Uint8Array(await unpacking(id).arrayBuffer());

// An element with properties, attributes (as `aria-…`, `data-…`) and children; strings become text.
function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "role" || name === "for") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

// Characters that a screen obeys rather than shows: control, formatting (bidirectional, zero-width),
// lone surrogates, noncharacters. The same as `escaping.visible`, so that both show one text alike.
const OBEYED = /[\p{Cc}\p{Cf}\p{Cs}\p{Noncharacter_Code_Point}\u2028\u2029]/gu;
const KEPT = new Set(["\n", "\t"]);
const spelled = (character) =>
  KEPT.has(character) ? character : `\\u{${character.codePointAt(0).toString(16)}}`;
const visible = (text) => text.replace(OBEYED, spelled);

// A browser lays a line of a million letters out for half a minute; in blocks it is at once.
const BLOCK = 5000;
const blocks = (text) => text.match(new RegExp(`[^]{1,${BLOCK}}`, "gu")) ?? [];

const CLIP = 6000; // characters of a text that are shown before a person asks for the rest

// A text in parts of [kind, text], clipped, with a button that brings the whole.
function shownText(parts, className = "text") {
  const holder = make("div", { className, dir: "auto" });
  const length = parts.reduce((sum, [, text]) => sum + text.length, 0);
  const fill = (limit) => {
    holder.replaceChildren();
    let left = limit;
    for (const [kind, text] of parts) {
      if (left <= 0) break;
      const part = visible(text.slice(0, left));
      const shown = part.length <= BLOCK * 2 ? [part]
        : blocks(part).map((block) => make("span", { className: "block" }, block));
      holder.append(...(kind === "same" ? shown : [make("mark", { className: kind }, shown)]));
      left -= text.length;
    }
  };
  fill(CLIP);
  if (length === 0) holder.append(make("em", {}, "empty: the model answered nothing"));
  if (length <= CLIP) return holder;
  const more = make("button", { type: "button", className: "more" }, `Show all ${length} characters`);
  more.addEventListener("click", () => {
    fill(Infinity);
    more.remove();
  });
  return make("div", {}, holder, more);
}

// Texts as codes of their words (`packed.packed_texts`), spelled out when they are asked for.
class Texts {
  constructor({ words, sizes }, codes) {
    Object.assign(this, { words, codes, size: sizes.length, spelled: new Array(sizes.length) });
    this.starts = new Uint32Array(sizes.length + 1);
    sizes.forEach((size, place) => (this.starts[place + 1] = this.starts[place] + size));
  }

  at(place) {
    return (this.spelled[place] ??= this.#spell(this.starts[place], this.starts[place + 1]));
  }

  #spell(start, end) {
    const { words, codes } = this;
    let text = "";
    for (let i = start; i < end; i += 1) {
      const lead = codes[i];
      if (lead < 128) text += words[lead];
      else if (lead < 240) text += words[128 + ((lead - 128) << 8) + codes[++i]];
      else if (lead < 255) text += words[28800 + ((lead - 240) << 16) + (codes[++i] << 8) + codes[++i]];
      else text += words[1011840 + (codes[++i] << 16) + (codes[++i] << 8) + codes[++i]];
    }
    return text;
  }
}

class Records {
  constructor(packed, codes) {
    Object.assign(this, packed.about);
    this.columns = packed.columns;
    this.texts = new Texts(packed.texts, codes);
    this.lower = [];
    this.size = packed.columns.execution.codes.length;
  }

  get(name, row) {
    const { values, codes } = this.columns[name];
    return codes[row] < 0 ? null : values[codes[row]];
  }

  text(name, row) {
    const place = this.get(name, row);
    return place === null ? null : this.texts.at(place);
  }

  values(name) {
    return [...this.columns[name].values].sort();
  }

  // The places of texts that hold this, whatever the case.
  textsWith(wanted) {
    const [found, needle] = [new Set(), wanted.toLowerCase()];
    this.lowerUntil(() => false);
    this.lower.forEach((text, place) => text.includes(needle) && found.add(place));
    return found;
  }

  // Make texts ready to be searched until it is time to stop; whether all are.
  lowerUntil(stop) {
    while (this.lower.length < this.texts.size) {
      if (stop()) return false;
      this.lower.push(this.texts.at(this.lower.length).toLowerCase());
    }
    return true;
  }
}

const KINDS = {
  substantive: ["✓", "answer"],
  refusal: ["⊘", "refusal"],
  empty: ["∅", "empty"],
  unfinished: ["…", "unfinished"],
  pending: ["◌", "pending"],
  dispatched: ["◔", "under way"],
  failed: ["✗", "failed"],
  timed_out: ["✗", "timed out"],
  cancelled: ["–", "cancelled"],
  unusable: ["!", "not usable"],
};
