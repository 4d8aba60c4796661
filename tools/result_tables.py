"""The tables of the pages in docs/results, from benchmarks/results.

`tools/stage_docs.py` puts `TABLES[name]()` where a page has the line `<!-- table: name -->`.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent.parent / "benchmarks/results"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows as a Markdown table; the first row is the header."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "| " + " | ".join("---" for _ in rows[0]) + " |", *lines[1:]])


def read_result(name: str) -> Any:
    """A file of benchmarks/results."""
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def percent(share: float) -> str:
    """A share as a percentage with one digit."""
    return f"{100 * share:.1f} %"


def end_to_end() -> str:
    """Results of benchmarks/expression.py, one row per data set and prior."""
    counts = ("missed", "wrong_face", "wrong_label")
    shares = ("accuracy", "balanced_accuracy_n30", "macro_f1_n30", "ece")
    heads = ["model", "detector", "pictures", "prior", "n", "accuracy", "balanced (30+)"]
    rows = [[*heads, "macro-F1 (30+)", "ECE", "missed", "wrong face", "wrong label"]]
    for path in sorted(RESULTS.glob("expression-*.json")):
        document = read_result(path.stem)
        for row in document["results"]:
            facts = [f"`{document['model']}`", document["detector"], row["data"], row["prior"]]
            figures = [percent(row[name]) for name in shares]
            rows.append([*facts, str(row["n"]), *figures, *(str(row[name]) for name in counts)])
    return table(rows)


def peers() -> str:
    """Accuracy beside other libraries, one row for each set of pictures."""
    names = ("mien", "human", "fer")
    rows = [["pictures", "n", *names]]
    for name, found in read_result("peers").items():
        if name != "date":
            cells = [
                f"{one['accuracy']} / {one['balanced']} % ({one['not_found']})"
                for one in (found["figures"][who] for who in names)
            ]
            rows.append([name, str(found["pictures"]), *cells])
    return table(rows)


def domains() -> str:
    """Each model and prior on each data set."""
    rows = [["model", "pictures", "prior", "n", "accuracy", "balanced", "ECE"]]
    for row in read_result("domains")["results"]:
        shares = [percent(row[key]) for key in ("accuracy", "balanced_accuracy", "ece")]
        rows.append([f"`{row['model']}`", row["domain"], row["prior"], str(row["n"]), *shares])
    return table(rows)


def per_class() -> str:
    """Precision and recall of each expression, as a user gets it."""
    found = read_result("curves")
    heads = [f"{name}: {key}" for name in found for key in ("n", "precision", "recall")]
    rows = [["expression", *heads]]
    labels = next(iter(found.values()))["labels"]
    for label in labels:
        cells = []
        for measured in found.values():
            figures = measured["per_class"].get(label) or {}
            cells.append(str(figures.get("n", "")))
            cells += [_share_or_empty(figures.get(key)) for key in ("precision", "recall")]
        rows.append([label, *cells])
    return table(rows)


def _share_or_empty(share: float | None) -> str:
    return "" if share is None else percent(share)


def robustness() -> str:
    """Accuracy under each corruption."""
    document = read_result("robustness")
    rows = [["corruption", *(f"severity {n}" for n in range(1, 6)), "mean of 1 to 3"]]
    for kind, facts in document["corruptions"].items():
        shares = [*facts["accuracy"], facts["mean_1_to_3"]]
        rows.append([kind.replace("_", " "), *(percent(share) for share in shares)])
    rows.append(["all", "", "", "", "", "", percent(document["mean_1_to_3"])])
    return table(rows)


def calibration() -> str:
    """Confidence, calibration and selective error of the two sets."""
    rows = [["pictures", "n", "wrong of the faces found", "of the most confident 80 %", "ECE"]]
    for name, measured in read_result("curves").items():
        error = measured["risk_coverage"]["error"]
        at_80 = measured["risk_coverage"]["error_at_80"]
        shares = [percent(share) for share in (error, at_80, measured["ece"])]
        rows.append([name, str(measured["n"]), *shares])
    return table(rows)


def covered() -> str:
    """Faces with covers: marked, and wrong without a mark."""
    rows = [["cover", "faces", "marked as covered", "wrong and not uncertain: before", "now"]]
    for name, facts in read_result("covered").items():
        keys = ("pictures", "marked", "wrong, sure before", "wrong, sure")
        rows.append([name, *(str(facts.get(key, "")) for key in keys)])
    return table(rows)


def detectors() -> str:
    """Faces found, and false ones, by detector and lowest score."""
    heads = ["detector", "lowest score", "groups: found of 43", "false", "CPU ms"]
    rows = [[*heads, "crowd: found of 33", "false", "CPU ms"]]
    document = read_result("detection")
    for name in ("blazeface", "blazeface, tiles", "blazeface-short", "haar"):
        for score, facts in document[name].items():
            cells = []
            for kind in ("groups", "crowd"):
                part = facts[kind]
                cells += [str(part["found"]), str(sum(part["false"]))]
                cells.append(f"{part['cpu_ms_per_picture']:.1f}")
            rows.append([name, score, *cells])
    return table(rows)


def stills() -> str:
    """What the verifier removes, in still images."""
    document = read_result("detection")["still images"]
    kinds = [name for name, facts in document.items() if isinstance(facts, dict)]
    rows = [["", *kinds]]
    for key in document[kinds[0]]:
        rows.append([key, *(str(document[kind][key]) for kind in kinds)])
    return table(rows)


def turned() -> str:
    """Portraits turned by an angle."""
    rows = [["turned by", "found", "label right", "label as upright", "wrong and not uncertain"]]
    for row in read_result("field-rotation"):
        keys = ("found", "right", "as upright", "wrong, sure")
        rows.append([f"{row['turned by']}°", *(f"{row[key]} of {row['pictures']}" for key in keys)])
    return table(rows)


def pipeline() -> str:
    """CPU time of an analysis beside its bare model runs."""
    rows = [["faces", "threads", "bare models", "whole analysis", "overhead", "wall time"]]
    for run in read_result("pipeline")["runs"]:
        cpu = run["cpu_ms"]
        facts = [str(run["faces"]), str(run["threads"])]
        times = [f"{cpu['bare_models']:.1f} ms", f"{cpu['whole']:.1f} ms"]
        rows.append([*facts, *times, f"{100 * run['overhead']:.0f} %", f"{run['wall_ms']:.1f} ms"])
    return table(rows)


def large() -> str:
    """Small faces in large pictures."""
    rows = [["face", "megapixels", "found of 100", "CPU"]]
    for row in read_result("field-large"):
        facts = [f"{row['face px']} px", str(row["megapixels"]), str(row["of 100"])]
        rows.append([*facts, f"{row['cpu_s']:.1f} s"])
    return table(rows)


def runtimes() -> str:
    """Models in onnxruntime and LiteRT."""
    rows = [["model", "onnxruntime", "LiteRT", "ratio"]]
    for row in read_result("model_runtime")["results"]:
        times = [f"{row[key]:.1f} ms" for key in ("onnxruntime_ms", "litert_ms")]
        rows.append([row["model"], *times, f"{row['ratio']:.2f}"])
    return table(rows)


def stream_cost() -> str:
    """CPU time of a frame, beside FaceMesh alone."""
    rows = [["clip", "mien", "FaceMesh", "ratio"]]
    for clip, facts in read_result("streams-cost")["figures"].items():
        peer = facts.get("facemesh_cpu_ms_per_frame")
        rest = ["", ""] if peer is None else [f"{peer:.1f} ms", f"{facts['ratio']:.2f}"]
        rows.append([clip, f"{facts['cpu_ms_per_frame']:.1f} ms", *rest])
    return table(rows)


def closed_eyes() -> str:
    """Closed eyes in two clips, by landmark model."""
    rows = [["clip", "face", "model", "closed frames found", "open taken for closed"]]
    for model, figures in read_result("streams-eyes")["figures"].items():
        for row in figures["clips"]:
            facts = [row["clip"], f"{row['median_size_px']:.0f} px", model]
            found = f"{row['closed_found']} of {row['closed_frames']}"
            false = f"{row['open_taken_for_closed']} of {row['open_frames']}"
            rows.append([*facts, found, false])
    return table(rows)


def blinks() -> str:
    """Blinks, yawns and long closures of clips that were counted by eye."""
    figures = read_result("streams-eyes")["figures"]
    rows = [["clip", "true blinks, yawns", *(f"{model}: found; closures" for model in figures)]]
    for clip, facts in next(iter(figures.values()))["counted"].items():
        true = facts["true_blinks"]
        cells = [f"{'not counted' if true is None else true}, {facts['true_yawns']}"]
        for found in (figures[model]["counted"][clip] for model in figures):
            closures = ", ".join(f"{seconds:.1f} s" for seconds in found["closures_s"]) or "none"
            cells.append(f"{found['blinks']}, {found['yawns']}; {closures}")
        rows.append([clip, *cells])
    return table(rows)


def rendered_blinks() -> str:
    """Blinks of rendered heads."""
    heads = ["model", "", *(f"blinks {kind}" for kind in ("at rest", "smiling", "squinting"))]
    rows = [[*heads, "talking", "false", "looks down: closed", "closures", "yawns", "false"]]
    for model, figures in read_result("streams-eyes")["figures"].items():
        for row in figures["rendered"]:
            found = row["found"]
            blinks = [f"{found[kind]} of {true}" for kind, true in row["true"].items()]
            down = f"{found['looks down, closed']} of {found['looks down']} frames"
            others = [f"{found[kind]} of {row['heads']}" for kind in ("closures", "yawns")]
            false = str(found["false closures"] + found["false yawns"])
            blinks.append(str(found["false blinks"]))
            rows.append([model, row["variant"], *blinks, down, *others, false])
    return table(rows)


def movements() -> str:
    """Each action unit of rendered heads, from the same head at rest."""
    document = read_result("movements")
    heads = ["unit", "area under the curve", "the same without `neutral=`", "correlation"]
    rows = [[*heads, "found", "false", "mean of the whole movement", "other units in it"]]
    for unit, facts in document["units_from_rest"].items():
        others = ", ".join(f"{name} {mean:.2f}" for name, mean in facts["others"].items())
        plain = document["units"][unit]["auc"]
        figures = [f"{facts['auc']:.2f}", f"{plain:.2f}", f"{facts['correlation']:.2f}"]
        shares = [f"{100 * facts[name]:.0f} %" for name in ("found", "false")]
        rows.append([unit, *figures, *shares, f"{facts['at_whole']:.2f}", others])
    return table(rows)


_SETS_OF_FACES = ("FER+", "news", "London")


def apparent_movements() -> str:
    """Units that belong to an expression, on faces with that label and on neutral ones."""
    rows = [["expression", "unit", "neutral faces", "these faces", "area under the curve"]]
    for label, units in read_result("apparent-movements")["pairs"].items():
        for unit, facts in units.items():
            rows.append(
                [label, unit, *(f"{facts[name]:.2f}" for name in ("neutral", "mean", "auc"))]
            )
    return table(rows)


def units_at_rest() -> str:
    """How often neutral and smiling faces have a unit, without a known rest."""
    faces, people = read_result("apparent-movements"), read_result("movements")["photographs"]
    sets = [faces["at_limit"], faces["photographs"]["at_limit"]]
    kinds = ("neutral", "happiness")
    shares = [{unit: one[kind][unit] for unit in one[kind]} for kind in kinds for one in sets]
    london = [
        {unit: facts[kind]["at_limit"] for unit, facts in people["units"].items()} for kind in kinds
    ]
    columns = [*shares[:2], london[0], *shares[2:], london[1]]
    heads = [f"{kind}, {name}" for kind in ("neutral", "smiling") for name in _SETS_OF_FACES]
    rows = [["unit", *heads]]
    rows += [[unit, *(f"{100 * one[unit]:.0f} %" for one in columns)] for unit in london[0]]
    return table(rows)


def web_load() -> str:
    """Load on the live page."""
    document = read_result("web-load")
    heads = ["clients", "rate of each", "frames a second", "of the bare pipeline"]
    rows = [[*heads, "of it with the same streams", "median", "p95", "refused"]]
    for run in [*document["runs"], document["flood"]]:
        rate = "one in flight" if run["rate_each"] is None else f"{run['rate_each']:.0f} a second"
        share = run.get("of_bare", run["fps"] / document["bare_fps"])
        same = run.get("of_bare_same_streams")
        shares = [f"{100 * share:.0f} %", "" if same is None else f"{100 * same:.0f} %"]
        times = [f"{run['p50_ms']:.0f} ms", f"{run['p95_ms']:.0f} ms"]
        rows.append(
            [str(run["clients"]), rate, f"{run['fps']:.0f}", *shares, *times, str(run["full"])]
        )
    return table(rows)


def web_memory() -> str:
    """Peak memory of the server with large photographs."""
    rows = [["photograph", "megapixels", "at once", "before", "peak"]]
    for row in read_result("field-memory"):
        facts = [row["picture"][1:], f"{row['side'] ** 2 / 1e6:.0f}", str(row["at once"])]
        rows.append([*facts, f"{row['before_mb']} MB", f"{row['peak_mb']} MB"])
    return table(rows)


def browser() -> str:
    """Frames a second in Chromium."""
    rows = [["faces", "library", "frames a second", "median", "first result", "faces found"]]
    for count, libraries in read_result("browser")["figures"].items():
        for name, facts in libraries.items():
            times = [f"{facts['median_ms']:.0f} ms", f"{facts['first_result_ms'] / 1000:.1f} s"]
            found = f"{facts['faces_per_frame']:.1f}"
            rows.append([count, name, f"{facts['frames_per_second']:.1f}", *times, found])
    return table(rows)


def cluster() -> str:
    """CPU time of an image in a worker, and beside it."""
    rows = [
        ["workers", "worker", "Ray, driver", "bare pipeline", "efficiency", "memory of a worker"]
    ]
    for row in read_result("cluster")["workers"]:
        times = [f"{1000 * row[f'{key}_cpu_s_per_image']:.1f} ms" for key in _CLUSTER_TIMES]
        efficiency = f"{row['efficiency']:.2f}"
        rows.append([str(row["workers"]), *times, efficiency, f"{row['worker_mb']:.0f} MB"])
    return table(rows)


_CLUSTER_TIMES = ("worker", "other", "bare")


def simulated() -> str:
    """A million photographs on machines of eight workers, simulated."""
    rows = [["machines", "time", "images a second", "efficiency"]]
    for row in read_result("cluster")["simulated, a million images"]:
        rows.append(
            [
                str(row["nodes"]),
                f"{60 * row['hours']:.0f} minutes",
                f"{row['images_per_s']:.0f}",
                f"{row['efficiency']:.3f}",
            ]
        )
    return table(rows)


TABLES: dict[str, Callable[[], str]] = {
    function.__name__.replace("_", "-"): function
    for function in (
        end_to_end, peers, domains, per_class, robustness, calibration, covered, detectors, stills,
        turned, pipeline, large, runtimes, stream_cost, closed_eyes, blinks, rendered_blinks,
        movements, apparent_movements, units_at_rest, web_load, web_memory, browser, cluster,
        simulated,
    )
}  # fmt: skip
