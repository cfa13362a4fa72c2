#include "proxy/calls/call_desk.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "policy/yaml/yaml_reader.h"
#include "tests/proxy/manual_clock.h"
#include "tests/proxy/session_rig.h"
#include "transforms/pipeline.h"

namespace iron::proxy::test {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

/// A desk whose loop the test turns; what it fetches are files, and pipes that keep it waiting.
class CallDeskTest : public ::testing::Test {
 protected:
  CallDeskTest() {
    char pattern[] = "/tmp/iron-desk-XXXXXX";
    directory_ = ::mkdtemp(pattern);
  }
  ~CallDeskTest() override { std::filesystem::remove_all(directory_); }

  std::string path(const std::string& name) const { return directory_ + "/" + name; }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(path(name)) << text;
  }
  void make_pipe(const std::string& name) const {
    ASSERT_EQ(::mkfifo(path(name).c_str(), 0600), 0);
  }
  /// Both ends of it, so that what is written stays until it is read.
  void write_pipe(const std::string& name, const std::string& text) {
    const int end = ::open(path(name).c_str(), O_RDWR | O_NONBLOCK);
    ASSERT_EQ(::write(end, text.data(), text.size()), static_cast<ssize_t>(text.size()));
    // The reader, who has it open, sees the end when this one is closed.
    ::close(end);
  }

  /// A pipeline whose one supply is this source.
  std::shared_ptr<const transforms::Pipeline> pipeline(const std::string& source) {
    return pipeline_of("secrets", "secrets: [{source: " + source + ", inject: {header: X}}]");
  }
  std::shared_ptr<const transforms::Pipeline> pipeline_of(const std::string& name,
                                                          const std::string& yaml) {
    policy::Config config;
    config.transforms.push_back({name, policy::parse_yaml(yaml)});
    transforms::Services services;
    services.environment = &rig_.services().environment;
    std::vector<policy::ConfigWarning> warnings;
    return std::make_shared<const transforms::Pipeline>(config, services, warnings);
  }

  /// Its token cannot be had, which is known when something was written into the pipe.
  std::shared_ptr<const transforms::Pipeline> hopeless_tokens() {
    ::unsetenv("DESK_NONE");
    make_pipe("pipe");
    return pipeline_of(
        "oauth_token",
        "{tokens: [{grant: client_credentials, token_endpoint: 'http://127.0.0.1:1/', client_id: "
        "{type: file, path: " +
            path("pipe") +
            ", ttl: -1ns}, client_secret: {type: env, var: DESK_NONE}, rules: [{host: a}]}]}");
  }

  void ask(const std::shared_ptr<const transforms::Pipeline>& pipeline, const std::string& who) {
    const auto last = static_cast<std::uint32_t>(pipeline->supply_count() - 1);
    desk_.ask(
        pipeline, pipeline->supply(last),
        [this, who](const transforms::SuppliedPtr& what) {
          got_.push_back(
              who + "=" +
              (what->value != nullptr ? std::string(what->value->reveal()) : "!" + what->error));
        },
        left_);
    settle();
  }
  void settle() {
    while (desk_.loop().turn()) {
    }
  }
  void advance(std::chrono::nanoseconds by) {
    clock_.advance(by);
    settle();
  }
  std::vector<std::string> got() { return std::exchange(got_, {}); }

  std::string directory_;
  SessionRig rig_;
  ManualClock clock_;
  std::vector<transforms::ValuesPtr> published_;
  CallDesk desk_{rig_.services(), nullptr,
                 [this](const auto&, auto values) { published_.push_back(std::move(values)); },
                 false, clock_};
  std::vector<std::string> got_;
  SupplyDesk::Left left_ = std::make_shared<const std::atomic<bool>>(false);
};

