/** The present face of a person as neutral: action units are measured from it. */

import { t } from "./words";

/** A button below the action units of the chosen person. */
export class NeutralButton {
  private readonly button = document.createElement("button");
  private readonly chosen = new Set<number>();
  private trackId = 0;

  /** @param send tells the server to use the present face of a person, or no longer */
  constructor(send: (trackId: number, use: boolean) => void) {
    this.button.type = "button";
    this.button.addEventListener("click", () => send(this.trackId, !this.chosen.has(this.trackId)));
  }

  /** @param place where the movements of the person are shown */
  show(place: Element | null | undefined, trackId: number | undefined): void {
    this.trackId = trackId ?? 0;
    const isChosen = this.chosen.has(this.trackId);
    const text = isChosen ? t("Forget the neutral face") : t("Use this face as neutral");
    if (this.button.textContent !== text) this.button.textContent = text;
    if (place && this.button.parentElement !== place) place.append(this.button);
  }

  /** @returns what to say to the visitor, where a face could not be used */
  answered(trackId: number, isSet: boolean, wanted = !this.chosen.has(trackId)): string {
    if (isSet) this.chosen.add(trackId);
    else this.chosen.delete(trackId);
    return wanted && !isSet ? t("This face cannot be read well now. Look at the camera, and try again.") : "";
  }

  /** Another stream knows no one. */
  clear(): void {
    this.chosen.clear();
  }
}
