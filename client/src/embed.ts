/** The live page in a frame of another site: results go to that site, if the server allows its origin. */

import type { FrameResult } from "./result";

const origin = allowedParent();

/** The origin of the page around this one, where it is one of the server's MIEN_EMBED_ORIGINS. */
function allowedParent(): string | undefined {
  if (window.parent === window) return undefined;
  const allowed = document.querySelector<HTMLElement>("[data-embed]")?.dataset.embed?.split(" ") ?? [];
  const around = location.ancestorOrigins?.[0] ?? (document.referrer && new URL(document.referrer).origin);
  return allowed.find((candidate) => candidate === around);
}

// A frame of another site has no cookies, so that no user could find a recording again.
if (window.parent !== window) document.documentElement.dataset.embedded = "yes";

/** Sends a result to the page around this one. */
export function publish(result: FrameResult): void {
  if (origin) window.parent.postMessage({ type: "mien-result", result }, origin);
}
