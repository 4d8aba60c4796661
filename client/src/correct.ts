/** Faces of the photo page with the label that a person gives them, kept on the server for a model of one's own. */

import { find } from "./page";
import { pictureOf } from "./pictures";
import { messageText, t } from "./words";

const FACE = { margin: 1.8, longest: 320 };

/** Add the form below each face of a result. */
export function offerCorrections(result: HTMLElement): void {
  const template = document.querySelector<HTMLTemplateElement>("template[data-correction]");
  if (!template) return;
  for (const card of result.querySelectorAll<HTMLElement>("article.face")) {
    card.append(template.content.cloneNode(true));
    const form = find<HTMLFormElement>(".correct form", card);
    const input = find<HTMLInputElement>("input", form);
    const label = find<HTMLLabelElement>("label", form);
    input.id = `label-${card.dataset["face"] ?? ""}`;
    label.htmlFor = input.id;
    input.placeholder = card.dataset["expression"] ?? "";
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      // The page's other forms send photos.
      event.stopPropagation();
      void keep(result, card, input.value, find("[role=status]", card));
    });
  }
}

async function keep(result: HTMLElement, card: HTMLElement, label: string, status: HTMLElement): Promise<void> {
  status.textContent = t("Storing …");
  try {
    const data = new FormData();
    data.set("image", await picture(result, card.dataset["face"] ?? ""), "face.jpg");
    data.set("label", label);
    const answer = await fetch("/api/v1/corrections", { method: "POST", body: data });
    const problem = answer.ok ? null : ((await answer.json()) as { error?: { message: string } });
    status.textContent = problem ? (messageText(problem.error?.message ?? "") || t("This failed. Try again.")) : `${t("Kept as %(label)s.", { label })} `;
    if (!problem) status.append(Object.assign(document.createElement("a"), { href: "/corrections", textContent: t("Your labels") }));
  } catch {
    status.textContent = t("Server unreachable. Try again.");
  }
}

/** The part of the page's picture around a face. */
async function picture(result: HTMLElement, face: string): Promise<Blob> {
  const drawn = find<SVGSVGElement>("svg.photo", result);
  const source = await pictureOf(result);
  const box = find<SVGRectElement>(`a[data-face="${face}"] rect`, drawn);
  const [x, y, wide, high] = [box.x, box.y, box.width, box.height].map((side) => side.baseVal.value);
  const scale = source.naturalWidth / drawn.viewBox.baseVal.width;
  const side = FACE.margin * Math.max(wide!, high!) * scale;
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = Math.max(1, Math.round(Math.min(side, FACE.longest)));
  const corner = [(x! + wide! / 2) * scale - side / 2, (y! + high! / 2) * scale - side / 2] as const;
  canvas.getContext("2d")?.drawImage(source, ...corner, side, side, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve, reject) =>
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("no picture"))), "image/jpeg", 0.92),
  );
}
