"""The steps of benches/cells.rs in scikit-image, on a like frame: background, texture, seeds, watershed, shape, crops, links."""

import sys
import time

import numpy as np
from scipy import ndimage, optimize
from skimage import measure, morphology, segmentation, transform

WIDTH, HEIGHT, ROUNDS = 2560, 2160, 6


def plane(t):
    light = np.ones((HEIGHT, WIDTH), np.float32)
    for cell in range(50):
        cx, cy = 200 + 240 * (cell % 10) + 3 * t, 220 + 420 * (cell // 10) + 2 * t
        y, x = np.mgrid[cy - 80 : cy + 80, cx - 80 : cx + 80].astype(np.float32)
        dx, dy = x - cx, y - cy
        beyond = np.hypot(dx, 0.8 * dy) - 30 - 5 * np.sin(3 * np.arctan2(dy, dx) + cell)
        inside = 1 / (1 + np.exp(beyond))
        grain = 0.12 * np.sin(0.9 * x) * np.cos(0.8 * y)
        halo = (1 - inside) * 0.3 * np.exp(-np.maximum(beyond, 0) / 5)
        light[cy - 80 : cy + 80, cx - 80 : cx + 80] += inside * (grain - 0.25) + halo
    return light * 8000 + np.random.default_rng(t).integers(0, 128, light.shape)


def tracked(counts, before):
    small = counts[: HEIGHT // 45 * 45, : WIDTH // 45 * 45].reshape(HEIGHT // 45, 45, WIDTH // 45, 45)
    background = ndimage.zoom(np.median(small, axis=(1, 3)), 45, order=1)[:HEIGHT, :WIDTH]
    background = np.pad(background, ((0, HEIGHT - background.shape[0]), (0, WIDTH - background.shape[1])), "edge")
    relative = counts / background
    work = transform.downscale_local_mean(relative, (2, 2))
    fine = ndimage.gaussian_filter(work, 0.7)
    detail = np.abs(fine - ndimage.gaussian_filter(fine, 2))
    texture = np.sqrt(ndimage.gaussian_filter(detail**2, 1.25))
    rough = ndimage.binary_fill_holes(morphology.closing(texture > 2.2 * np.quantile(texture, 0.25), morphology.disk(2)))
    rough = morphology.opening(rough, morphology.disk(2))
    sure = ndimage.binary_erosion(rough, morphology.disk(3))
    seeds = measure.label(ndimage.distance_transform_edt(sure) > 4)
    labels = segmentation.watershed(ndimage.gaussian_gradient_magnitude(work, 0.7), seeds, mask=rough)
    centres = []
    for region in measure.regionprops(labels):
        _ = (region.area, region.perimeter, region.eccentricity, region.solidity, region.axis_major_length)
        y, x = (int(2 * c) for c in region.centroid)
        box = counts[max(y - 108, 0) : y + 109, max(x - 108, 0) : x + 109]
        transform.resize((box - box.min()) / max(np.ptp(box), 1), (256, 256), order=3)
        centres.append(region.centroid)
    centres = np.array(centres)
    if before is not None and len(before) and len(centres):
        optimize.linear_sum_assignment(np.linalg.norm(before[:, None] - centres[None], axis=2))
    return centres


best, before = float("inf"), None
for t in range(ROUNDS):
    counts = plane(t)
    begin = time.process_time()
    before = tracked(counts, before)
    best = min(best, 1e3 * (time.process_time() - begin))
print(f"the same in scikit-image, processor time {best:8.1f} ms ({len(before)} cells)")
for engine, ours in (argument.split("=") for argument in sys.argv[1:]):
    print(f"  {best / float(ours):.1f} times as long as with the network in {engine}")
