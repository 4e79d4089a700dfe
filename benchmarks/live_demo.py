"""Frames per second of the demo beside the field's usual loop. ``python benchmarks/live_demo.py [frames]``.

The same drawn video of 640x480 pixels and the same network, bamb2023's CNN with random weights, for both:
Haar cascade on every whole frame and Keras' `predict` for each face, against this demo without its search for
movements. Rounds take turns; the ratio is the median over them. Then the demo as it is shipped, by steps.
"""

import sys
from statistics import median

from fer_utils.live import demo, latency, usual_loop
from fer_utils.params import LiveDemo, notebook_defaults

ROUNDS = 3
LOOPS = ("the usual loop", "this demo")


def main() -> None:
    n_frames = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    params = LiveDemo.from_values(
        notebook_defaults("50_live_demo") | {"seconds": n_frames / 30}, where="benchmark"
    )
    frames = list(demo.source(params))
    rounds = [usual_loop.compared(params, frames) for _ in range(ROUNDS)]
    for name in LOOPS:
        rates = [found[name]["frames_per_second"] for found in rounds]
        print(f"{name:15s} {median(rates):7.1f} frames/s")
    ratios = [found[LOOPS[1]]["frames_per_second"] / found[LOOPS[0]]["frames_per_second"] for found in rounds]
    print(f"{'ratio':15s} {median(ratios):7.1f}  (rounds: {', '.join(f'{ratio:.1f}' for ratio in ratios)})\n")
    table = latency.table(latency.measure(demo.pipeline(params), frames))
    print(f"the shipped networks, movements too, {params.threads} threads\n{table.round(2)}")


if __name__ == "__main__":
    main()
