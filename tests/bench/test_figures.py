"""The arithmetic of bench/overhead: what its table says of cells whose answer is known."""
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))
from loopback import cases, figures, measure, report, targets  # noqa: E402

TALLY = {"done": 10, "errors": 0, "bytes": 1 << 30, "real_credentials": 10, "real_bodies": 0, "handshakes": 4, "resumed": 1,
         "seconds": 2.0, "cpu_us": 100.0, "first_error": "", "latencies": [[1000, 9], [50000, 1]], "events": []}


def cell(case, target, turn, **more):
    return {"case": case, "target": target, "round": turn, "valid": True, "first_error": "", "wall_us": 1000.0, "other_us": 0.0, **more}


class Percentiles(unittest.TestCase):
    def test_of_a_histogram(self):
        hundred = [[value, 1] for value in range(1, 101)]
        for histogram, part, wanted in (
                (hundred, 0.5, 50), (hundred, 0.99, 99), (hundred, 1.0, 100), (hundred, 0.0, 1),
                ([[7, 1]], 0.99, 7),
                ([[10, 99], [500, 1]], 0.99, 10),  # 99 of 100 are at most 10
                ([[10, 98], [500, 2]], 0.99, 500),
                ([[10, 1], [20, 1]], 0.5, 10),
                ([], 0.5, None)):
            with self.subTest(histogram=histogram[:3], part=part):
                self.assertEqual(wanted, figures.percentile(histogram, part))

    def test_of_several_clients(self):
        self.assertEqual([(1, 2), (2, 7), (9, 1)], figures.merged([[[1, 2], [2, 3]], [[2, 4], [9, 1]]]))


class Rounds(unittest.TestCase):
    def test_median(self):
        for values, wanted in (([3, 1, 2], 2), ([1, 2], 1.5), ([None, 5, None], 5), ([None], None), ([], None)):
            with self.subTest(values=values):
                self.assertEqual(wanted, figures.median(values))

    def test_a_ratio_is_formed_inside_a_round(self):
        # In the second round the machine was ten times slower, for both. The ratio of medians would be 2.
        ours, theirs = {0: 3.0, 1: 20.0, 2: 4.0}, {0: 1.0, 1: 10.0, 2: 2.0}
        self.assertEqual(2.0, figures.median_ratio(ours, theirs))
        self.assertEqual(2.0, figures.median_ratio({0: 2.0, 1: 90.0, 2: 3.0}, {0: 1.0, 1: 45.0, 2: 1.0}))
        self.assertEqual(1.5, figures.median_ratio({0: 10.0, 1: 3.0, 2: 30.0}, {0: 10.0, 1: 2.0, 2: 20.0}))

    def test_a_ratio_needs_both(self):
        for ours, theirs, wanted in (
                ({0: 3.0, 1: 8.0}, {1: 4.0}, 2.0),
                ({0: 3.0}, {0: None}, None),
                ({0: None, 1: 5.0}, {0: 1.0, 1: 1.0}, 5.0),
                ({0: 3.0}, {0: 0.0}, None),
                ({}, {0: 1.0}, None)):
            with self.subTest(ours=ours, theirs=theirs):
                self.assertEqual(wanted, figures.median_ratio(ours, theirs))

    def test_a_difference_is_formed_inside_a_round(self):
        # The difference of the medians would be 8.
        self.assertEqual(2, figures.median_difference({0: 11, 1: 102, 2: 12}, {0: 9, 1: 100, 2: 4}))
        self.assertEqual(-1, figures.median_difference({0: 1, 5: 7}, {0: 2}))
        self.assertIsNone(figures.median_difference({0: 1}, {1: 1}))


class OtherLoad(unittest.TestCase):
    def test_is_a_share_of_all_processors(self):
        taken = [cell("a", "iron", 0, other_us=500.0), cell("a", "iron", 1, other_us=1500.0)]
        self.assertEqual(0.5, figures.other_load(taken, 2))
        self.assertEqual(0.0, figures.other_load([cell("a", "iron", 0, other_us=-10.0)], 2))
        self.assertIsNone(figures.other_load([], 2))

    def test_above_a_fifth_no_figure_counts(self):
        self.assertIn("DO NOT COUNT", report.verdict(0.21))
        self.assertNotIn("DO NOT COUNT", report.verdict(0.20))
        self.assertIn("nothing was measured", report.verdict(None))


