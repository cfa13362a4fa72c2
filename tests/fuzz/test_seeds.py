"""Packs of seeds: what is packed comes out again, once, and what is no pack is refused."""
import sys
import unittest

sys.dont_write_bytecode = True
import seeds  # noqa: E402

INPUTS = [("seed-b", b"\x00\xff" * 300), ("", b"found"), ("seed-a", b""), ("", b"also found")]


class Packs(unittest.TestCase):
    def test_all_of_it_comes_out_in_one_order(self):
        expected = [("seed-a", b""), ("seed-b", b"\x00\xff" * 300), ("", b"also found"), ("", b"found")]
        for entries in (INPUTS, INPUTS[::-1]):
            self.assertEqual(expected, seeds.decode(seeds.encode(entries)))

    def test_an_input_is_there_once(self):
        twice = [("", b"x"), ("seed-x", b"x"), ("", b"x")]
        self.assertEqual([("seed-x", b"x")], seeds.decode(seeds.encode(twice)))

    def test_a_cut_pack_is_refused(self):
        whole = seeds.encode([("seed-a", b"abc")])
        for length in range(1, len(whole)):
            with self.assertRaises(ValueError, msg=length):
                seeds.decode(whole[:length])

    def test_every_corpus_is_as_it_would_be_written(self):
        packs = sorted(seeds.CORPUS.glob("*.pack"))
        self.assertTrue(packs)
        for path in packs:
            with self.subTest(path.name):
                self.assertEqual(path.read_bytes(), seeds.encode(seeds.decode(path.read_bytes())))


unittest.main()
