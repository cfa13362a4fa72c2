#include "transforms/auth/aws_chunks.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace iron::transforms {
namespace {

using Trailers = AwsChunkSigner::Trailers;

/// The request of Amazon S3's manual, "Transferring payload in multiple chunks", whose date, keys
/// and signatures these tests have.
AwsSignature seed_of(std::string_view payload_hash,
                     std::string_view size,
                     std::string_view trailer) {
  std::vector<SignedField> fields{{"Content-Encoding", "aws-chunked"},
                                  {"Content-Length", size},
                                  {"Host", "s3.amazonaws.com"},
                                  {"X-Amz-Decoded-Content-Length", "66560"},
                                  {"X-Amz-Storage-Class", "REDUCED_REDUNDANCY"}};
  if (!trailer.empty()) fields[1] = {"X-Amz-Trailer", trailer};
  const std::chrono::sys_days day{std::chrono::year(2013) / 5 / 24};
  const AwsCredentials credentials{Secret::copy_of("AKIAIOSFODNN7EXAMPLE"),
                                   Secret::copy_of("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
                                   {},
                                   std::nullopt};
  auto seed = sign_aws(
      {"PUT", "/examplebucket/chunkObject.txt", "", fields, payload_hash, "us-east-1", "s3", day},
      credentials);
  EXPECT_TRUE(seed);
  return std::move(*seed);
}

AwsSignature plain_seed() { return seed_of("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "66824", ""); }

AwsSignature trailer_seed() {
  return seed_of("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", "", "x-amz-checksum-crc32c");
}

std::string chunk(const char* size, std::string_view signature, std::string_view data) {
  return std::string(size) + ";chunk-signature=" + std::string(signature) + "\r\n" +
         std::string(data);
}

/// The body of the manual with these signatures.
std::string body_of(const std::vector<std::string>& signatures, std::string_view end) {
  return chunk("10000", signatures[0], std::string(65536, 'a') + "\r\n") +
         chunk("400", signatures[1], std::string(1024, 'a') + "\r\n") +
         chunk("0", signatures[2], end);
}

const std::vector<std::string> kPlaceholders(3, std::string(64, '0'));

struct Signed {
  std::string out, error;
  std::uint64_t decoded = 0;
};

/// `piece(rest)` is how many of the bytes that are left come next.
template <class Piece>
Signed sign_in_pieces(const AwsSignature& seed,
                      Trailers trailers,
                      std::string_view body,
                      Piece piece) {
  AwsChunkSigner signer(seed, trailers);
  Signed result;
  while (!body.empty()) {
    const std::string_view part = body.substr(0, piece(body.size()));
    body.remove_prefix(part.size());
    const std::size_t before = result.out.size();
    if (const auto fed = signer.feed(part, result.out); !fed) {
      result.error = fed.error().text;
      EXPECT_FALSE(signer.feed("0", result.out));
      EXPECT_FALSE(signer.end(result.out));
      EXPECT_LE(before, result.out.size());
      return result;
    }
  }
  const auto ended = signer.end(result.out);
  if (!ended) result.error = ended.error().text;
  result.decoded = signer.decoded_size();
  return result;
}

Signed sign_whole(const AwsSignature& seed, Trailers trailers, std::string_view body) {
  return sign_in_pieces(seed, trailers, body, [](std::size_t rest) { return rest; });
}

TEST(AwsChunks, SignsTheExampleOfTheManual) {
  const AwsSignature seed = plain_seed();
  ASSERT_EQ(seed.signature.reveal(),
            "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9");
  const Signed got = sign_whole(seed, Trailers::none, body_of(kPlaceholders, "\r\n"));
  EXPECT_EQ(got.error, "");
  EXPECT_EQ(got.decoded, 66560U);
  EXPECT_EQ(got.out, body_of({"ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
                              "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
                              "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"},
                             "\r\n"));
}

TEST(AwsChunks, SignsTheExampleWithTrailers) {
  const AwsSignature seed = trailer_seed();
  ASSERT_EQ(seed.signature.reveal(),
            "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e");
  const std::string placeholder(64, 'F');
  const std::string trailer = "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435";
  // Writers differ in how the lines in front of the signature end.
  for (const std::string front :
       {"x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:",
        "x-amz-checksum-crc32c:sOO8/Q==\n\r\nx-amz-trailer-signature:",
        "X-Amz-Checksum-CRC32C: sOO8/Q== \r\nX-Amz-Trailer-Signature: "}) {
    const Signed got = sign_whole(seed, Trailers::with_signature,
                                  body_of(kPlaceholders, front + placeholder + "\r\n\r\n"));
    EXPECT_EQ(got.error, "") << front;
    EXPECT_EQ(got.out, body_of({"b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
                                "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
                                "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992"},
                               front + trailer + "\r\n\r\n"));
  }
}

TEST(AwsChunks, SplitsDoNotMatter) {
  const AwsSignature plain = plain_seed(), trailer = trailer_seed();
  const std::string end =
      "x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:" + std::string(64, '0') +
      "\r\n\r\n";
  const std::string bodies[] = {
      chunk("3", kPlaceholders[0], "a\r\n\r\n") + chunk("00", kPlaceholders[0], "\r\n"),
      chunk("A", kPlaceholders[0], "0123456789\r\n") + chunk("0", kPlaceholders[0], end)};
  std::mt19937 random(11);
  for (const bool with : {false, true}) {
    const AwsSignature& seed = with ? trailer : plain;
    const Trailers trailers = with ? Trailers::with_signature : Trailers::none;
    const Signed whole = sign_whole(seed, trailers, bodies[with]);
    ASSERT_EQ(whole.error, "");
    EXPECT_EQ(whole.out.size(), bodies[with].size());
    EXPECT_EQ(sign_in_pieces(seed, trailers, bodies[with], [](std::size_t) { return 1; }).out,
              whole.out);
    for (int round = 0; round < 50; ++round) {
      const Signed got = sign_in_pieces(seed, trailers, bodies[with],
                                        [&](std::size_t) { return 1 + random() % 100; });
      EXPECT_EQ(got.out, whole.out);
      EXPECT_EQ(got.error, "");
    }
  }
}

TEST(AwsChunks, EveryCutIsAnError) {
  const AwsSignature seed = trailer_seed();
  const std::string body =
      chunk("1", kPlaceholders[0], "a\r\n") +
      chunk("0", kPlaceholders[0],
            "a:b\r\nx-amz-trailer-signature:" + std::string(64, '0') + "\r\n\r\n");
  ASSERT_EQ(sign_whole(seed, Trailers::with_signature, body).error, "");
  for (std::size_t size = 0; size < body.size(); ++size) {
    const Signed got = sign_whole(seed, Trailers::with_signature, body.substr(0, size));
    EXPECT_NE(got.error, "") << size;
    EXPECT_EQ(got.out.find("x-amz-trailer-signature"), std::string::npos) << size;
  }
}

TEST(AwsChunks, BrokenFramingIsNotPassedOn) {
  const AwsSignature plain = plain_seed();
  const std::string zeros(64, '0'), good = chunk("1", zeros, "a\r\n"),
                                    last = chunk("0", zeros, "\r\n");
  const std::string bad_line =
      "aws-chunked body: a chunk's line is not \"size;chunk-signature=64 digits\"";
  struct Case {
    std::string behind, error;
  };
  for (const Case& at : {
           Case{"GET / HTTP/1.1\r\n", bad_line},
           Case{";chunk-signature=" + zeros + "\r\n", bad_line},
           Case{"1\r\na\r\n", bad_line},
           Case{chunk("1", zeros.substr(1), "a\r\n"), bad_line},
           Case{chunk("1", zeros.substr(1) + "g", "a\r\n"), bad_line},
           Case{chunk("1", zeros + ";a=b", "a\r\n"), bad_line},
           Case{"1;chunk-Signature=" + zeros + "\r\na\r\n", bad_line},
           Case{"123456789;chunk-signature=" + zeros + "\r\n",
                "aws-chunked body: a chunk's line is too long"},
           Case{std::string(1000, '1'), "aws-chunked body: a chunk's line is too long"},
           Case{chunk("0x1", zeros, "a\r\n"), "aws-chunked body: a chunk's size is not a number"},
           Case{chunk("-1", zeros, "a\r\n"), "aws-chunked body: a chunk's size is not a number"},
           Case{"1;chunk-signature=" + zeros + "\na\r\n",
                "aws-chunked body: a line does not end in CRLF"},
           Case{chunk("1", zeros, "ab\r\n"), "aws-chunked body: a chunk does not end in CRLF"},
           Case{chunk("1", zeros, "a\n"), "aws-chunked body: a chunk does not end in CRLF"},
           Case{chunk("0", zeros, "x-amz-a:b\r\n"),
                "aws-chunked body: a chunk does not end in CRLF"},
           Case{last + "x", "aws-chunked body: bytes behind its end"},
           Case{chunk("100001", zeros, ""), "body_truncated"},
           Case{chunk("ffffffff", zeros, ""), "body_truncated"},
           Case{chunk("2", zeros, "a"), "aws-chunked body: it ends in the middle"},
           Case{"", "aws-chunked body: it ends in the middle"},
       }) {
    const Signed got = sign_whole(plain, Trailers::none, good + at.behind);
    EXPECT_EQ(got.error, at.error) << at.behind;
    const bool has_last = at.behind.starts_with(last);
    EXPECT_EQ(got.out.size(), good.size() + (has_last ? last.size() : 0)) << at.behind;
  }
  const std::string largest(1 << 20, 'a');
  EXPECT_EQ(
      sign_whole(plain, Trailers::none, chunk("100000", zeros, largest + "\r\n") + last).error, "");
}

TEST(AwsChunks, BrokenTrailersAreNotPassedOn) {
  const AwsSignature seed = trailer_seed();
  const std::string zeros(64, '0'), signature = "x-amz-trailer-signature:" + zeros + "\r\n";
  for (const std::string& trailers :
       {std::string("\r\n"), std::string("a:b\r\n\r\n"), signature,
        "a:b\r\n" + signature + "c:d\r\n\r\n", signature + signature + "\r\n",
        "a\r\n" + signature + "\r\n", ":b\r\n" + signature + "\r\n",
        "a b:c\r\n" + signature + "\r\n", "a:b\rc\r\n" + signature + "\r\n",
        "a:b\r\n\r\n\r\n" + signature + "\r\n", "\r\n" + signature + "\r\n", signature + "\r\n\r\n",
        signature + "\r\nGET / HTTP/1.1\r\n\r\n",
        "a:b\r\nx-amz-trailer-signature:" + zeros + "0\r\n\r\n",
        "a:" + std::string(20000, 'b') + "\r\n" + signature + "\r\n"}) {
    const Signed got = sign_whole(seed, Trailers::with_signature, chunk("0", zeros, trailers));
    EXPECT_NE(got.error, "") << trailers;
    EXPECT_EQ(got.out.find("railer"), std::string::npos) << trailers;
  }
}

}  // namespace
}  // namespace iron::transforms
