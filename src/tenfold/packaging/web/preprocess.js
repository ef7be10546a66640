// From 8-bit pixels to what the network takes, by the arithmetic of the training: grey as Pillow makes it,
// Pillow's bilinear filter (it widens as the picture shrinks, so nothing aliases; two passes of fixed-point
// sums, each rounded to 8 bits), then (x / 255 - mean) / std in single precision.

const PRECISION = 22; // bits behind the point of a weight: 32, less 8 of a pixel, less 2 of headroom

/**
 * The tensor of a picture.
 * @param {{width: number, height: number, data: Uint8Array}} picture RGB, three bytes a pixel, row by row
 * @param {{input: number[], mean: number[], std: number[]}} card input is [channels, height, width]
 * @returns {Float32Array} channels * height * width
 */
export function toInput(picture, card) {
  const [channels, height, width] = card.input;
  const coloured = channels === 1 ? grey(picture) : picture;
  const { data } = resize(coloured, channels, height, width);
  const out = new Float32Array(channels * height * width);
  for (let channel = 0; channel < channels; channel++) {
    const values = normalised(card.mean[channel], card.std[channel]);
    const start = channel * height * width;
    for (let i = 0; i < height * width; i++) out[start + i] = values[data[i * channels + channel]];
  }
  return out;
}

/** What each of the 256 values of a pixel becomes, rounded to single precision after every step. */
function normalised(mean, std) {
  const [m, s] = [Math.fround(mean), Math.fround(std)];
  return Float32Array.from({ length: 256 }, (_, x) => Math.fround(Math.fround(x / 255) - m) / s);
}

/** The luma of RGB pixels, with Pillow's integers for 0.299, 0.587 and 0.114. */
function grey({ width, height, data }) {
  const out = new Uint8Array(width * height);
  for (let i = 0, at = 0; i < out.length; i++, at += 3) {
    out[i] = (data[at] * 19595 + data[at + 1] * 38470 + data[at + 2] * 7471 + 0x8000) >> 16;
  }
  return { width, height, data: out };
}

/**
 * Another size, as `Image.resize((width, height), BILINEAR)` of Pillow 13 gives it. The rounding between the
 * passes makes their order matter: older versions always begin with the width (a difference of 1 of 255).
 * @param {{width: number, height: number, data: Uint8Array}} picture `channels` bytes a pixel
 */
export function resize(picture, channels, height, width) {
  const heightFirst = height < picture.height && picture.height - height > 2 * (picture.width - width);
  const passes = heightFirst ? [toHeight, toWidth] : [toWidth, toHeight];
  return passes.reduce((image, pass) => pass(image, channels, { height, width }), picture);
}

/** The pass over the width; nothing where that is right already. */
function toWidth({ width, height, data }, channels, wanted) {
  if (width === wanted.width) return { width, height, data };
  const windows = windowsOf(width, wanted.width);
  return { width: wanted.width, height, data: alongRows(data, channels, width, height, windows) };
}

/** The pass over the height. */
function toHeight({ width, height, data }, channels, wanted) {
  if (height === wanted.height) return { width, height, data };
  const windows = windowsOf(height, wanted.height);
  return { width, height: wanted.height, data: alongColumns(data, channels * width, windows) };
}

/** For each place of the output: where its window begins in the input, and the fixed-point weights there. */
function windowsOf(from, to) {
  const scale = from / to;
  const spread = Math.max(scale, 1);
  return Array.from({ length: to }, (_, place) => {
    const centre = (place + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - spread + 0.5));
    const last = Math.min(from, Math.trunc(centre + spread + 0.5));
    const raw = [];
    let sum = 0;
    for (let x = first; x < last; x++) {
      const weight = Math.max(0, 1 - Math.abs((x - centre + 0.5) * (1 / spread)));
      raw.push(weight);
      sum += weight;
    }
    const fixed = raw.map((weight) =>
      Math.trunc((sum === 0 ? weight : weight / sum) * (1 << PRECISION) + 0.5),
    );
    return { first, fixed: Int32Array.from(fixed) };
  });
}

/** Each row by itself. */
function alongRows(data, channels, width, height, windows) {
  const out = new Uint8Array(channels * windows.length * height);
  let at = 0;
  for (let row = 0; row < height; row++) {
    for (const { first, fixed } of windows) {
      const start = (row * width + first) * channels;
      for (let channel = 0; channel < channels; channel++) {
        let sum = 1 << (PRECISION - 1);
        for (let i = 0, from = start + channel; i < fixed.length; i++, from += channels)
          sum += data[from] * fixed[i];
        out[at++] = Math.min(255, sum >> PRECISION);
      }
    }
  }
  return out;
}

/** Whole rows, of `stride` bytes, at a time. */
function alongColumns(data, stride, windows) {
  const out = new Uint8Array(stride * windows.length);
  const sums = new Int32Array(stride);
  windows.forEach(({ first, fixed }, row) => {
    sums.fill(1 << (PRECISION - 1));
    fixed.forEach((weight, i) => {
      const start = (first + i) * stride;
      for (let x = 0; x < stride; x++) sums[x] += data[start + x] * weight;
    });
    for (let x = 0; x < stride; x++) out[row * stride + x] = Math.min(255, sums[x] >> PRECISION);
  });
  return out;
}

/** The probabilities of the classes. */
export function softmax(logits) {
  const highest = Math.max(...logits);
  const powers = Array.from(logits, (value) => Math.exp(value - highest));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}
