"""From the cells of a run to its figures: percentiles, medians over rounds, ratios inside a round."""
import statistics

BUSY = 0.2  # share of the machine that other programs may use before figures stop to count
# What is compared with the same figure of another target, as a ratio.
RATIOS = ("cpu_us_per_unit", "per_s", "memory_kib_per_unit", "start_ms", "idle_rss_kb")
REFERENCES = {"vs_floor": "floor", "vs_floor_resume": "floor-resume"}
# What is compared with the direct connection, as a difference.
ADDED = ("p50_us", "p99_us", "event_p50_us", "event_p99_us")
NOT_FIGURES = {"case", "target", "round", "valid", "first_error", "errors", "other_us", "wall_us"}


def percentile(histogram, part):
    """The value that `part` (0 to 1) of all are at most, of [[value, count], …] in ascending order; None of nothing."""
    total = sum(count for _, count in histogram)
    seen = 0
    for value, count in histogram:
        seen += count
        if seen >= part * total:
            return value
    return None


def merged(histograms):
    """One histogram of several."""
    counts = {}
    for histogram in histograms:
        for value, count in histogram:
            counts[value] = counts.get(value, 0) + count
    return sorted(counts.items())


def median(values):
    """Of those that are there; None if none is."""
    present = [value for value in values if value is not None]
    return statistics.median(present) if present else None


def median_ratio(ours, theirs):
    """Median over the rounds of ratios formed inside a round, where both ran within seconds. Both: {round: value}."""
    return median(ours[turn] / theirs[turn] for turn in ours
                  if ours[turn] is not None and theirs.get(turn) is not None and theirs[turn] > 0)


def median_difference(ours, theirs):
    """Median over the rounds of differences formed inside a round."""
    return median(ours[turn] - theirs[turn] for turn in ours
                  if ours[turn] is not None and theirs.get(turn) is not None)


def other_load(cells, processors):
    """Share of the machine's processors that other programs used while these cells were measured; None without cells."""
    wall = sum(cell["wall_us"] for cell in cells)
    return max(0.0, sum(cell["other_us"] for cell in cells) / (wall * processors)) if wall else None


def summarise(cells, bases, processors):
    """{case: {target: figures}} of measured cells. `bases`: {case: case with ten}, for the ratio vs_ten."""
    rounds = {}
    for cell in cells:
        rounds.setdefault((cell["case"], cell["target"]), {})[cell["round"]] = cell

    def figure(case, target, name):
        return {turn: cell.get(name) for turn, cell in rounds.get((case, target), {}).items() if cell["valid"]}

    summary = {}
    for (case, target), taken in rounds.items():
        valid = [cell for cell in taken.values() if cell["valid"]]
        row = {"valid": bool(valid), "rounds": len(valid), "failed_rounds": len(taken) - len(valid)}
        if not valid:
            row["first_error"] = next(iter(taken.values()))["first_error"]
        for name in sorted({name for cell in valid for name in cell} - NOT_FIGURES):
            middle = median(cell.get(name) for cell in valid)
            if middle is not None:
                row[name] = middle
        if valid and "wall_us" in valid[0]:
            row["other_load"] = other_load(valid, processors)
        for name in RATIOS:
            ours = figure(case, target, name)
            for key, reference in REFERENCES.items():
                _note(row, key, name, median_ratio(ours, figure(case, reference, name)))
            if case in bases:
                _note(row, "vs_ten", name, median_ratio(ours, figure(bases[case], target, name)))
        for name in ADDED:
            added = median_difference(figure(case, target, name), figure(case, "direct", name))
            if added is not None:
                row["added_" + name] = added
        summary.setdefault(case, {})[target] = row
    return summary


def _note(row, key, name, ratio):
    if ratio is not None:
        row.setdefault(key, {})[name] = ratio
