"""Make starting weights of a training run's trunk, for a recipe with other labels.

    python tools/save_trunk.py runs/transfer recipes/transfer-trunk.npz

Takes the averaged weights of the run's best epoch. The heads are left out.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from mien.training.checkpoint import BEST


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    state = torch.load(arguments.run / BEST, map_location="cpu", weights_only=True)
    trunk = {name: value.numpy() for name, value in state.items() if name.startswith("trunk.")}
    np.savez(arguments.output, **trunk)


if __name__ == "__main__":
    main()