TEST_F(CallDeskTest, WhatIsThereIsPublishedBeforeWhoWaitsGoesOn) {
  write("key", "the-value-of-the-key");
  const auto keys = pipeline("{type: file, path: " + path("key") + "}");
  ask(keys, "a");
  EXPECT_THAT(got(), ElementsAre("a=the-value-of-the-key"));
  ASSERT_EQ(published_.size(), 1U);
  ASSERT_EQ(published_[0]->slots.size(), 1U);
  EXPECT_TRUE(published_[0]->slots[0]->value->equals("the-value-of-the-key"));
  std::string line = "x the-value-of-the-key y";
  EXPECT_TRUE(published_[0]->net->mask(line));
  // Who has not heard of it yet is answered from what is kept.
  write("key", "another-value");
  ask(keys, "b");
  EXPECT_THAT(got(), ElementsAre("b=the-value-of-the-key"));
  EXPECT_EQ(published_.size(), 1U);
  // The log knows the key from then on.
  rig_.services().log.write(Level::info, "said",
                            {{"text", std::string_view("the-value-of-the-key")}});
  EXPECT_THAT(rig_.notes(), HasSubstr(R"("text":"********************")"));
}

TEST_F(CallDeskTest, OneFetchForAllWhoWait) {
  make_pipe("pipe");
  const auto keys = pipeline("{type: file, path: " + path("pipe") + "}");
  for (const char* who : {"a", "b", "c"}) ask(keys, who);
  advance(std::chrono::seconds(1));
  EXPECT_THAT(got(), IsEmpty());
  write_pipe("pipe", "one");
  advance(std::chrono::milliseconds(50));
  EXPECT_THAT(got(), ElementsAre("a=one", "b=one", "c=one"));
}

TEST_F(CallDeskTest, AUseThatWantsAFetchOfItsOwnWaitsForTheNext) {
  make_pipe("pipe");
  const auto keys = pipeline("{type: file, path: " + path("pipe") + ", ttl: -1ns}");
  ask(keys, "a");
  ask(keys, "b");
  ask(keys, "c");
  write_pipe("pipe", "one");
  advance(std::chrono::milliseconds(50));
  EXPECT_THAT(got(), ElementsAre("a=one"));
  write_pipe("pipe", "two");
  advance(std::chrono::milliseconds(50));
  EXPECT_THAT(got(), ElementsAre("b=two", "c=two"));
  EXPECT_EQ(published_.size(), 2U);
}

TEST_F(CallDeskTest, TheSameValueOnceMoreIsNoNews) {
  write("key", "one");
  const auto keys = pipeline("{type: file, path: " + path("key") + ", ttl: -1ns}");
  ask(keys, "a");
  ask(keys, "b");
  EXPECT_THAT(got(), ElementsAre("a=one", "b=one"));
  EXPECT_EQ(published_.size(), 1U);
}

TEST_F(CallDeskTest, AFailureIsToldOnceWhileItIsKept) {
  const auto keys = pipeline("{type: file, path: " + path("none") + ", failure_ttl: 10s}");
  const std::string failure = "!reading secret file \"" + path("none") + "\": open " +
                              path("none") + ": no such file or directory";
  ask(keys, "a");
  ask(keys, "b");
  EXPECT_THAT(got(), ElementsAre("a=" + failure, "b=" + failure));
  write("none", "there");
  advance(std::chrono::seconds(10));
  ask(keys, "c");
  EXPECT_THAT(got(), ElementsAre("c=there"));
  const std::string notes = rig_.notes();
  const std::string message = "failed to fetch secret, caching error";
  EXPECT_NE(notes.find(message), notes.npos);
  EXPECT_EQ(notes.find(message), notes.rfind(message));
}

TEST_F(CallDeskTest, NothingTakesLongerThanHalfAMinute) {
  make_pipe("pipe");
  const auto keys = pipeline("{type: file, path: " + path("pipe") + "}");
  ask(keys, "a");
  advance(std::chrono::seconds(29));
  ask(keys, "b");
  EXPECT_THAT(got(), IsEmpty());
  advance(std::chrono::seconds(1));
  const std::string failure = "!reading secret file \"" + path("pipe") + "\": i/o timeout";
  EXPECT_THAT(got(), ElementsAre("a=" + failure, "b=" + failure));
}

