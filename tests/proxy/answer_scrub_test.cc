#include "proxy/exchange/answer_scrub.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "policy/yaml/yaml_reader.h"
#include "tests/proxy/deflated.h"

namespace iron::proxy {
namespace {

using test::deflated;

using Kind = BodyFraming::Kind;

const std::string kToken = "rig-token-0123456789";
const std::string kKey = "real-key-0123456789abcdef";

/// The filter of the answers to one request, which went through a real pipeline.
class AnswerScrubTest : public testing::Test {
 protected:
  AnswerScrubTest() {
    ::setenv("SCRUB_KEY", kKey.c_str(), 1);
    environment_.take("SCRUB_KEY");
  }

  /// A request with `Authorization: authorization`, if there is one.
  void request(const std::string& mode,
               std::string_view authorization = "",
               const std::string& host = "10.0.0.1") {
    scrub_.reset();
    policy::Config config;
    config.transforms.push_back(
        {"secrets", policy::parse_yaml("secrets:\n"
                                       "- source: {type: env, var: SCRUB_KEY}\n"
                                       "  replace: {proxy_value: " +
                                       kToken +
                                       ", match_headers: [Authorization]}\n"
                                       "  scrub_responses: " +
                                       mode +
                                       "\n"
                                       "  rules: [{host: 10.0.0.1}]\n")});
    transforms::Services services;
    services.environment = &environment_;
    std::vector<policy::ConfigWarning> warnings;
    pipeline_ = std::make_unique<transforms::Pipeline>(config, services, warnings);
    exchange_.reset();
    exchange_.authority = *policy::Authority::parse(host);
    exchange_.request.method = "GET";
    exchange_.raw_path = exchange_.path = "/";
    if (!authorization.empty()) exchange_.request.headers.add("Authorization", authorization);
    transforms::BodyNeed need;
    ASSERT_EQ(pipeline_->run_request(exchange_, need), transforms::Pipeline::Progress::done);
    scrub_ = AnswerScrub::of(*pipeline_, exchange_);
  }

  /// The answer's head behind begin(), or why it is refused.
  std::string begin(const std::vector<Field>& fields,
                    BodyFraming framing = {Kind::chunked, 0},
                    std::string_view reason = "OK") {
    response_ = {};
    response_.status = 200;
    response_.reason = reason;
    for (const Field& field : fields) response_.headers.add(field.name, field.value);
    const Result<void> done = scrub_->begin(response_, framing);
    return done.has_error() ? done.error().text : head();
  }
  std::string head() const {
    std::string text(response_.reason);
    for (const Field& field : response_.headers.all()) {
      text.append("|").append(field.name).append(": ").append(field.value);
    }
    return text;
  }
  /// The body in pieces of `step`, to its end.
  std::string body(std::string_view bytes, std::size_t step = 100'000) {
    std::string out;
    for (std::size_t at = 0; at < bytes.size(); at += step) {
      std::string_view piece = bytes.substr(at, step);
      bool taken = false;
      while (!taken) {
        const Result<bool> done = scrub_->body(piece, out);
        if (done.has_error()) return done.error().text;
        taken = *done;
      }
      EXPECT_TRUE(piece.empty());
    }
    const Result<void> ended = scrub_->end(out);
    return ended.has_error() ? ended.error().text : out;
  }

