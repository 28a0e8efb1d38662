"""Peak memory of a training process by batch size: ours against a plain step in the style of the released code.

Each row is a process of its own. What a process needs before it trains at all, mostly torch itself, is the first row.
"""

import measure
import pandas as pd
import training_step

ABOUT = "Peak memory of a process that trains, paper configuration, by mixtures in a batch."


def nothing() -> float:
    """Load what every row loads."""
    return 0.0


def main() -> None:
    """Measure and report."""
    options = measure.arguments("memory", ABOUT)
    rows = {"torch and the library alone": measure.in_own_process(nothing)[1]}
    for size in (2,) if options.quick else (2, 8):
        for name, how in training_step.ROWS.items():
            _, rows[f"{name}, batch {size}"] = measure.in_own_process(training_step.row, how, options.quick, 0.0, size)
    table = pd.DataFrame({"peak MiB": rows})
    table["above the first row"] = table["peak MiB"] - table["peak MiB"].iloc[0]
    measure.report(options, table, steps=2)


if __name__ == "__main__":
    main()
