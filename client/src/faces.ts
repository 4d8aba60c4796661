/** The result of a photograph: boxes and cards of one face belong together, and layers are chosen. */

export function linkFaces(result: HTMLElement): void {
  const light = (target: EventTarget | null, on: boolean): void => {
    const face = (target as Element | null)?.closest<HTMLElement | SVGElement>("[data-face]")?.dataset["face"];
    for (const part of result.querySelectorAll(`[data-face="${face ?? 0}"]`)) part.classList.toggle("lit", on);
  };
  for (const [type, on] of [["pointerover", true], ["focusin", true], ["pointerout", false], ["focusout", false]] as const) {
    result.addEventListener(type, (event) => light(event.target, on));
  }
  // A box leads to its card as any link does; its card leads back.
  result.addEventListener("click", ({ target }) => {
    const card = (target as Element).closest<HTMLElement>("article[data-face]");
    if (!card || (target as Element).closest("a, summary, form")) return;
    const box = result.querySelector<SVGElement>(`a[data-face="${card.dataset["face"] ?? ""}"]`);
    box?.focus({ preventScroll: true });
    box?.scrollIntoView({ block: "nearest", behavior: "smooth" });
  });
  const toggles = result.querySelector<HTMLElement>("[data-toggles]");
  if (!toggles) return;
  toggles.hidden = false;
  const apply = (): void => {
    for (const box of toggles.querySelectorAll<HTMLInputElement>("[data-show]")) {
      result.classList.toggle(`show-${box.dataset["show"] ?? ""}`, box.checked);
    }
  };
  toggles.addEventListener("change", apply);
  apply();
}
