/** A job's page: follows the job, and shows the results when it ends. */

import { find, percent } from "./page";

interface Job {
  state: string;
  progress: number;
  frames_done: number;
}

const card = find("[data-job]");
const bar = find<HTMLProgressElement>("[data-progress]", card);
const badge = find("[data-state]", card);
const words = find("[data-progress-text]", card);

async function follow(): Promise<void> {
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, 1000));
    let response: Response;
    try {
      response = await fetch(card.dataset["job"] ?? "");
    } catch {
      words.textContent = "The server is away. Trying again…";
      continue;
    }
    if (response.status === 404) break;
    if (!response.ok) continue;
    const job = (await response.json()) as Job;
    badge.textContent = job.state;
    if (job.state !== "queued" && job.state !== "running") break;
    bar.value = job.progress;
    words.textContent = job.state === "queued"
      ? "Waiting for its turn"
      : `${percent(job.progress)}, ${job.frames_done} frames`;
  }
  location.reload();
}

void follow();
