/**
 * The photo and video pages: choose, drop or paste a file. Photos are analyzed on this device unless the
 * visitor chooses the server; a video is uploaded with a progress bar.
 */

import { offerCorrections } from "./correct";
import { linkFaces } from "./faces";
import { deviceAddresses, find } from "./page";
import { notice, PhotoAnalyzer } from "./photo";
import { offerPriors } from "./prior";
import { messageText, t } from "./words";

interface Created {
  id?: string;
  error?: { message: string };
}

const FAILED: Record<number, string> = {
  413: t("This video is too large for the server. Cut it, or make it smaller."),
  502: t("The server does not respond. Try again in a moment."),
  503: t("The server is busy. Try again in a moment."),
  504: t("The server does not respond. Try again in a moment."),
};

const form = find<HTMLFormElement>("[data-drop]");
const input = find<HTMLInputElement>('input[type="file"]', form);
const title = find(".drop-title");
const button = find<HTMLButtonElement>('button[type="submit"]', form);
const isVideo = form.dataset["drop"] === "video";

document.documentElement.classList.add("js");
const result = document.querySelector<HTMLElement>(".result[data-result]");
if (result) connect(result);
input.addEventListener("change", () => input.files?.length && onFile());
addEventListener("paste", (event) => useFiles(event.clipboardData?.files));
addEventListener("dragover", (event) => {
  event.preventDefault();
  form.classList.add("over");
});
addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) form.classList.remove("over");
});
addEventListener("drop", (event) => {
  event.preventDefault();
  form.classList.remove("over");
  useFiles(event.dataTransfer?.files);
});

function connect(shown: HTMLElement): void {
  linkFaces(shown);
  offerCorrections(shown);
  offerPriors(shown);
}

function useFiles(files: FileList | undefined): void {
  if (!files?.length) return;
  input.files = files;
  onFile();
}

/** A photo is analyzed at once; a video has options to set first. */
function onFile(): void {
  if (isVideo) {
    title.textContent = input.files?.[0]?.name ?? title.textContent;
  } else {
    form.setAttribute("aria-busy", "true");
    form.requestSubmit();
  }
}

const engineChoice = form.querySelector<HTMLSelectElement>("[data-engine-choice]");
if (engineChoice) choosePlace(engineChoice);

/** Where photos are analyzed: `data-engine` of the form says what is in use. */
function choosePlace(choice: HTMLSelectElement): void {
  const analyzer = new PhotoAnalyzer(deviceAddresses(form));
  const use = (engine: string): void => {
    form.dataset["engine"] = choice.value = engine;
    for (const text of document.querySelectorAll<HTMLElement>("[data-privacy]")) {
      text.hidden = text.dataset["privacy"] !== engine;
    }
  };
  const analyze = async (files: Promise<readonly File[]>): Promise<void> => {
    form.setAttribute("aria-busy", "true");
    try {
      replaceResult(await analyzer.show(await files));
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      console.warn(`mien: ${reason}`);
      use("server");
      replaceResult(notice(t("This browser cannot analyze photos itself. Choose the file again to send it to the server.")));
    }
    form.removeAttribute("aria-busy");
    form.reset();
    choice.value = form.dataset["engine"] ?? "server";
  };
  choice.addEventListener("change", () => use(choice.value));
  // Models of one's own are on the server.
  const model = form.querySelector<HTMLSelectElement>("[data-model-choice]");
  model?.addEventListener("change", () => use(model.value ? "server" : "device"));
  // A page that a server's answer is on keeps the server; every other begins on the device.
  use(choice.dataset["engineChoice"] || "device");
  document.addEventListener("submit", (event) => {
    const sent = event.target as HTMLFormElement;
    if (form.dataset["engine"] !== "device") {
      if (sent !== form) sent.append(Object.assign(document.createElement("input"), { type: "hidden", name: "engine", value: "server" }));
      return;
    }
    event.preventDefault();
    if (sent === form) return void analyze(Promise.resolve([...(input.files ?? [])]));
    const sample = find<HTMLButtonElement>("button[name=sample]", sent);
    void analyze(
      fetch(find<HTMLImageElement>("img", sample).src)
        .then((response) => response.blob())
        .then((blob) => [new File([blob], sample.value, { type: blob.type })]),
    );
  });
}

function replaceResult(shown: HTMLElement): void {
  for (const old of document.querySelectorAll<HTMLElement>("[data-result]")) {
    for (const shown of old.querySelectorAll("img, image, a[download]")) {
      const held = shown.getAttribute("src") ?? shown.getAttribute("href") ?? "";
      if (held.startsWith("blob:")) URL.revokeObjectURL(held);
    }
    old.remove();
  }
  for (const old of document.querySelectorAll<HTMLElement>("main > .notice, main > .lead")) old.hidden = true;
  form.classList.add("small");
  form.before(shown);
  if (shown.matches(".result")) connect(shown);
  shown.scrollIntoView({ block: "nearest" });
}

if (isVideo) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const video = input.files?.[0];
    if (video) uploadVideo(video);
  });
}

/** A proxy may answer with a page of its own in place of JSON. */
function parse(text: string): Created {
  try {
    return JSON.parse(text) as Created;
  } catch {
    return {};
  }
}

function uploadVideo(video: File): void {
  const option = (name: string) => find<HTMLInputElement>(`input[name="${name}"]`, form);
  const bar = find<HTMLProgressElement>("[data-upload]");
  const data = new FormData();
  data.set("video", video);
  data.set("every", option("every").value);
  data.set("annotate", String(option("annotate").checked));
  data.set("blur_faces", String(option("blur_faces").checked));
  const fail = (message: string): void => {
    bar.hidden = true;
    button.disabled = false;
    title.textContent = message;
    title.setAttribute("role", "alert");
  };
  button.disabled = true;
  bar.hidden = false;
  const request = new XMLHttpRequest();
  request.upload.onprogress = ({ loaded, total }) => {
    bar.value = total ? loaded / total : 0;
  };
  request.onload = () => {
    const created = parse(request.responseText);
    if (created.id) location.assign(`/jobs/${created.id}`);
    else fail(messageText(created.error?.message ?? "") || (FAILED[request.status] ?? t("Upload failed. Try again.")));
  };
  request.onerror = () => fail(t("Server unreachable. Try again."));
  request.open("POST", "/api/v1/videos");
  request.send(data);
}
