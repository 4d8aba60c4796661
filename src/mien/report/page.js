"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const video = document.getElementById("video");
  const readout = document.getElementById("readout");
  const courses = [...document.querySelectorAll(".course")];
  const clock = (s) => Math.floor(s / 60) + ":" + (s % 60).toFixed(1).padStart(4, "0");
  const end = data.end_s || 1;
  const start = data.video_start_s;

  function show(seconds, course) {
    for (const other of courses) {
      const cursor = other.querySelector(".cursor");
      cursor.hidden = false;
      cursor.style.left = 100 * Math.min(1, seconds / end) + "%";
    }
    if (!course) return;
    const id = course.dataset.track;
    const found = data.tracks[id][Math.floor(seconds / data.width_s)];
    const words = found
      ? data.labels.map((label, i) => [label, found[i + 1] || 0])
          .sort((a, b) => b[1] - a[1]).slice(0, 3)
          .map(([label, percent]) => label + " " + percent + " %").join(" · ")
      : "not in view";
    readout.hidden = false;
    readout.textContent = "Person " + id + " at " + clock(seconds) + ": " + words;
  }

  function seek(seconds) {
    if (video) video.currentTime = Math.max(0, Math.min(end, seconds) - start);
  }

  let now = 0;
  for (const course of courses) {
    const at = (event) => {
      const box = course.getBoundingClientRect();
      return end * Math.max(0, Math.min(1, (event.clientX - box.left) / box.width));
    };
    course.tabIndex = 0;
    course.setAttribute("role", "slider");
    course.setAttribute("aria-label", "Timeline of person " + course.dataset.track);
    course.setAttribute("aria-valuemin", "0");
    course.setAttribute("aria-valuemax", end.toFixed(1));
    course.setAttribute("aria-valuenow", "0");
    const go = (seconds) => {
      now = Math.max(0, Math.min(end, seconds));
      course.setAttribute("aria-valuenow", now.toFixed(1));
      course.setAttribute("aria-valuetext", clock(now));
      show(now, course);
      seek(now);
    };
    course.addEventListener("pointermove", (event) => show(at(event), course));
    course.addEventListener("pointerleave", () => show(video ? video.currentTime + start : now));
    course.addEventListener("click", (event) => go(at(event)));
    course.addEventListener("keydown", (event) => {
      const steps = { ArrowLeft: -1, ArrowRight: 1, PageDown: 10, PageUp: -10 };
      if (event.key in steps) go(now + (steps[event.key] * end) / 100);
      else if (event.key === "Home") go(0);
      else if (event.key === "End") go(end);
      else return;
      event.preventDefault();
    });
  }
  if (video && courses.length) {
    document.getElementById("hint").hidden = false;
    const follow = () => {
      now = video.currentTime + start;
      show(now);
    };
    video.addEventListener("timeupdate", follow);
    video.addEventListener("seeked", follow);
  }
})();
