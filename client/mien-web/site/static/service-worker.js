// Keeps the whole site for use without a connection, and adds the headers that threads need.
const VERSION = "VERSION_OF_THE_FILES";
const FILES = ["LIST_OF_THE_FILES"];
// Of hosts that let browsers keep files for a while, a new version must not take those of the one before.
const fresh = FILES.map((file) => new Request(file, { cache: "no-cache" }));

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(VERSION).then((cache) => cache.addAll(fresh)).then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => {
  const isOld = (name) => name.startsWith("mien-site-") && name !== VERSION;
  event.waitUntil(
    caches.keys()
      .then((names) => Promise.all(names.filter(isOld).map((name) => caches.delete(name))))
      .then(() => self.clients.claim()),
  );
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET" || new URL(request.url).origin !== location.origin) return;
  event.respondWith(answer(request));
});

async function answer(request) {
  const known = await caches.match(request, { cacheName: VERSION, ignoreSearch: true });
  const found = known ?? (await fetch(request));
  const headers = new Headers(found.headers);
  headers.set("Cross-Origin-Opener-Policy", "same-origin");
  headers.set("Cross-Origin-Embedder-Policy", "require-corp");
  return new Response(found.body, { status: found.status, statusText: found.statusText, headers });
}
