"""PyTorch's side of torch-speed.sh: the network and the step of src/learn/autoencoder.rs, written with torch.nn.

Called with the command that measures cytowatch; a width is added to it. Both are measured in turn, so that a busy machine
slows both alike; the median of the rounds counts.
"""

import os
import re
import statistics
import subprocess
import sys
import time

import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

ROUNDS = 5
STEPS = 20
BATCH = 25
SIDE = 128
LATENT = 56
READ = 2
MULTIPLES = (1, 2, 4, 8, 16)


class Autoencoder(nn.Module):
    def __init__(self, width):
        super().__init__()
        channels = [1] + [m * width for m in MULTIPLES]
        down = []
        for a, b in zip(channels, channels[1:]):
            down += [nn.Conv2d(a, b, 4, 2, 1, bias=False), nn.BatchNorm2d(b), nn.PReLU()]
        self.encoder = nn.Sequential(
            *down, nn.Flatten(), nn.Linear(channels[-1] * 16, LATENT), nn.BatchNorm1d(LATENT)
        )
        up = []
        for a, b in zip(channels[:1:-1], channels[-2:0:-1]):
            up += [nn.ConvTranspose2d(a, b, 4, 2, 1, bias=False), nn.BatchNorm2d(b), nn.PReLU()]
        self.begin = nn.Sequential(nn.Linear(LATENT, channels[-1] * 16), nn.PReLU())
        self.decoder = nn.Sequential(*up, nn.ConvTranspose2d(width, 1, 4, 2, 1, bias=False))

    def forward(self, pictures, tied):
        z = torch.cat([tied, self.encoder(pictures)[:, READ:]], 1)
        return z, self.decoder(self.begin(z).view(len(z), -1, 4, 4))


def adversary():
    return nn.Sequential(
        nn.Linear(LATENT, 1024),
        nn.LeakyReLU(0.2),
        nn.Linear(1024, 1024),
        nn.BatchNorm1d(1024),
        nn.LeakyReLU(0.2),
        nn.Linear(1024, 512),
        nn.BatchNorm1d(512),
        nn.LeakyReLU(0.2),
        nn.Linear(512, 1),
    )


def torch_rate(width):
    """Pictures per second."""
    torch.manual_seed(1)
    net, judge = Autoencoder(width), adversary()
    adam_net = torch.optim.Adam(net.parameters(), lr=2e-3)
    adam_judge = torch.optim.Adam(judge.parameters(), lr=2e-3)
    pictures = torch.rand(BATCH, 1, SIDE, SIDE)
    tied, noise = torch.randn(BATCH, READ), torch.randn(BATCH, LATENT)
    ones, zeros = torch.ones(BATCH, 1), torch.zeros(BATCH, 1)

    def step():
        adam_net.zero_grad()
        judge.requires_grad_(False)
        z, drawn = net(pictures, tied)
        (cross_entropy(drawn, pictures) + 0.003 * cross_entropy(judge(z), ones)).backward()
        judge.requires_grad_(True)
        adam_judge.zero_grad()
        (cross_entropy(judge(noise), ones) + cross_entropy(judge(z.detach()), zeros)).backward()
        adam_net.step()
        adam_judge.step()

    for _ in range(3):
        step()
    began = time.perf_counter()
    for _ in range(STEPS):
        step()
    return STEPS * BATCH / (time.perf_counter() - began)


def our_rate(command, width):
    """Pictures per second."""
    said = subprocess.run([*command, str(width), str(BATCH), str(STEPS)], check=True, capture_output=True, text=True)
    return float(re.search(r"([\d.]+) pictures/s", said.stdout)[1])


def main():
    threads = int(os.environ.get("RAYON_NUM_THREADS") or len(os.sched_getaffinity(0)))
    torch.set_num_threads(threads)
    print(f"torch {torch.__version__}, {threads} threads, {SIDE} px, batches of {BATCH}, {ROUNDS} rounds in turn")
    for width in (8, 16):
        ours, theirs = [], []
        for _ in range(ROUNDS):
            ours.append(our_rate(sys.argv[1:], width))
            theirs.append(torch_rate(width))
        a, b = statistics.median(ours), statistics.median(theirs)
        print(f"width {width}: cytowatch {a:.1f} pictures/s, PyTorch {b:.1f} pictures/s, ratio {a / b:.2f}")


if __name__ == "__main__":
    main()
