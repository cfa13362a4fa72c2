#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <string>
#include <string_view>
#include <utility>

#include "proxy/http/answer_filter.h"
#include "proxy/http/body_sink.h"
#include "proxy/http/body_source.h"

namespace iron::proxy {

/// What a relay did to its source and its sink, and what it said of that, a word each.
class Trail {
 public:
  void add(std::string_view word, std::string_view bytes = {}) {
    if (!text_.empty()) text_ += ' ';
    text_.append(word).append(bytes.size() > 64 ? "many" : bytes);
  }
  std::string take() { return std::exchange(text_, {}); }

 private:
  std::string text_;
};

/// Takes what it is given as one of the two kinds, and lets it leave as the test says.
class FakeSink final : public BodySink {
 public:
  /// `name` is in front of its words in the trail.
  explicit FakeSink(Trail& trail, std::string name = {}) : trail_(trail), name_(std::move(name)) {}

  Taken take(std::string_view bytes) override {
    if (!holds) {
      copy(bytes);
      return Taken::copied;
    }
    trail_.add(name_ + "hold:", bytes);
    EXPECT_EQ(held_, "") << "given more while it holds something";
    held_ = bytes;
    return Taken::held;
  }
  void copy(std::string_view bytes) override {
    trail_.add(name_ + "copy:", bytes);
    EXPECT_EQ(held_, "") << "given more while it holds something";
    EXPECT_FALSE(ended) << "given more behind the end";
    composed_ += bytes;
    most_composed = std::max(most_composed, composed_.size());
  }
  void end(std::string_view trailers) override {
    trail_.add(name_ + "end", trailers.empty() ? "" : ":" + std::string(trailers));
    EXPECT_FALSE(std::exchange(ended, true));
    if (!holds) composed_.append(trailers).append(".");
  }
  bool wants_trailers() const override { return trailers_wanted; }
  Step write(std::size_t& moved) override {
    if (lost) return Step::lost;
    const std::string pending = composed_ + std::string(held_);
    const bool blocks = blocked > 0;
    if (blocks) --blocked;
    // One that blocks has taken a part.
    const std::string part = pending.substr(0, blocks ? pending.size() / 2 : pending.npos);
    written += part;
    moved += part.size();
    const std::size_t composed = std::min(part.size(), composed_.size());
    composed_.erase(0, composed);
    held_.remove_prefix(part.size() - composed);
    trail_.add(name_ + "write:", part);
    return blocks ? Step::blocked : Step::written;
  }
  bool has_pending() const override { return !composed_.empty() || !held_.empty(); }
  std::size_t composed() const override { return composed_.size(); }
  void forget() override {
    trail_.add(name_ + "forget");
    EXPECT_EQ(written, "") << "some of it has left";
    composed_.clear();
    held_ = {};
  }
  void cut() override { trail_.add(name_ + "cut"); }
  std::size_t pending() const { return composed_.size() + held_.size(); }
  bool holding() const { return !held_.empty(); }

  bool holds = false, trailers_wanted = false, lost = false, ended = false;
  int blocked = 0;  ///< so many writes find no room for all
  std::string written;
  std::size_t most_composed = 0;

 private:
  Trail& trail_;
  const std::string name_;
  std::string composed_ = "H";  ///< the head is in it
  std::string_view held_;
};

/// Gives what its script says: `abc` bytes, `abc$` bytes and the end with them, `$` the end, `-`
/// nothing for now, `lost` and `broken`.
class FakeSource final : public BodySource {
 public:
  FakeSource(Trail& trail, FakeSink& sink, std::string name = {})
      : trail_(trail), sink_(sink), name_(std::move(name)) {}

  Step read(std::string_view& bytes, From from) override {
    EXPECT_FALSE(sink_.holding()) << "read while the sink holds a piece";
    EXPECT_EQ(piece_, "") << "read again before it was consumed";
    if (done()) return Step::ended;
    std::deque<std::string>& script = here.empty() ? coming : here;
    if (here.empty()) {
      if (from == From::here) return Step::blocked;
      trail_.add(name_ + "ask");
    }
    const std::string next = script.empty() ? "-" : script.front();
    if (!script.empty()) script.pop_front();
    if (next == "-") return Step::blocked;
    if (next == "lost" || next == "broken") {
      problem_ = "it is " + next;
      return next == "lost" ? Step::lost : Step::broken;
    }
    done_ = next.back() == '$';
    read_.push_back(next.substr(0, next.size() - (done_ ? 1 : 0)));
    piece_ = read_.back();
    if (&script == &coming) arrived_ += piece_.size();
    bytes = piece_;
    return piece_.empty() ? Step::ended : Step::bytes;
  }
  void consume(std::size_t count) override {
    EXPECT_FALSE(sink_.holding()) << "consumed while the sink holds it";
    ASSERT_LE(count, piece_.size());
    piece_.remove_prefix(count);
  }
  void drop() override { FAIL() << "nothing is dropped"; }
  bool done() const override { return done_ || bodiless; }
  std::uint64_t remaining() const override { return 0; }
  std::uint64_t size() const override { return 0; }
  bool buffered() const override { return !piece_.empty() || !here.empty(); }
  Ahead look_ahead() const override { return Ahead::open; }
  std::size_t take_arrived() override {
    all_arrived += arrived_;
    return std::exchange(arrived_, 0);
  }
  std::string_view problem() const override { return problem_; }
  void keep_trailers() override { trailers_kept = true; }
  std::string_view trailers() const override { return trailers_kept ? "T" : ""; }
  void end_bulk() override {}

  std::deque<std::string> here, coming;
  bool trailers_kept = false, bodiless = false;
  std::size_t all_arrived = 0;

 private:
  Trail& trail_;
  FakeSink& sink_;
  const std::string name_;
  std::deque<std::string> read_;
  std::string_view piece_;
  std::string problem_;
  bool done_ = false;
  std::size_t arrived_ = 0;
};

/// Lets everything pass that holds no `!`, `most` bytes at a time; keeps the last one to the end.
class FakeFilter final : public AnswerFilter {
 public:
  Result<void> head(Response&) override {
    ++heads;
    if (refuses_head) return Error{"refused: head"};
    return {};
  }
  Result<void> begin(Response&, const BodyFraming&) override { return {}; }
  bool reframes() const override { return true; }
  bool may_cut() const override { return cuts; }
  Result<bool> body(std::string_view& data, std::string& out) override {
    ++calls;
    const std::string_view part = data.substr(0, most);
    if (part.find('!') != part.npos) return Error{"refused: body"};
    out.append(kept_).append(part);
    kept_ = out.back();
    out.pop_back();
    data.remove_prefix(part.size());
    return data.empty();
  }
  Result<void> end(std::string& out) override {
    if (refuses_end) return Error{"refused: end"};
    out += kept_;
    return {};
  }
  Result<void> trailers(std::string_view lines, std::string& out) override {
    if (refuses_trailers) return Error{"refused: trailers"};
    if (!lines.empty()) out.append("clean ").append(lines);
    return {};
  }

  bool cuts = false, refuses_head = false, refuses_end = false, refuses_trailers = false;
  std::size_t most = std::string::npos;
  int calls = 0, heads = 0;

 private:
  std::string kept_;
};

}  // namespace iron::proxy
