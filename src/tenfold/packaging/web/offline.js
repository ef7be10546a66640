// Storing the package on the device, and going over to a newer version of it.

/** Let the service worker store the package; `page` holds the elements that tell about it. */
export function keepOffline(page) {
  if (!navigator.serviceWorker) {
    page.offline.textContent =
      "Not stored for use offline: browsers allow that only to pages opened by https or from localhost.";
    return;
  }
  const failed = (error) => {
    page.offline.textContent = `Not stored for use offline: ${error.message}`;
  };
  navigator.serviceWorker.ready.then(() => {
    page.offline.textContent = "Stored on this device: works offline.";
    document.body.dataset.offline = "";
  });
  navigator.serviceWorker.register("service-worker.js", { updateViaCache: "none" }).then((registration) => {
    follow(registration, page);
    watch(registration.installing, failed);
  }, failed);
}

/** Say when the first storing fails. */
function watch(worker, failed) {
  worker?.addEventListener("statechange", () => {
    if (worker.state === "redundant") failed(new Error("a file is damaged, or the device is full."));
  });
}

/** Offer a newer version as soon as it is stored. */
function follow(registration, page) {
  const offer = () => {
    page.update.hidden = !(registration.waiting && navigator.serviceWorker.controller);
  };
  offer();
  registration.addEventListener("updatefound", () =>
    registration.installing?.addEventListener("statechange", offer),
  );
  page.replace.addEventListener("click", () => {
    navigator.serviceWorker.addEventListener("controllerchange", () => location.reload());
    registration.waiting?.postMessage("replace");
  });
}
