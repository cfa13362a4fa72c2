"""What bench/overhead measures: the cases, and the policies under which the proxy runs in them."""
import dataclasses

MIB = 1 << 20
TOKEN = "TOK-main-0123456789abcdef"
REAL = "REAL-main-0123456789abcdef"


@dataclasses.dataclass(frozen=True)
class Policy:
    """Fillers come first and the entry in use last, which is the worst case of a search from the front."""
    hosts: int = 10
    secrets: int = 1
    on_one_host: bool = False
    in_bodies: bool = False
    ca: str = "ca-p256"

    def host_list(self):
        fillers = [f"*.g{i}.filler.test" if i % 10 == 9 else f"f{i}.filler.test" for i in range(self.hosts - 1)]
        return [*fillers, "*.bench.test"]

    def secret_list(self):
        """(variable, token, key, host) of each."""
        fillers = [(f"BENCH_KEY_{i}", f"TOK-{i:04d}-0123456789abcdef", f"REAL-{i:04d}-x",
                    "*.bench.test" if self.on_one_host else f"f{i}.filler.test") for i in range(self.secrets - 1)]
        return [*fillers, ("BENCH_KEY_MAIN", TOKEN, REAL, "*.bench.test")]


@dataclasses.dataclass(frozen=True)
class Case:
    """`client`: arguments of bench_client. `pin`: split, the proxy alone on a processor; same, all on one; none, with a
    client process on each processor. `resumes`: floor-resume takes part."""
    name: str
    text: str
    unit: str
    client: dict
    policy: Policy = Policy()
    pin: str = "split"
    resumes: bool = False
    direct: bool = True
    floor: bool = True
    memory: bool = False
    base: str = ""  # the case with ten of what this one has many of
    standard: bool = True  # part of a run that names no cases


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How much of each; `smoke` has just enough for a figure."""
    secs: float
    warm: float = 0.15
    cold: int = 150
    cold_rsa: int = 60
    tunnels: int = 1000
    warm_tunnels: int = 100
    transfer: int = 64 * MIB
    transfers: int = 5
    events: int = 200
    churn: float = 4.0


def smoke_sizes():
    return Sizes(secs=0.1, warm=0.03, cold=10, cold_rsa=5, tunnels=200, warm_tunnels=50, transfer=4 * MIB, transfers=2,
                 events=20, churn=0.5)


def standard_cases(s):
    timed = {"seconds": s.secs, "warm-seconds": s.warm}

    def kept(connections, **more):
        return {"mode": "kept", "connections": connections, **timed, **more}

    new = {"mode": "new", "connections": 4, **timed}
    transfers = {"mode": "kept", "count": s.transfers, "warm-count": 1}
    return [
        Case("ka1_same", "kept connection, all programs on one processor", "request", kept(1), pin="same"),
        Case("ka16", "16 kept connections", "request", kept(16)),
        Case("ka64", "64 kept connections", "request", kept(64)),
        Case("un_ka64", "64 kept connections, clients on all processors", "request", kept(64), pin="none"),
        Case("new_both", "new connection, both legs new", "connection", {**new, "path": "/close"}, resumes=True),
        Case("new_pool", "new connection, origin's leg kept", "connection", new, resumes=True),
        Case("new_resume", "new connection, client resumes its TLS session", "connection",
             {**new, "path": "/close", "resume": 1}, resumes=True),
        Case("cold", "first connection to a host, P-256 CA", "connection",
             {"mode": "new", "fresh": 1, "first": 1000, "count": s.cold, "warm-count": 5}),
        Case("download", f"download of {s.transfer // MIB} MiB", "GiB", {**transfers, "path": f"/bytes/{s.transfer}"}),
        Case("upload", f"upload of {s.transfer // MIB} MiB", "GiB",
             {**transfers, "method": "PUT", "path": "/sink", "upload": s.transfer}),
        Case("idle1000", f"{s.tunnels} idle tunnels", "tunnel",
             {"mode": "held", "connections": 16, "count": s.tunnels, "warm-count": s.warm_tunnels},
             direct=False, memory=True),
        Case("pol_s10", "ka1_same with 10 secrets on as many hosts", "request", kept(1), Policy(secrets=10), pin="same"),
        Case("pol_d10000", "ka1_same with 10,000 allowlist hosts", "request", kept(1), Policy(hosts=10_000), pin="same",
             base="ka1_same"),
        Case("pol_s500", "ka1_same with 500 secrets on as many hosts", "request", kept(1), Policy(secrets=500), pin="same",
             base="pol_s10"),
    ]


def further_cases(s):
    timed = {"seconds": s.secs, "warm-seconds": s.warm}
    kept, rate = {"mode": "kept", **timed}, {"seconds": 2 * s.secs, "warm-seconds": s.warm}
    new = {"mode": "new", "connections": 4, **timed}
    alone = {"pin": "same", "direct": False, "floor": False}  # ka1_same has the figures of the others
    cases = [
        Case("ka1", "kept connection", "request", {**kept, "connections": 1}),
        Case("ka16h16", "16 kept connections to 16 hosts", "request", {**kept, "connections": 16, "hosts": 16}),
        Case("un_ka16", "16 kept connections, clients on all processors", "request", {**kept, "connections": 16},
             pin="none"),
        Case("un_new", "as new_both, clients on all processors", "connection", {**new, "path": "/close"}, pin="none",
             resumes=True),
        Case("rate200", "200 requests a second on 8 kept connections", "request",
             {**rate, "mode": "kept", "connections": 8, "hosts": 8, "rate": 200}),
        Case("newrate40", "40 new connections a second", "connection",
             {**rate, "mode": "new", "connections": 16, "rate": 40, "path": "/close"}, resumes=True),
        Case("churn", "memory kept of each closed connection", "connection",
             {**new, "seconds": s.churn, "warm-seconds": s.churn / 4}, direct=False, memory=True),
        Case("cold_rsa", "first connection to a host, RSA-4096 CA", "connection",
             {"mode": "new", "fresh": 1, "first": 2000, "count": s.cold_rsa, "warm-count": 5}, Policy(ca="ca-rsa4096")),
        Case("sse", "event of a stream, one every 5 ms", "event",
             {"mode": "kept", "count": 1, "warm-count": 1, "path": f"/events/{s.events}/5000"}),
        Case("post256k", "POST of 256 KiB, token in the body", "request",
             {**kept, "connections": 2, "method": "POST", "path": "/sink", "body": 256 * 1024}, Policy(in_bodies=True)),
        Case("pol_d1000", "ka1_same with 1,000 allowlist hosts", "request", {**kept, "connections": 1},
             Policy(hosts=1000), base="ka1_same", **alone),
        Case("pol_s50", "ka1_same with 50 secrets on as many hosts", "request", {**kept, "connections": 1},
             Policy(secrets=50), base="pol_s10", **alone),
        Case("pol_same50", "ka1_same with 50 secrets on one host", "request", {**kept, "connections": 1},
             Policy(secrets=50, on_one_host=True), **alone),
        Case("startup", "start to listening", "start", {}, direct=False),
    ]
    return [dataclasses.replace(case, standard=False) for case in cases]


def all_cases(sizes):
    return standard_cases(sizes) + further_cases(sizes)
