// The camera: a viewfinder of the network's proportions, and the picture that it shows.

/** Why there is no camera, in words for the page. */
export class CameraError extends Error {}

const REASONS = {
  NotFoundError: "This device has no camera. Choose a photo instead.",
  NotAllowedError:
    "The camera is not allowed on this page: allow it in the browser's settings, or choose a photo.",
  NotReadableError: "The camera is in use by another program: close that, or choose a photo.",
};

/** Show what the camera at the back sees, if there is one at the back. */
export async function openCamera(video) {
  if (!navigator.mediaDevices) {
    throw new CameraError(
      "Browsers give the camera only to pages opened by https or from localhost. Choose a photo instead.",
    );
  }
  try {
    video.srcObject = await navigator.mediaDevices.getUserMedia({
      video: { facingMode: "environment" },
      audio: false,
    });
    await video.play();
  } catch (error) {
    closeCamera(video);
    throw new CameraError(
      REASONS[error.name] ??
        `The camera cannot be used (${error.message || error.name}). Choose a photo instead.`,
    );
  }
}

/** Switch the camera off. */
export function closeCamera(video) {
  for (const track of video.srcObject?.getTracks() ?? []) track.stop();
  video.srcObject = null;
}

/**
 * The middle of what the camera sees, as large as it goes with the proportions `aspect` (width by height).
 * @returns {Promise<Blob>} a PNG file
 */
export function shoot(video, aspect) {
  const { videoWidth, videoHeight } = video;
  const width = Math.round(Math.min(videoWidth, videoHeight * aspect));
  const height = Math.round(Math.min(videoHeight, videoWidth / aspect));
  const canvas = new OffscreenCanvas(width, height);
  const [left, top] = [(videoWidth - width) / 2, (videoHeight - height) / 2];
  canvas.getContext("2d").drawImage(video, left, top, width, height, 0, 0, width, height);
  return canvas.convertToBlob({ type: "image/png" });
}
