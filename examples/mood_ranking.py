"""Rank a small catalog of films and music by the mood that a face apparently shows.

    python examples/mood_ranking.py clip.mp4
    python examples/mood_ranking.py 0            (camera 0)

The valence and arousal of the titles are guesses for this example. The ranking reflects what a
face shows, not what a person wants to see: offer it as one of several options.
"""

import sys

import mien
from mien.applications import MoodApplication, MoodItem

CATALOG = [
    MoodItem("A slow documentary about moss", valence=0.2, arousal=-0.6),
    MoodItem("Heist comedy", valence=0.7, arousal=0.6),
    MoodItem("Courtroom drama", valence=-0.2, arousal=0.2),
    MoodItem("Brass band, live", valence=0.8, arousal=0.5),
    MoodItem("Solo cello, late evening", valence=-0.3, arousal=-0.4),
    MoodItem("Ghost story", valence=-0.5, arousal=0.6),
]


def main(source: str) -> None:
    mood = MoodApplication()
    for result in mien.stream(int(source) if source.isdecimal() else source):
        mood.update(result, ())
    if mood.valence is None or mood.arousal is None:
        print("No face was visible long enough.")
        return
    print(f"valence {mood.valence:+.2f}, arousal {mood.arousal:+.2f}")
    for rank, item in enumerate(mood.rank(CATALOG), start=1):
        print(f"{rank}. {item.title}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: mood_ranking.py VIDEO | CAMERA-INDEX")
    try:
        main(sys.argv[1])
    except mien.MienError as error:
        sys.exit(f"{error}")
