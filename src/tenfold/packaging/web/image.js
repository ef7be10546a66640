// From a file to the RGB pixels that are stored in it: no colour profile applied, transparency ignored, of
// animations the first picture, as the training reads its files. Only a camera's note on how it was held is
// heeded, as browsers do by themselves.

const LARGEST = 100e6; // pixels; more would exhaust the memory of a phone
const STRIP = 2 ** 20; // pixels read from a canvas at once, below the limit of every browser

/** What is wrong with a picture, in words for the page. */
export class PictureError extends Error {}

/**
 * Read the picture in a file.
 * @param {Blob} file
 * @returns {Promise<{width: number, height: number, data: Uint8Array, approximate: boolean}>} three bytes a
 *   pixel; approximate where the colours under transparency could only be read rounded
 */
export async function readPicture(file) {
  await checkSize(file);
  const bitmap = await decode(file);
  try {
    return pixels(bitmap);
  } finally {
    bitmap.close();
  }
}

/** Refuse what is no picture, and what is too large, before its pixels are decoded. */
async function checkSize(file) {
  const image = new Image();
  const url = URL.createObjectURL(file);
  try {
    await new Promise((resolve, reject) => {
      image.onload = resolve;
      image.onerror = () => reject(unreadable(file));
      image.src = url;
    });
  } finally {
    URL.revokeObjectURL(url);
  }
  const { naturalWidth: width, naturalHeight: height } = image;
  if (width * height > LARGEST) {
    throw new PictureError(
      `This picture has ${width} × ${height} pixels, over ${LARGEST / 1e6} million: take a smaller one.`,
    );
  }
}

/** The decoded picture. */
async function decode(file) {
  try {
    return await createImageBitmap(file, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  } catch {
    throw unreadable(file);
  }
}

function unreadable(file) {
  const name = file.name ? `“${file.name}”` : "This file";
  return new PictureError(
    `${name} is no picture that this browser can read, or it is damaged. Choose a JPEG, PNG or WebP file.`,
  );
}

/** The pixels, exact also where they are transparent if the browser has WebGL. */
function pixels(bitmap) {
  const { width, height } = bitmap;
  const drawn = fromCanvas(bitmap);
  if (!drawn.transparent) return { width, height, data: drawn.data, approximate: false };
  const exact = fromTexture(bitmap);
  return { width, height, data: exact ?? drawn.data, approximate: exact === null };
}

/** RGB by way of a canvas, strip by strip, and whether any pixel is not opaque: canvases round those. */
function fromCanvas(bitmap) {
  const { width, height } = bitmap;
  const data = new Uint8Array(width * height * 3);
  const rows = Math.max(1, Math.min(height, Math.floor(STRIP / width)));
  const canvas = new OffscreenCanvas(width, rows);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  let transparent = false;
  for (let top = 0; top < height; top += rows) {
    const count = Math.min(rows, height - top);
    context.clearRect(0, 0, width, count);
    context.drawImage(bitmap, 0, top, width, count, 0, 0, width, count);
    const rgba = context.getImageData(0, 0, width, count).data;
    transparent = withoutAlpha(rgba, data, top * width * 3) || transparent;
  }
  return { data, transparent };
}

/** RGB by way of a texture, which keeps colours and transparency apart; null where that cannot be. */
function fromTexture(bitmap) {
  const { width, height } = bitmap;
  const gl = new OffscreenCanvas(1, 1).getContext("webgl2");
  if (!gl || Math.max(width, height) > gl.getParameter(gl.MAX_TEXTURE_SIZE)) return null;
  gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, gl.RGBA, gl.UNSIGNED_BYTE, bitmap);
  gl.bindFramebuffer(gl.FRAMEBUFFER, gl.createFramebuffer());
  gl.framebufferTexture2D(
    gl.FRAMEBUFFER,
    gl.COLOR_ATTACHMENT0,
    gl.TEXTURE_2D,
    gl.getParameter(gl.TEXTURE_BINDING_2D),
    0,
  );
  if (gl.checkFramebufferStatus(gl.FRAMEBUFFER) !== gl.FRAMEBUFFER_COMPLETE) return null;
  const rgba = new Uint8Array(width * height * 4);
  gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, rgba);
  const data = new Uint8Array(width * height * 3);
  withoutAlpha(rgba, data, 0);
  gl.getExtension("WEBGL_lose_context")?.loseContext(); // a browser allows only a few at a time
  return data;
}

/** Copy the colours of `rgba` into `data` from `at` on; says whether any pixel is not opaque. */
function withoutAlpha(rgba, data, at) {
  let transparent = false;
  for (let i = 0; i < rgba.length; i += 4) {
    data[at++] = rgba[i];
    data[at++] = rgba[i + 1];
    data[at++] = rgba[i + 2];
    if (rgba[i + 3] !== 255) transparent = true;
  }
  return transparent;
}
