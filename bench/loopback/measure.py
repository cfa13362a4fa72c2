"""One cell: a target in a case, in a process of its own, once."""
import contextlib
import json
import time

from loopback import figures, machine, targets

READY_LIMIT = 60  # seconds
ANSWER_LIMIT = 150
GIB = 1 << 30
FAULTS_ALLOWED = 0.001  # of the units; one in any case


def units_of(case, tally):
    if case.unit == "GiB":
        return tally["bytes"] / GIB
    if case.unit == "event":
        return sum(count for _, count in tally["events"])
    return tally["done"]


def added_up(tallies):
    """One tally of several client processes, which ran side by side."""
    total = dict(tallies[0])
    for tally in tallies[1:]:
        for name, value in tally.items():
            if isinstance(value, int):
                total[name] += value
    total["cpu_us"] = sum(tally["cpu_us"] for tally in tallies)
    total["seconds"] = max(tally["seconds"] for tally in tallies)
    total["first_error"] = next((tally["first_error"] for tally in tallies if tally["first_error"]), "")
    for name in ("latencies", "events"):
        total[name] = figures.merged(tally[name] for tally in tallies)
    return total


class Counters:
    """Clocks of the proxy, of everything that belongs to the run, and of the machine."""

    def __init__(self, proxy, ground):
        self.busy, self.proxy = machine.busy_us(), machine.family_cpu_us(proxy.pid) if proxy else 0.0
        self.own = self.proxy + machine.cpu_us(ground.origin.pid) + time.process_time() * 1e6
        self.wall = time.monotonic() * 1e6


def start_clients(ground, case, port, stack):
    places = ground.client_places(case.pin)
    connections = case.client["connections"] if "connections" in case.client else 1
    shares = [(connections + number) // len(places) for number in range(len(places))]
    clients = []
    for place, share in zip(places, shares):
        if share:
            client = machine.Child([ground.programs / "bench_client", *targets.client_arguments(ground, case, port, share)],
                                   place, log=None)
            stack.callback(client.end)
            clients.append(client)
    for client in clients:
        if client.line(READY_LIMIT) != "READY":
            raise RuntimeError("a client did not get ready")
    return clients


def run_case(ground, case, proxy, port):
    """Figures of a cell with clients."""
    ground.move_origin(case.pin)
    with contextlib.ExitStack() as stack:
        clients = start_clients(ground, case, port, stack)
        memory = machine.settled_memory_kib(proxy.pid) if case.memory else 0
        before = Counters(proxy, ground)
        for client in clients:
            client.go_on()
        tally = added_up([json.loads(client.line(ANSWER_LIMIT)) for client in clients])
        after = Counters(proxy, ground)
        units = units_of(case, tally)
        cell = figures_of(case, tally, units, before, after, proxy is not None)
        if case.memory and units:
            cell["memory_kib_per_unit"] = (machine.settled_memory_kib(proxy.pid) - memory) / units
        return cell


def figures_of(case, tally, units, before, after, has_proxy):
    wall = after.wall - before.wall
    other = (after.busy - before.busy) - (after.own - before.own) - tally["cpu_us"]
    cell = {"units": units, "errors": tally["errors"], "first_error": tally["first_error"], "wall_us": wall, "other_us": other}
    if not units:
        return cell
    cell["per_s"] = units / tally["seconds"]
    if has_proxy:
        cell["cpu_us_per_unit"] = (after.proxy - before.proxy) / units
    for prefix, histogram in (("", tally["latencies"]), ("event_", tally["events"])):
        for name, part in (("p50_us", 0.5), ("p99_us", 0.99)):
            value = figures.percentile(histogram, part)
            if value is not None:
                cell[prefix + name] = value / 1e3
    if tally["handshakes"]:
        cell["resumed_share"] = tally["resumed"] / tally["handshakes"]
    cell["swapped"] = tally["real_bodies" if case.policy.in_bodies else "real_credentials"] / tally["done"]
    return cell


def run_startup(target, proxy, started_ms):
    time.sleep(1.0)
    return {"units": 1, "errors": 0, "first_error": "", "start_ms": started_ms, "start_cpu_ms": machine.family_cpu_us(proxy.pid) / 1e3,
            "idle_rss_kb": sum(map(machine.resident_kib, machine.family(proxy.pid))), "binary_bytes": target.binary_bytes()}


def is_valid(target, cell):
    if not cell["units"]:
        cell["first_error"] = cell["first_error"] or "nothing was done"
        return False
    if cell["errors"] > max(1, FAULTS_ALLOWED * cell["units"]):
        return False
    if target.reads_policy and cell.get("swapped", 1) != 1:
        cell["first_error"] = f"the key reached the origin in {cell['swapped']:.1%} of the requests"
        return False
    return True


def measure(ground, target, case, number):
    """The cell of a round. What goes wrong in it is in the cell, and the run goes on."""
    place = {"case": case.name, "target": target.name, "round": number}
    try:
        with target.running(ground, case) as (proxy, port, started_ms):
            cell = run_case(ground, case, proxy, port) if case.client else run_startup(target, proxy, started_ms)
        cell["valid"] = is_valid(target, cell)
        return {**place, **cell}
    except (OSError, RuntimeError, ValueError) as fault:
        if not ground.origin.running():
            raise SystemExit("overhead: the origin has ended") from fault
        return {**place, "valid": False, "first_error": f"{type(fault).__name__}: {fault}"}
