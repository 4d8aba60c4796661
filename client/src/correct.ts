/** Faces with the label that a person gives them, kept on the server for a model of one's own. */

import { COOKIES_NEEDED, find } from "./page";
import { pictureOf } from "./pictures";
import type { Face } from "./result";
import type { Picture } from "./session";
import { labelText, problemText, t } from "./words";

const FACE = { margin: 1.8, longest: 320 };

/** Left, top, width and height. */
type Rect = readonly [number, number, number, number];

/** Add the form below each face of a photo's result. */
export function offerCorrections(result: HTMLElement): void {
  for (const card of result.querySelectorAll<HTMLElement>("article.face")) {
    const { face = "", expression = "" } = card.dataset;
    addForm(card, `label-${face}`, expression, () => ofPhoto(result, face));
  }
}

/** A face of the live page, and the frame that it was found in. */
export interface Still {
  readonly face: Face;
  readonly picture: Picture;
  /** Width in pixels of the image that has the face's box. */
  readonly wide: number;
}

/** The form on the card of a person of the live page, while the picture stands still. */
export class StillCorrection {
  private form: HTMLElement | undefined;
  private still: Still | undefined;

  /**
   * @param still the card's face; none where the picture moves, or the person is not in it. The last result comes after
   *   the picture stands still: the form, and what is written in it, stays for the newer face of its person.
   */
  show(card: HTMLElement | undefined, still: Still | undefined): void {
    const stays = this.form && still && this.still?.face.track_id === still.face.track_id;
    this.still = still;
    const label = labelText(still?.face.expression?.label ?? "");
    if (stays) {
      find<HTMLInputElement>("input", this.form).placeholder = label;
      return;
    }
    this.form?.remove();
    this.form = card && still && addForm(card, "label-live", label, () => this.cut());
  }

  /** The shown video is not cut: it went on while the frame of the result was analyzed. */
  private async cut(): Promise<Blob> {
    if (!this.still) throw new Error("no picture");
    const { face: { box }, picture, wide } = this.still;
    const source = picture instanceof Blob ? await createImageBitmap(picture) : picture;
    const sides = [box.x_min, box.y_min, box.x_max - box.x_min, box.y_max - box.y_min] as const;
    return square(source, sides, source.width / wide);
  }
}

function addForm(card: HTMLElement, id: string, placeholder: string, picture: () => Promise<Blob>): HTMLElement | undefined {
  const template = document.querySelector<HTMLTemplateElement>("template[data-correction]");
  if (!template) return undefined;
  card.append(template.content.cloneNode(true));
  const added = find(".correct", card);
  const form = find<HTMLFormElement>("form", added);
  const input = find<HTMLInputElement>("input", form);
  input.id = find<HTMLLabelElement>("label", form).htmlFor = id;
  input.placeholder = placeholder;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    // The photo page's other forms send photos.
    event.stopPropagation();
    void keep(form, input.value, picture, find("[role=status]", added));
  });
  return added;
}

async function keep(form: HTMLFormElement, label: string, picture: () => Promise<Blob>, status: HTMLElement): Promise<void> {
  const button = find<HTMLButtonElement>("button", form);
  if (button.disabled) return;
  if (!navigator.cookieEnabled) {
    status.textContent = COOKIES_NEEDED;
    return;
  }
  button.disabled = true;
  status.textContent = t("Storing …");
  try {
    const data = new FormData();
    data.set("image", await picture(), "face.jpg");
    data.set("label", label);
    const answer = await fetch("/api/v1/corrections", { method: "POST", body: data });
    const problem = answer.ok ? null : ((await answer.json()) as { error?: { code: string; message: string } });
    status.textContent = problem ? ((problem.error && problemText(problem.error)) || t("This failed. Try again.")) : `${t("Kept as %(label)s.", { label })} `;
    if (!problem) status.append(Object.assign(document.createElement("a"), { href: "/corrections", textContent: t("Your labels") }));
  } catch {
    status.textContent = t("Server unreachable. Try again.");
  }
  button.disabled = false;
}

/** The part of the page's picture around a face. */
async function ofPhoto(result: HTMLElement, face: string): Promise<Blob> {
  const drawn = find<SVGSVGElement>("svg.photo", result);
  const source = await pictureOf(result);
  const { x, y, width, height } = find<SVGRectElement>(`a[data-face="${face}"] rect`, drawn);
  const box = [x, y, width, height].map((side) => side.baseVal.value) as unknown as Rect;
  return square(source, box, source.naturalWidth / drawn.viewBox.baseVal.width);
}

/** A square around a box, as JPEG; `scale` is from the box to the picture. */
function square(source: CanvasImageSource, [x, y, wide, high]: Rect, scale: number): Promise<Blob> {
  const side = FACE.margin * Math.max(wide, high) * scale;
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = Math.max(1, Math.round(Math.min(side, FACE.longest)));
  const corner = [(x + wide / 2) * scale - side / 2, (y + high / 2) * scale - side / 2] as const;
  canvas.getContext("2d")?.drawImage(source, ...corner, side, side, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve, reject) =>
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("no picture"))), "image/jpeg", 0.92),
  );
}
