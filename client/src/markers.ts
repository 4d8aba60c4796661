/** Marked times of a recording: on its timelines, and in forms that are sent without loading the page again. */

import { clock, find, SERVER_UNREACHABLE } from "./page";
import type { Moments } from "./moments";
import { messageText, t } from "./words";

const SVG = "http://www.w3.org/2000/svg";

export class Markers {
  private readonly section: HTMLElement | null;

  constructor(
    private readonly root: HTMLElement,
    private readonly moments: Moments,
  ) {
    this.section = root.querySelector("[data-markers]");
    root.addEventListener("moment", (event) => {
      const field = this.section?.querySelector<HTMLInputElement>("#at-new");
      if (field) field.value = clock((event as CustomEvent<number>).detail, 2);
    });
    root.addEventListener("keydown", (event) => {
      const typed = event.key.toLowerCase() === "m" && !event.ctrlKey && !event.metaKey && !event.altKey;
      if (!typed || !(event.target as Element).closest(".course")) return;
      event.preventDefault();
      this.section?.querySelector<HTMLInputElement>("#text-new")?.focus();
    });
    this.section?.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.send(event.target as HTMLFormElement, event.submitter);
    });
    this.draw();
  }

  /** Show the markers on all timelines. */
  draw(): void {
    const times = [...this.root.querySelectorAll<HTMLElement>("[data-marker]")].map((item) => Number(item.dataset["marker"]));
    for (const course of this.root.querySelectorAll<HTMLElement>(".course")) {
      course.querySelector(".flags")?.remove();
      const flags = document.createElementNS(SVG, "svg");
      flags.setAttribute("class", "flags");
      flags.setAttribute("viewBox", "0 0 1000 10");
      flags.setAttribute("preserveAspectRatio", "none");
      flags.setAttribute("aria-hidden", "true");
      const scale = 1000 / Math.max(1e-6, Number(course.dataset["end"]));
      for (const time of times) {
        const line = flags.appendChild(document.createElementNS(SVG, "path"));
        line.setAttribute("d", `M${(time * scale).toFixed(1)} 0v10`);
      }
      course.append(flags);
    }
    this.moments.refresh();
  }

  private async send(form: HTMLFormElement, button: HTMLElement | null): Promise<void> {
    const section = this.section;
    // One at a time: a double click is no second marker.
    if (!section || section.ariaBusy) return;
    section.ariaBusy = "true";
    const data = new FormData(form);
    if (button instanceof HTMLButtonElement) data.set(button.name, button.value);
    try {
      // The buttons are named action, too.
      const answer = await fetch(`${form.getAttribute("action") ?? ""}?part=1`, { method: "POST", body: data });
      if (!answer.ok) {
        const { error } = (await answer.json()) as { error?: { message: string } };
        find("[data-problem]", section).textContent = messageText(error?.message ?? "") || t("This failed. Try again.");
        return;
      }
      section.innerHTML = await answer.text();
      section.querySelector<HTMLElement>("#text-new")?.focus({ preventScroll: true });
      this.draw();
    } catch {
      find("[data-problem]", section).textContent = SERVER_UNREACHABLE;
    } finally {
      section.ariaBusy = null;
    }
  }
}
