// Stores the package on the device, whole or not at all, and answers from there. PACKAGE = {version, files}
// is written above when the package is made; `files` gives the hash of each, in the form `fetch` checks.

const PREFIX = `tenfold ${self.registration.scope} `; // one origin may hold several packages
const CACHE = PREFIX + PACKAGE.version;
const PAGE = "index.html";

self.addEventListener("install", (event) => event.waitUntil(store()));
self.addEventListener("activate", (event) => event.waitUntil(replace()));
self.addEventListener("message", ({ data }) => data === "replace" && self.skipWaiting());
self.addEventListener("fetch", (event) => event.respondWith(answer(event.request)));

/** Read every file; a missing or damaged one leaves what was stored before as it is. */
async function store() {
  const read = Object.entries(PACKAGE.files).map(async ([name, integrity]) => {
    const response = await fetch(name, { integrity, cache: "no-cache" });
    if (!response.ok) throw new Error(`${name}: ${response.status}`);
    // a copy, since a response that was redirected may not answer a navigation
    const headers = { "Content-Type": response.headers.get("Content-Type") ?? "application/octet-stream" };
    return [name, new Response(await response.blob(), { headers })];
  });
  const files = await Promise.all(read);
  const cache = await caches.open(CACHE);
  await Promise.all(files.map(([name, response]) => cache.put(name, response)));
}

/** Drop the versions before this one, and take over the open pages. */
async function replace() {
  const names = await caches.keys();
  await Promise.all(
    names.filter((name) => name.startsWith(PREFIX) && name !== CACHE).map((name) => caches.delete(name)),
  );
  await self.clients.claim();
}

/** The stored file; what is not of the package comes from its own server, and nothing from any other. */
async function answer(request) {
  const { origin, pathname } = new URL(request.url);
  if (origin !== self.location.origin) return Response.error();
  const address = origin + pathname;
  const cache = await caches.open(CACHE);
  return (await cache.match(address === self.registration.scope ? PAGE : address)) ?? fetch(request);
}
