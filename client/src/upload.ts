/** The photo and video pages: choose, drop or paste a file. A video is uploaded with a progress bar. */

import { linkFaces } from "./faces";
import { find } from "./page";

interface Created {
  id?: string;
  error?: { message: string };
}

const FAILED: Record<number, string> = {
  413: "This video is too large for the server. Cut it, or make it smaller.",
  502: "The server does not respond. Try again in a moment.",
  503: "The server is busy. Try again in a moment.",
  504: "The server does not respond. Try again in a moment.",
};

const form = find<HTMLFormElement>("[data-drop]");
const input = find<HTMLInputElement>('input[type="file"]', form);
const title = find(".drop-title");
const button = find<HTMLButtonElement>('button[type="submit"]', form);
const isVideo = form.dataset["drop"] === "video";

document.documentElement.classList.add("js");
const result = document.querySelector<HTMLElement>("[data-result]");
if (result) linkFaces(result);
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
    else fail(created.error?.message ?? FAILED[request.status] ?? "Upload failed. Try again.");
  };
  request.onerror = () => fail("Server unreachable. Try again.");
  request.open("POST", "/api/v1/videos");
  request.send(data);
}
