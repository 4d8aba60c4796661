"""HDR pixels as standard RGB."""

import numpy as np
import pytest

from mien.media.tone_mapping import HLG, PQ, tone_map

# Signal levels of diffuse white of 203 cd/m²: ITU-R BT.2408.
WHITE = {PQ: 0.58, HLG: 0.75}


def gray(transfer: int, signal: float) -> float:
    pixels = np.full((2, 2, 3), round(65535 * signal), np.uint16)
    image = tone_map(pixels, transfer)
    assert image.dtype == np.uint8
    assert np.ptp(image) <= 2
    return float(image.mean())


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_diffuse_white_is_nearly_white_and_order_is_kept(transfer: int) -> None:
    assert gray(transfer, 0) <= 2
    assert 225 <= gray(transfer, WHITE[transfer]) <= 250
    levels = [gray(transfer, signal) for signal in np.linspace(0, 1, 30)]
    assert levels == sorted(levels)
    assert levels[-1] >= 252


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_middle_light_is_that_of_standard_video(transfer: int) -> None:
    # 38 % of the signal are 26 cd/m² in both, 0.128 of diffuse white, which sRGB encodes as 101.
    assert gray(transfer, 0.38) == pytest.approx(101, abs=4)


def test_pure_colors_stay_pure() -> None:
    red = np.zeros((1, 1, 3), np.uint16)
    red[..., 0] = round(0.58 * 65535)
    assert tone_map(red, PQ)[0, 0] == pytest.approx([255, 0, 0], abs=4)