TEST_F(CallDeskTest, ATokenThatCannotBeHadIsTriedForOneByOne) {
  const auto tokens = hopeless_tokens();
  for (const char* who : {"a", "b"}) ask(tokens, who);
  write_pipe("pipe", "id");
  advance(std::chrono::milliseconds(50));
  const std::string failure =
      "!loading client_secret from \"DESK_NONE\": env var \"DESK_NONE\" is not set or empty";
  EXPECT_THAT(got(), ElementsAre("a=" + failure));
  // Who has waited for long enough does not wait for another turn.
  ask(tokens, "c");
  advance(std::chrono::seconds(29));
  ask(tokens, "d");
  write_pipe("pipe", "id");
  advance(std::chrono::seconds(1));
  EXPECT_THAT(got(), ElementsAre("b=" + failure, "c=" + failure));
  write_pipe("pipe", "id");
  advance(std::chrono::milliseconds(50));
  EXPECT_THAT(got(), ElementsAre("d=" + failure));
}

TEST_F(CallDeskTest, NobodyFetchesForWhomHasLeft) {
  const auto tokens = hopeless_tokens();
  const auto gone = std::make_shared<std::atomic<bool>>(false);
  ask(tokens, "a");
  left_ = gone;
  for (const char* who : {"b", "c", "d"}) ask(tokens, who);
  left_ = std::make_shared<const std::atomic<bool>>(false);
  ask(tokens, "e");
  *gone = true;
  // A failure is tried for one by one, and three of these need none any more.
  for (const char* who : {"a", "e"}) {
    write_pipe("pipe", "id");
    advance(std::chrono::milliseconds(50));
    EXPECT_THAT(got(), Contains(StartsWith(std::string(who) + "=!")));
  }
}

TEST_F(CallDeskTest, AReloadForgetsWhatOthersHad) {
  write("key", "one");
  const auto first = pipeline("{type: file, path: " + path("key") + "}");
  const auto second = pipeline("{type: file, path: " + path("key") + "}");
  ask(first, "a");
  const std::weak_ptr<const Secret> value = published_[0]->slots[0]->value;
  published_.clear();
  desk_.forget_others(second);
  settle();
  const std::weak_ptr<const transforms::Pipeline> gone = first;
  EXPECT_EQ(first.use_count(), 1);
  ask(second, "b");
  EXPECT_THAT(got(), ElementsAre("a=one", "b=one"));
}

TEST_F(CallDeskTest, WhatIsUnderWayForAFormerPipelineGoesOn) {
  make_pipe("pipe");
  auto first = pipeline("{type: file, path: " + path("pipe") + "}");
  ask(first, "a");
  desk_.forget_others(nullptr);
  settle();
  const std::weak_ptr<const transforms::Pipeline> former = first;
  first.reset();
  EXPECT_FALSE(former.expired());
  write_pipe("pipe", "one");
  advance(std::chrono::milliseconds(50));
  EXPECT_THAT(got(), ElementsAre("a=one"));
  published_.clear();
  EXPECT_TRUE(former.expired());
}

TEST_F(CallDeskTest, OnAThreadOfItsOwn) {
  write("key", "one");
  const auto keys = pipeline("{type: file, path: " + path("key") + "}");
  CallDesk desk(rig_.services(), nullptr, [](const auto&, const auto&) {});
  std::atomic<bool> came = false;
  desk.ask(
      keys, keys->supply(0),
      [&](const transforms::SuppliedPtr& what) {
        EXPECT_TRUE(what->value->equals("one"));
        came = true;
        came.notify_all();
      },
      left_);
  came.wait(false);
  desk.stop();
}

}  // namespace
}  // namespace iron::proxy::test