  SecretEnvironment environment_;
  std::unique_ptr<transforms::Pipeline> pipeline_;
  transforms::Exchange exchange_;
  std::unique_ptr<AnswerScrub> scrub_;
  Response response_;
};

TEST_F(AnswerScrubTest, IsMadeWhereAnEntryAsksForIt) {
  request("off");
  EXPECT_EQ(scrub_, nullptr);
  request("on", "", "10.0.0.2");
  EXPECT_EQ(scrub_, nullptr) << "no rule of the entry has that host";
  for (const char* mode : {"on", "block"}) {
    request(mode);
    ASSERT_NE(scrub_, nullptr) << mode;
    EXPECT_EQ(scrub_->may_cut(), std::string_view(mode) == "block");
  }
}

TEST_F(AnswerScrubTest, TheRequestAsksForAnAnswerThatCanBeSearched) {
  const struct {
    std::vector<Field> before;
    std::string after;
  } rows[] = {
      {{}, "Accept-Encoding: identity|"},
      {{{"A", "b"}, {"accept-encoding", "gzip"}, {"C", "d"}},
       "A: b|accept-encoding: identity|C: d|"},
      {{{"Accept-Encoding", "gzip"}, {"Accept-Encoding", "br"}}, "Accept-Encoding: identity|"},
      {{{"Range", "bytes=0-1"},
        {"If-Range", "x"},
        {"request-range", "x"},
        {"A-IM", "vcdiff"},
        {"TE", "gzip"},
        {"Ranges", "x"}},
       "Ranges: x|Accept-Encoding: identity|"},
  };
  for (const auto& row : rows) {
    Headers headers;
    for (const Field& field : row.before) {
      headers.add(field.name, field.value);
      headers.all().back().rewrite = 7;  // a token in it goes with the value
    }
    AnswerScrub::prepare_request(headers);
    std::string after;
    for (const Field& field : headers.all()) {
      after.append(field.name).append(": ").append(field.value).append("|");
      if (iequals(field.name, "Accept-Encoding")) EXPECT_EQ(field.rewrite, 0u);
    }
    EXPECT_EQ(after, row.after);
  }
}

TEST_F(AnswerScrubTest, AHeadShowsTheTokenInPlaceOfTheKey) {
  request("on");
  EXPECT_EQ(begin({{"X-Echo", "<" + kKey + ">"}, {"Location", "/?k=" + kKey}}, {Kind::chunked, 0},
                  "No " + kKey),
            "No " + kToken + "|X-Echo: <" + kToken + ">|Location: /?k=" + kToken);
  // A token is no field name, and what frames was checked before.
  const std::string name = "X-" + kKey;
  EXPECT_EQ(begin({{"A", "b"}, {name, "c"}, {"Content-Length", "3"}}), "OK|A: b|Content-Length: 3");
  // Of an interim answer there is nothing but the head.
  response_ = {};
  response_.reason = "Early";
  const std::string link = "<" + kKey + ">";
  response_.headers.add("Link", link);
  ASSERT_TRUE(scrub_->head(response_).has_value());
  EXPECT_EQ(head(), "Early|Link: <" + kToken + ">");
}

TEST_F(AnswerScrubTest, ABlockedAnswerIsRefusedWhereverTheKeyIs) {
  const std::string held = "answer held a secret value";
  request("block");
  EXPECT_EQ(begin({{"X-Echo", kKey}}), held);
  request("block");
  const std::string name = "X-" + kKey;
  EXPECT_EQ(begin({{name, "b"}}), held);
  request("block");
  EXPECT_EQ(begin({}, {Kind::chunked, 0}, kKey), held);
  request("block");
  EXPECT_EQ(begin({{"A", "b"}}), "OK|A: b");
  EXPECT_EQ(body("<" + kKey + ">", 3), held);
  request("block");
  begin({});
  std::string out;
  const std::string trailers = "A: b\r\nX-Sum: " + kKey + "\r\n";
  const Result<void> done = scrub_->trailers(trailers, out);
  ASSERT_TRUE(done.has_error());
  EXPECT_EQ(done.error().text, held);
}

TEST_F(AnswerScrubTest, ABodyIsFilteredHoweverItIsCut) {
  const std::string text = "a " + kKey + kKey + " b real-key-01234 " + kKey.substr(0, 12);
  const std::string filtered = "a " + kToken + kToken + " b real-key-01234 " + kKey.substr(0, 12);
  for (const std::size_t step : {std::size_t{1}, std::size_t{7}, std::size_t{25}, text.size()}) {
    request("on");
    begin({});
    EXPECT_EQ(body(text, step), filtered) << step;
  }
}

TEST_F(AnswerScrubTest, ALargeBodyIsTakenInSlices) {
  request("on");
  begin({});
  const std::string large(40'000, 'x');
  std::string_view rest = large;
  std::string out;
  std::vector<std::size_t> left;
  while (!rest.empty()) {
    const Result<bool> all = scrub_->body(rest, out);
    ASSERT_TRUE(all.has_value());
    EXPECT_EQ(*all, rest.empty());
    left.push_back(rest.size());
  }
  EXPECT_EQ(left, (std::vector<std::size_t>{23'616, 7'232, 0}));
}

TEST_F(AnswerScrubTest, EncodedAnswersAreDecodedOrRefused) {
  constexpr int kGzip = 31, kZlib = 15;
  const std::string text = "a " + kKey + " b", filtered = "a " + kToken + " b";
  const std::string unknown = "answer has a content coding that can not be searched";
  const std::string broken = "answer does not have the content coding that it names";
  const struct {
    std::vector<Field> fields;
    std::string bytes, head, body;
  } rows[] = {
      {{{"Content-Encoding", "gzip"}, {"A", "b"}}, deflated(text, kGzip), "OK|A: b", filtered},
      {{{"content-encoding", "X-GZIP"}}, deflated(text, kGzip), "OK", filtered},
      {{{"Content-Encoding", "deflate"}}, deflated(text, kZlib), "OK", filtered},
      {{{"Content-Encoding", "identity"}}, text, "OK|Content-Encoding: identity", filtered},
      {{{"Content-Encoding", "identity, gzip"}}, deflated(text, kGzip), "OK", filtered},
      {{{"Content-Encoding", ""}}, text, "OK|Content-Encoding: ", filtered},
      {{{"Content-Encoding", "br"}}, "", unknown, ""},
      {{{"Content-Encoding", "gzip, gzip"}}, "", unknown, ""},
      {{{"Content-Encoding", "gzip"}, {"Content-Encoding", "gzip"}}, "", unknown, ""},
      {{{"Content-Encoding", "gzip;x"}}, "", unknown, ""},
      {{{"Content-Encoding", "gzip"}}, text, "OK", broken},
      {{{"Content-Encoding", "gzip"}}, deflated(text, kGzip).substr(0, 25), "OK", broken},
      {{{"Content-Encoding", "gzip"}},
       deflated(std::string(20 << 20, 'x'), kGzip),
       "OK",
       "answer decodes to more than can be searched"},
  };
  for (const auto& row : rows) {
    request("on");
    EXPECT_EQ(begin(row.fields), row.head);
    if (row.head == unknown) continue;
    EXPECT_EQ(body(row.bytes), row.body);
  }
  // Of what has no body the coding is but a description.
  for (const BodyFraming framing : {BodyFraming{Kind::none, 0}, BodyFraming{Kind::length, 0}}) {
    request("on");
    EXPECT_EQ(begin({{"Content-Encoding", "br"}}, framing), "OK|Content-Encoding: br");
    EXPECT_FALSE(scrub_->reframes());
  }
}

TEST_F(AnswerScrubTest, WhatDescribesTheBodyIsDroppedWhereItMayDiffer) {
  const std::vector<Field> fields = {
      {"Content-MD5", "x"}, {"digest", "x"},   {"Content-Digest", "x"}, {"Repr-Digest", "x"},
      {"Want-Digest", "x"}, {"ETag", "\"a\""}, {"ETag", "W/\"b\""},     {"ETag", ""}};
  const std::string anew = "OK|Want-Digest: x|ETag: W/\"a\"|ETag: W/\"b\"|ETag: ";
  std::string kept = "OK";
  for (const Field& field : fields)
    kept.append("|").append(field.name).append(": ").append(field.value);
  request("on");
  EXPECT_EQ(begin(fields), anew);
  EXPECT_TRUE(scrub_->reframes());
  request("block");
  EXPECT_EQ(begin(fields), kept);
  EXPECT_FALSE(scrub_->reframes()) << "it leaves as it came, or not at all";
  request("block");
  std::vector<Field> encoded = fields;
  encoded.push_back({"Content-Encoding", "gzip"});
  EXPECT_EQ(begin(encoded), anew);
  EXPECT_TRUE(scrub_->reframes());
}

TEST_F(AnswerScrubTest, TrailersAreFilteredLineByLine) {
  const std::string trailers = "A: b\r\nX-Echo: " + kKey + "\r\nX-" + kKey +
                               ": c\r\nDigest: x\r\nEmpty:\r\nreal-key: 0123456789abcdef\r\n";
  request("on");
  begin({});
  std::string out;
  ASSERT_TRUE(scrub_->trailers(trailers, out).has_value());
  EXPECT_EQ(out, "A: b\r\nX-Echo: " + kToken + "\r\nEmpty:\r\nreal-key: 0123456789abcdef\r\n");
  request("block");
  begin({});
  out.clear();
  ASSERT_TRUE(scrub_->trailers("A: b\r\nDigest: x\r\n", out).has_value());
  EXPECT_EQ(out, "A: b\r\nDigest: x\r\n") << "the body is the origin's";
}

TEST_F(AnswerScrubTest, ACredentialThatWasSentIsFoundAsAWhole) {
  // The payloads of `user:` and the token, and of `user:` and the key.
  const std::string sent = "Basic dXNlcjpyaWctdG9rZW4tMDEyMzQ1Njc4OQ==";
  const std::string payload = "dXNlcjpyZWFsLWtleS0wMTIzNDU2Nzg5YWJjZGVm";
  request("on", sent);
  ASSERT_NE(scrub_, nullptr);
  begin({});
  const std::string shown = body("you sent Basic " + payload + "!");
  EXPECT_EQ(shown, "you sent " + sent + "!");
  EXPECT_EQ(shown.find("cmVhbC"), shown.npos);
  request("on", "Bearer " + kToken);
  begin({});
  EXPECT_EQ(body("you sent Bearer " + kKey), "you sent Bearer " + kToken);
}

}  // namespace
}  // namespace iron::proxy
