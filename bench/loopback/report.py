"""The table of a run, and its bars as SVG."""
from loopback import figures

HEADS = ("case", "target", "CPU", "each", "f", "fr", "ten", "rate", "", "p50", "p99", "+p50", "+p99", "memory", "others")
LEGEND = """CPU of the proxy for each unit, user and system; f: times that of the bare relay (floor) in the same round, fr: of the
one that resumes TLS sessions towards the origin (floor-resume), ten: of the same policy with ten entries; rate: a second;
p50, p99: latency in µs, with + that over the direct connection; memory: KiB for each unit; others: share of the machine that
other programs used. Medians over the rounds; ratios and differences are formed inside a round."""


def number(value):
    if value is None:
        return "-"
    if abs(value) >= 1000:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.3g}"


def row_of(case, target, row):
    """The cells of one line of the table."""
    if not row["valid"]:
        return (case.name, target, "failed: " + row["first_error"])
    transfer = case.unit == "GiB"
    cpu, rate = row.get("cpu_us_per_unit"), row.get("per_s")
    # Of idle tunnels the figure is the memory.
    main = "memory_kib_per_unit" if case.memory else "start_ms" if not case.client else "cpu_us_per_unit"

    def ratio(key):
        return number(row.get(key, {}).get(main))

    if not case.client:
        cpu, unit = row["start_ms"], "ms/start"
    else:
        cpu, unit = (cpu / 1e3 if transfer and cpu is not None else cpu), ("ms/" if transfer else "µs/") + case.unit
    event = "event_" if case.unit == "event" else ""
    latencies = (event + "p50_us", event + "p99_us", f"added_{event}p50_us", f"added_{event}p99_us")
    return (case.name, target, number(cpu), unit, ratio("vs_floor"), ratio("vs_floor_resume"), ratio("vs_ten"),
            number(rate * 1024 if transfer and rate is not None else rate), "MiB/s" if transfer else "/s" if rate else "",
            *(number(row.get(name)) for name in (*latencies, "memory_kib_per_unit")),
            number(row.get("other_load")) + (" !" if row.get("other_load", 0) > figures.BUSY else ""))


def table(summary, cases, names):
    """Text, one line for each case and target that took part."""
    lines = [HEADS]
    for case in cases:
        lines += [row_of(case, name, summary[case.name][name]) for name in names if name in summary.get(case.name, {})]
    full = [line for line in lines if len(line) == len(HEADS)]
    widths = [max(len(line[column]) for line in full) for column in range(len(HEADS))]
    left = {0, 1, 3, 8}

    def aligned(line):
        return "  ".join(text.ljust(width) if column in left or len(line) < len(HEADS) else text.rjust(width)
                         for column, (text, width) in enumerate(zip(line, widths))).rstrip()

    return "\n".join(aligned(line) for line in lines)


def verdict(load):
    """What other programs did to the run."""
    if load is None:
        return "other_load -: nothing was measured"
    text = f"other_load {load:.2f}: other programs used {load:.0%} of the machine"
    if load > figures.BUSY:
        text += f", more than {figures.BUSY:.0%}. THESE FIGURES DO NOT COUNT; run it on a quieter machine"
    return text


COLORS = ("#0b62a4", "#c0392b", "#7f8c8d", "#8e44ad", "#d35400")
LABEL, BARS, RIGHT, BAR, GAP, TOP = 330, 420, 90, 14, 10, 58


def bars(summary, cases, names, note):
    """SVG: the times of the floor in each case, a bar for each of the named targets; `note` stands below the title."""
    shown = []
    for case in cases:
        key = "memory_kib_per_unit" if case.memory else "cpu_us_per_unit"
        values = [summary.get(case.name, {}).get(name, {}).get("vs_floor", {}).get(key) for name in names]
        if any(value is not None for value in values):
            shown.append((case, values))
    highest = max((value for _, values in shown for value in values if value is not None), default=1.0)
    scale = BARS / max(highest, 1.2)
    height = TOP + sum(len(values) * BAR + GAP for _, values in shown) + 24
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LABEL + BARS + RIGHT} {height}" font-family="sans-serif" '
           'font-size="12">', f'<rect width="{LABEL + BARS + RIGHT}" height="{height}" fill="white"/>',
           f'<text x="10" y="18" font-weight="bold">Times the bare relay: CPU, of idle tunnels memory</text>'
           f'<text x="10" y="34" fill="#666">{escaped(note)}</text>']
    for index, name in enumerate(names):
        x = LABEL + index * 120
        out.append(f'<rect x="{x}" y="41" width="10" height="10" fill="{COLORS[index % len(COLORS)]}"/>'
                   f'<text x="{x + 14}" y="50">{escaped(name)}</text>')
    y = TOP
    for case, values in shown:
        out.append(f'<text x="{LABEL - 8}" y="{y + len(values) * BAR / 2 + 4:.0f}" text-anchor="end">{escaped(case.text)}</text>')
        for index, value in enumerate(values):
            if value is not None:
                width = max(0.0, value) * scale
                out.append(f'<rect x="{LABEL}" y="{y}" width="{width:.1f}" height="{BAR - 2}" '
                           f'fill="{COLORS[index % len(COLORS)]}"/>'
                           f'<text x="{LABEL + width + 4:.1f}" y="{y + BAR - 3}">{number(value)}</text>')
            y += BAR
        y += GAP
    one = LABEL + scale
    out.append(f'<line x1="{one:.1f}" y1="{TOP - 4}" x2="{one:.1f}" y2="{y}" stroke="#27ae60" stroke-dasharray="4 3"/>'
               f'<text x="{one:.1f}" y="{y + 14}" text-anchor="middle" fill="#27ae60">floor</text>')
    return "\n".join(out + ["</svg>"]) + "\n"


def escaped(text):
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
