/** Helpers for all pages. */

import type { DeviceAddresses } from "./device";
import { EXPRESSIONS, t } from "./words";

/** As many as mien.drawing.OWN_COLORS. */
const OWN_COLORS = 6;

export const COOKIES_NEEDED = t("Allow cookies for this page: without them, what it stores cannot be found again.");
export const SERVER_UNREACHABLE = t("Server unreachable. Reconnecting…");

export function find<T extends Element = HTMLElement>(selector: string, root: ParentNode = document): T {
  const element = root.querySelector<T>(selector);
  if (!element) throw new Error(`expected an element ${selector} on the page`);
  return element;
}

/** Shows the texts about where pictures are analyzed: `data-place` is an engine. */
export function showPlace(engine: string, root: ParentNode = document): void {
  for (const part of root.querySelectorAll<HTMLElement>("[data-place]")) part.hidden = part.dataset["place"] !== engine;
}

/** The class that gives an element the color of a label; as `web/words.py`. */
export function colorClass(label: string): string {
  return EXPRESSIONS.has(label) ? `x-${label}` : `x-own-${crc32(label) % OWN_COLORS}`;
}

/** The color of a label; the server defines them as custom properties. */
export function expressionColor(label: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${colorClass(label)}`).trim() || "#888";
}

function crc32(text: string): number {
  let rest = ~0;
  for (const byte of new TextEncoder().encode(text)) {
    rest ^= byte;
    for (let bit = 0; bit < 8; bit++) rest = rest & 1 ? (rest >>> 1) ^ 0xedb88320 : rest >>> 1;
  }
  return ~rest >>> 0;
}

export function themeColor(name: string): string {
  // A custom property with light-dark() resolves to a color only where it is used.
  const probe = document.createElement("span");
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  const color = getComputedStyle(probe).color;
  probe.remove();
  return color;
}

export function saveFile(name: string, content: BlobPart, type: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** Minutes and seconds. */
export function clock(seconds: number, digits = 0): string {
  const rounded = Number(Math.max(0, seconds).toFixed(digits));
  return `${Math.floor(rounded / 60)}:${(rounded % 60).toFixed(digits).padStart(digits ? digits + 3 : 2, "0")}`;
}

/** Where the library, its runtime and the networks are, as the page says. */
export function deviceAddresses({ dataset }: HTMLElement): DeviceAddresses {
  const { library = "", runtime = "", models = "" } = dataset;
  return { library, runtime, models };
}

/** A second click on a button, while what the first one began is under way, begins nothing more. */
export function onePress(...buttons: (readonly [HTMLButtonElement, () => Promise<void>])[]): void {
  let pressed: HTMLButtonElement | undefined;
  for (const [button, begin] of buttons) {
    button.addEventListener("click", () => {
      if (pressed === button) return;
      pressed = button;
      void begin().finally(() => {
        if (pressed === button) pressed = undefined;
      });
    });
  }
}
