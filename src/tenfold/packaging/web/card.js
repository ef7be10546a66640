// The model card in words: what the network was, and what it became.

const MOST = 20; // classes to name

const MEASURES = [
  { key: "accuracy", title: "Test accuracy", write: (value) => `${value.toFixed(2)} %` },
  { key: "params", title: "Parameters", write: whole },
  { key: "macs", title: "Multiply-adds", write: whole },
  { key: "size_bytes", title: "File", write: bytes },
  { key: "latency_ms", title: "Time where it was made", write: (value) => `${value.toFixed(3)} ms` },
  { key: "bits", title: "Weights", write: (value) => `${value} bits`, unlessEqual: true },
];

/**
 * @param {object} card the values of card.json
 * @returns {{name: string, summary: string, rows: object[], remarks: string[][]}} rows of {title, was, is},
 *   remarks of [term, text]
 */
export function describe(card) {
  const [channels, height, width] = card.input;
  const told = MEASURES.filter(({ key, unlessEqual }) => !unlessEqual || card.before[key] !== card.after[key]);
  const rows = told.map(({ key, title, write }) => ({
    title,
    was: written(card.before[key], write),
    is: written(card.after[key], write),
  }));
  return {
    name: card.name,
    summary: `Tells ${card.classes.length} classes apart, on this device.`,
    rows: rows.filter(({ was, is }) => was !== "–" || is !== "–"),
    remarks: [
      ["Made of", `${card.network}, trained on ${card.images}`],
      ["Takes", `${width} × ${height} pixels, ${channels === 1 ? "grey" : "colour"}; others are stretched`],
      ["Classes", listed(card.classes)],
      ["Version", card.version],
    ],
  };
}

function listed(names) {
  const more = names.length > MOST ? ` … (${names.length} in all)` : "";
  return names.slice(0, MOST).join(", ") + more;
}

function written(value, write) {
  return value === null || value === undefined ? "–" : write(value);
}

function whole(value) {
  return value.toLocaleString("en");
}

function bytes(value) {
  return value < 1e6 ? `${(value / 1e3).toFixed(1)} kB` : `${(value / 1e6).toFixed(2)} MB`;
}