class Summaries(unittest.TestCase):
    def setUp(self):
        cells = []
        for turn, (floor, iron) in enumerate(((10.0, 15.0), (100.0, 120.0), (20.0, 28.0))):
            cells += [cell("ka", "floor", turn, cpu_us_per_unit=floor, p50_us=30.0),
                      cell("ka", "iron", turn, cpu_us_per_unit=iron, p50_us=50.0, other_us=800.0),
                      cell("ka", "direct", turn, p50_us=20.0 + turn),
                      cell("many", "iron", turn, cpu_us_per_unit=2 * iron)]
        # Measured, but not of what it should be: the key did not arrive.
        cells += [cell("ka", "floor", 3, cpu_us_per_unit=20.0, p50_us=30.0), cell("ka", "iron", 3, cpu_us_per_unit=1.0, p50_us=1.0)]
        cells[-1]["valid"] = False
        broken = cell("ka", "peer", 0)
        broken.update(valid=False, first_error="no answer")
        self.summary = figures.summarise([*cells, broken], {"many": "ka"}, 2)

    def test_figures(self):
        row = self.summary["ka"]["iron"]
        self.assertEqual(28.0, row["cpu_us_per_unit"])
        self.assertEqual(1.4, row["vs_floor"]["cpu_us_per_unit"])  # of 1.5, 1.2 and 1.4
        self.assertEqual(29.0, row["added_p50_us"])  # of 30, 29 and 28
        self.assertEqual(0.4, row["other_load"])
        self.assertEqual(2.0, self.summary["many"]["iron"]["vs_ten"]["cpu_us_per_unit"])
        self.assertEqual(1.0, self.summary["ka"]["floor"]["vs_floor"]["cpu_us_per_unit"])
        self.assertNotIn("cpu_us_per_unit", self.summary["ka"]["direct"])
        self.assertEqual((3, 1), (row["rounds"], row["failed_rounds"]))

    def test_what_failed_has_no_figure(self):
        row = self.summary["ka"]["peer"]
        self.assertFalse(row["valid"])
        self.assertEqual("no answer", row["first_error"])
        self.assertNotIn("vs_floor", row)

    def test_table(self):
        case = cases.Case("ka", "", "request", {"mode": "kept"})
        lines = report.table(self.summary, [case], ["direct", "floor", "iron", "peer"]).splitlines()
        self.assertEqual(5, len(lines))
        self.assertEqual(["ka", "iron", "28", "µs/request", "1.4"], lines[3].split()[:5])
        self.assertTrue(lines[3].endswith("0.4 !"), lines[3])
        self.assertEqual("ka    peer    failed: no answer", lines[4])

    def test_bars_are_well_formed(self):
        import xml.etree.ElementTree as xml
        case = cases.Case("ka", "a < b & c", "request", {"mode": "kept"})
        svg = report.bars(self.summary, [case], ["iron"], "note")
        texts = [element.text for element in xml.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]
        self.assertIn("a < b & c", texts)
        self.assertIn("1.4", texts)


class Cells(unittest.TestCase):
    def test_clients_side_by_side(self):
        total = measure.added_up([TALLY, {**TALLY, "seconds": 3.0, "first_error": "late", "latencies": [[1000, 1]]}])
        self.assertEqual((20, 3.0, 200.0, "late"), (total["done"], total["seconds"], total["cpu_us"], total["first_error"]))
        self.assertEqual([(1000, 10), (50000, 1)], total["latencies"])
        self.assertEqual(10, TALLY["done"])

    def test_units(self):
        for unit, wanted in (("request", 10), ("GiB", 1.0), ("event", 0)):
            with self.subTest(unit=unit):
                self.assertEqual(wanted, measure.units_of(cases.Case("", "", unit, {}), TALLY))

    def test_a_key_that_did_not_arrive_is_a_failure(self):
        iron, floor = targets.Target("iron"), targets.Target("floor")
        for target, changes, wanted in (
                (iron, {}, True), (iron, {"swapped": 0.9}, False), (floor, {"swapped": 0.0}, True), (iron, {"units": 0}, False),
                (iron, {"errors": 1}, True), (iron, {"errors": 2}, False), (iron, {"units": 5000, "errors": 5}, True)):
            taken = {"units": 10, "errors": 0, "first_error": "", "swapped": 1.0, **changes}
            with self.subTest(target=target.name, changes=changes):
                self.assertEqual(wanted, measure.is_valid(target, taken))


if __name__ == "__main__":
    unittest.main()
