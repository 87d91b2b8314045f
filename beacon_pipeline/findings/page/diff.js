// Differences of two texts by word: the longest common run of words, by Myers' greedy algorithm.
// E. W. Myers, "An O(ND) Difference Algorithm and Its Variations" (1986).

const DIFF_WORDS = 4000; // of both texts together: past it, only the common start and end are found
const DIFF_EDITS = 600;

const words = (text) => text.match(/\s+|[\p{L}\p{N}_]+|[^\s\p{L}\p{N}_]/gu) ?? [];

// Parts of `text`: ["same" | "added", part], and where `reference` has more: ["missing", part].
function differences(reference, text) {
  if (reference === text) return [["same", text]];
  const [a, b] = [words(reference), words(text)];
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start += 1;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a.at(-1 - end) === b.at(-1 - end)) end += 1;
  const middle = edits(a.slice(start, a.length - end), b.slice(start, b.length - end));
  return gathered([
    ...a.slice(0, start).map((word) => ["same", word]),
    ...middle,
    ...(end ? a.slice(-end).map((word) => ["same", word]) : []),
  ]);
}

function edits(a, b) {
  const replaced = () => [...a.map((word) => ["missing", word]), ...b.map((word) => ["added", word])];
  if (!a.length || !b.length || a.length + b.length > DIFF_WORDS) return replaced();
  const furthest = new Map([[1, 0]]);
  const trace = [];
  for (let edit = 0; edit <= Math.min(a.length + b.length, DIFF_EDITS); edit += 1) {
    trace.push(new Map(furthest));
    for (let k = -edit; k <= edit; k += 2) {
      const down = k === -edit || (k !== edit && furthest.get(k - 1) < furthest.get(k + 1));
      let x = down ? furthest.get(k + 1) : furthest.get(k - 1) + 1;
      while (x < a.length && x - k < b.length && a[x] === b[x - k]) x += 1;
      furthest.set(k, x);
      if (x >= a.length && x - k >= b.length) return walkedBack(a, b, trace);
    }
  }
  return replaced();
}

function walkedBack(a, b, trace) {
  const parts = [];
  let [x, y] = [a.length, b.length];
  for (let edit = trace.length - 1; edit > 0; edit -= 1) {
    const furthest = trace[edit];
    const k = x - y;
    const down = k === -edit || (k !== edit && furthest.get(k - 1) < furthest.get(k + 1));
    const before = down ? k + 1 : k - 1;
    const [startX, startY] = [furthest.get(before), furthest.get(before) - before];
    while (x > startX && y > startY) {
      parts.push(["same", a[--x]]);
      y -= 1;
    }
    if (down) parts.push(["added", b[--y]]);
    else parts.push(["missing", a[--x]]);
  }
  while (x > 0) parts.push(["same", a[--x]]);
  return parts.reverse();
}

const COMMON_SHARE = 0.4; // below it two texts are shown as two texts, not as changes of one

// How much of the longer of two compared texts is in both.
function commonShare(parts) {
  const length = (...kinds) =>
    parts.filter(([kind]) => kinds.includes(kind)).reduce((sum, [, text]) => sum + text.replace(/\W/gu, "").length, 0);
  const longer = Math.max(length("same", "added"), length("same", "missing"));
  return longer ? length("same") / longer : 1;
}

// Changed words with nothing but spaces and punctuation between them become one change: what was there as a
// whole, then what stands in its place. Word by word, two sentences could not be read.
function gathered(parts) {
  const found = [];
  let [missing, added, between] = ["", "", ""];
  const flush = () => {
    found.push(["missing", missing], ["added", added], ["same", between]);
    [missing, added, between] = ["", "", ""];
  };
  for (const [kind, word] of parts) {
    if (kind !== "same") {
      [missing, added, between] = [missing + between, added + between, ""];
      if (kind === "missing") missing += word;
      else added += word;
    } else if ((missing || added) && !/[\p{L}\p{N}]/u.test(word)) {
      between += word;
    } else {
      flush();
      found.push(["same", word]);
    }
  }
  flush();
  return joined(found.filter(([, text]) => text));
}

function joined(parts) {
  const found = [];
  for (const [kind, word] of parts) {
    if (found.length && found.at(-1)[0] === kind) found.at(-1)[1] += word;
    else found.push([kind, word]);
  }
  return found;
}
