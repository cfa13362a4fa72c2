#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <atomic>
#include <condition_variable>
#include <future>
#include <mutex>
#include <thread>

#include "tests/tls/test_pki.h"
#include "tls/certificate_authority.h"
#include "tls/leaf.h"

namespace iron::tls {
namespace {

using test::CertificateSpec;
using test::KeyKind;
using testing::HasSubstr;
using LeafPtr = LeafStore::LeafPtr;

constexpr std::int64_t kHour = 3600, kDay = 24 * kHour;
constexpr std::int64_t kStart = 1'900'000'000;

/// A clock the test sets. It can also hold up every thread but the one that made it, which stops
/// minting.
class Clock {
 public:
  std::int64_t operator()() {
    if (std::this_thread::get_id() != owner_) {
      std::unique_lock lock(mutex_);
      ++arrived_;
      changed_.notify_all();
      changed_.wait(lock, [this] { return open_; });
    }
    return seconds;
  }
  void shut() {
    const std::lock_guard lock(mutex_);
    open_ = false;
    arrived_ = 0;
  }
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  void wait_for_arrival() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return arrived_ > 0; });
  }

  std::atomic<std::int64_t> seconds{kStart};

 private:
  const std::thread::id owner_ = std::this_thread::get_id();
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = true;
  int arrived_ = 0;
};

class LeafStoreTest : public testing::Test {
 protected:
  LeafOptions options(KeyKind key = KeyKind::p256) {
    CertificateSpec spec;
    spec.key = key;
    spec.not_before = kStart - kDay;
    spec.not_after = kStart + 3650 * kDay;
    ca_ = test::make_certificate(spec);
    LeafOptions result = test::write_pair(directory_, ca_.get(), key);
    result.now = [this] { return clock_(); };
    return result;
  }
  static LeafPtr minted(LeafStore& store, const std::string& name) {
    auto leaf = test::request_and_wait(store, name);
    EXPECT_TRUE(leaf) << (leaf ? "" : leaf.error().text);
    return leaf ? *leaf : nullptr;
  }

  test::TemporaryDirectory directory_;
  Clock clock_;
  CertificatePtr ca_;
};

TEST_F(LeafStoreTest, MintsOnceThenFinds) {
  LeafStore store(options());
  EXPECT_EQ(store.find("a.test"), nullptr);
  const LeafPtr leaf = minted(store, "a.test");
  EXPECT_EQ(store.find("a.test"), leaf);
  EXPECT_EQ(minted(store, "a.test"), leaf);
  EXPECT_EQ(store.find("b.test"), nullptr);
}

TEST_F(LeafStoreTest, ManyRequestsForOneNameShareOneMinting) {
  LeafStore store(options());
  minted(store, "warm.test");
  clock_.shut();
  std::vector<std::future<LeafPtr>> answers;
  for (int i = 0; i < 50; ++i) {
    auto promise = std::make_shared<std::promise<LeafPtr>>();
    answers.push_back(promise->get_future());
    store.request("a.test",
                  [promise](Result<LeafPtr> leaf) { promise->set_value(leaf ? *leaf : nullptr); });
  }
  clock_.open();
  const LeafPtr first = answers[0].get();
  ASSERT_NE(first, nullptr);
  for (std::size_t i = 1; i < answers.size(); ++i) EXPECT_EQ(answers[i].get(), first);
}

TEST_F(LeafStoreTest, KnownNameDoesNotWaitForANewOne) {
  LeafStore store(options());
  const LeafPtr known = minted(store, "known.test");
  clock_.shut();
  std::promise<void> done;
  store.request("new.test", [&](const Result<LeafPtr>&) { done.set_value(); });
  clock_.wait_for_arrival();
  EXPECT_EQ(store.find("known.test"), known);
  bool inline_answer = false;
  store.request("known.test",
                [&](const Result<LeafPtr>& leaf) { inline_answer = leaf && *leaf == known; });
  EXPECT_TRUE(inline_answer);
  clock_.open();
  done.get_future().wait();
}

TEST_F(LeafStoreTest, QuickSignerMintsAtOnce) {
  LeafStore store(options());
  EXPECT_EQ(store.mint_at_once("a.test"), nullptr) << "there is no signer yet";
  minted(store, "warm.test");
  clock_.shut();  // no other thread gets to mint
  const LeafPtr leaf = store.mint_at_once("a.test");
  ASSERT_NE(leaf, nullptr);
  EXPECT_EQ(store.find("a.test"), leaf);
  EXPECT_EQ(store.mint_at_once("a b"), nullptr);
  std::promise<LeafPtr> waited;
  store.request("b.test", [&](const Result<LeafPtr>& other) { waited.set_value(*other); });
  EXPECT_EQ(store.mint_at_once("b.test"), nullptr) << "it is being minted";
  clock_.open();
  const LeafPtr other = waited.get_future().get();
  EXPECT_EQ(other, store.find("b.test"));
}

TEST_F(LeafStoreTest, LeafMintedAtOnceExpiresAsOthersDo) {
  LeafOptions expired = options();
  expired.expiry_hours = -1;
  LeafStore store(expired);
  minted(store, "warm.test");
  const LeafPtr leaf = store.mint_at_once("a.test");
  ASSERT_NE(leaf, nullptr);
  EXPECT_EQ(store.find("a.test"), nullptr);
}

TEST_F(LeafStoreTest, SlowSignerNeverMintsAtOnce) {
  LeafOptions direct = options(KeyKind::rsa);
  direct.signer = LeafOptions::Signer::ca;
  LeafStore store(direct);
  minted(store, "warm.test");
  EXPECT_EQ(store.mint_at_once("a.test"), nullptr);
  LeafStore below(options(KeyKind::rsa));
  minted(below, "warm.test");
  EXPECT_NE(below.mint_at_once("a.test"), nullptr) << "the intermediate has a P-256 key";
}

TEST_F(LeafStoreTest, LeastRecentlyUsedLeafGoesFirst) {
  LeafOptions small = options();
  small.cache_size = 2;
  LeafStore store(small);
  const LeafPtr a = minted(store, "a.test");
  minted(store, "b.test");
  EXPECT_EQ(store.find("a.test"), a);
  const LeafPtr c = minted(store, "c.test");
  EXPECT_EQ(store.find("a.test"), a);
  EXPECT_EQ(store.find("b.test"), nullptr);
  EXPECT_EQ(store.find("c.test"), c);
}

TEST_F(LeafStoreTest, NegativeCapacityIsNoLimit) {
  LeafOptions unlimited = options();
  unlimited.cache_size = -1;
  LeafStore store(unlimited);
  for (int i = 0; i < 50; ++i) minted(store, std::to_string(i) + ".test");
  for (int i = 0; i < 50; ++i) EXPECT_NE(store.find(std::to_string(i) + ".test"), nullptr);
}

TEST_F(LeafStoreTest, LeafIsReplacedInTheLastTenthOfItsLife) {
  for (const std::int64_t hours : {1, 9, 72}) {
    clock_.seconds = kStart;
    LeafOptions changed = options();
    changed.expiry_hours = hours;
    LeafStore store(changed);
    const LeafPtr leaf = minted(store, "a.test");
    // Life counts from minting: that a leaf begins a day earlier makes it no older.
    const std::int64_t due = kStart + hours * kHour - hours * kHour / 10;
    clock_.seconds = due - 1;
    EXPECT_EQ(store.find("a.test"), leaf) << hours;
    clock_.seconds = due;
    EXPECT_EQ(store.find("a.test"), nullptr) << hours;
    const LeafPtr next = minted(store, "a.test");
    EXPECT_NE(next, leaf);
    EXPECT_EQ(store.find("a.test"), next);
  }
}

TEST_F(LeafStoreTest, LeafThatIsNotValidAfterAClockJumpIsNotServed) {
  LeafStore store(options());
  const LeafPtr leaf = minted(store, "a.test");
  for (const std::int64_t jump : {-24 * 3600 - 1, -400 * 24 * 3600, 73 * 3600}) {
    clock_.seconds = kStart + jump;
    EXPECT_EQ(store.find("a.test"), nullptr) << jump;
  }
  clock_.seconds = kStart - 24 * 3600;
  EXPECT_EQ(store.find("a.test"), leaf);
}

TEST_F(LeafStoreTest, NegativeLifeGivesExpiredLeavesThatAreNotKept) {
  LeafOptions expired = options();
  expired.expiry_hours = -1;
  LeafStore store(expired);
  EXPECT_NE(minted(store, "a.test"), nullptr);
  EXPECT_EQ(store.find("a.test"), nullptr);
}

TEST_F(LeafStoreTest, IntermediateIsReplacedAtHalfOfItsLife) {
  LeafOptions long_lived = options(KeyKind::rsa);
  long_lived.expiry_hours = 30 * 24;
  LeafStore store(long_lived);
  const auto before = test::presented_by(*minted(store, "a.test"));
  minted(store, "kept.test");
  clock_.seconds = kStart + 15 * kDay - 1;
  const auto same = test::presented_by(*minted(store, "b.test"));
  EXPECT_EQ(X509_cmp(before.at(1).get(), same.at(1).get()), 0);
  EXPECT_NE(store.find("kept.test"), nullptr);
  clock_.seconds = kStart + 15 * kDay;
  const auto after = test::presented_by(*minted(store, "c.test"));
  EXPECT_NE(X509_NAME_cmp(X509_get_subject_name(before.at(1).get()),
                          X509_get_subject_name(after.at(1).get())),
            0);
  EXPECT_NE(ASN1_INTEGER_cmp(X509_get0_serialNumber(before.at(1).get()),
                             X509_get0_serialNumber(after.at(1).get())),
            0);
  EXPECT_NE(EVP_PKEY_eq(X509_get0_pubkey(before.at(1).get()), X509_get0_pubkey(after.at(1).get())),
            1);
  EXPECT_EQ(test::verify(after, ca_.get(), "c.test", clock_.seconds), X509_V_OK);
  EXPECT_EQ(store.find("kept.test"), nullptr);
}

TEST_F(LeafStoreTest, ClockThatGoesBackGetsAnIntermediateThatIsValidThen) {
  LeafStore store(options(KeyKind::rsa));
  minted(store, "a.test");
  clock_.seconds = kStart - 40 * kHour;
  const auto chain = test::presented_by(*minted(store, "b.test"));
  EXPECT_LE(seconds_since_epoch(X509_get0_notBefore(chain.at(1).get()), 0), kStart - kDay);
}

TEST_F(LeafStoreTest, WarmUpMakesTheIntermediateThatLeavesUse) {
  LeafStore store(options(KeyKind::rsa));
  clock_.shut();
  store.warm_up();
  store.warm_up();
  clock_.wait_for_arrival();
  clock_.open();
  const auto a = test::presented_by(*minted(store, "a.test")),
             b = test::presented_by(*minted(store, "b.test"));
  EXPECT_EQ(X509_cmp(a.at(1).get(), b.at(1).get()), 0);
}

TEST_F(LeafStoreTest, NamesThatCannotBeInACertificateAreRefused) {
  LeafStore store(options());
  const std::vector<std::string> names = {"",      std::string("a\0b", 3), "a b", "b\xc3\xbc.test",
                                          "[::1]", "fe80::1%eth0"};
  for (const std::string& name : names) {
    const auto leaf = test::request_and_wait(store, name);
    ASSERT_FALSE(leaf);
    EXPECT_EQ(leaf.error().text, "generating cert for " + name + ": not a host name");
  }
}

TEST_F(LeafStoreTest, FailureToMintIsReported) {
  LeafStore store(options());
  clock_.seconds = 253'402'300'800 + kDay;  // the year 10000, which a certificate cannot express
  const auto leaf = test::request_and_wait(store, "a.test");
  ASSERT_FALSE(leaf);
  EXPECT_THAT(leaf.error().text,
              testing::StartsWith("generating cert for a.test: building certificate: "));
  clock_.seconds = kStart;
  EXPECT_NE(minted(store, "a.test"), nullptr);
}

TEST_F(LeafStoreTest, QueueIsBounded) {
  auto store = std::make_unique<LeafStore>(options());
  minted(*store, "warm.test");
  clock_.shut();
  std::atomic<int> answered = 0, refused = 0;
  const auto count = [&](const Result<LeafPtr>& leaf) {
    ++answered;
    if (!leaf && leaf.error().text.find("too many certificates") != std::string::npos) ++refused;
  };
  store->request("first.test", count);
  clock_.wait_for_arrival();
  for (int i = 0; i < 1026; ++i) store->request(std::to_string(i) + ".test", count);
  EXPECT_EQ(refused, 2);
  EXPECT_EQ(answered, 2);
  clock_.open();
  store.reset();
  EXPECT_EQ(answered, 1027);
  EXPECT_EQ(refused, 2);
}

TEST_F(LeafStoreTest, ClosingAnswersWhatIsOutstanding) {
  std::optional<LeafStore> store(std::in_place, options());
  minted(*store, "warm.test");
  clock_.shut();
  std::promise<void> destroyed;
  std::string queued, late;
  // The callback runs on the minting thread and drops the last owner there.
  store->request("a.test", [&](const Result<LeafPtr>& leaf) {
    EXPECT_TRUE(leaf);
    store.reset();
    destroyed.set_value();
  });
  clock_.wait_for_arrival();
  LeafStore& open_store = *store;
  store->request("b.test", [&](const Result<LeafPtr>& leaf) {
    queued = leaf ? "" : leaf.error().text;
    open_store.request(
        "c.test", [&](const Result<LeafPtr>& other) { late = other ? "" : other.error().text; });
  });
  clock_.open();
  destroyed.get_future().wait();
  EXPECT_EQ(queued, "generating cert for b.test: the certificate store is closed");
  EXPECT_EQ(late, "generating cert for c.test: the certificate store is closed");
}

TEST_F(LeafStoreTest, IdentityTellsPairAndSigner) {
  const LeafOptions first = options();
  LeafOptions direct = first;
  direct.signer = LeafOptions::Signer::ca;
  LeafOptions sized = first;
  sized.cache_size = 5;
  const std::string identity = LeafStore(first).identity();
  EXPECT_EQ(identity.size(), 64u);
  EXPECT_EQ(LeafStore(first).identity(), identity);
  EXPECT_EQ(LeafStore(sized).identity(), identity);
  EXPECT_NE(LeafStore(direct).identity(), identity);
  EXPECT_NE(LeafStore(options()).identity(), identity);  // a new certificate for the same key
}

TEST_F(LeafStoreTest, ThreadsMayAskAtTheSameTime) {
  LeafOptions small = options(KeyKind::rsa);
  small.cache_size = 3;
  LeafStore store(small);
  store.warm_up();
  std::vector<std::thread> threads;
  std::atomic<int> good = 0;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 100; ++i) {
        const std::string name = std::to_string((i * 7 + t) % 6) + ".test";
        LeafPtr leaf = store.find(name);
        if (!leaf) leaf = *test::request_and_wait(store, name);
        good += test::presented_by(*leaf).size() == 3;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 400);
}

/// Runs a handshake in memory between a server with `leaf` and a client that trusts `root` alone.
std::string handshake(const Leaf& leaf, X509* root, const std::string& host, int version) {
  const SslPtr<SSL_CTX, SSL_CTX_free> server_context(SSL_CTX_new(TLS_server_method()));
  const SslPtr<SSL_CTX, SSL_CTX_free> client_context(SSL_CTX_new(TLS_client_method()));
  X509_STORE_add_cert(SSL_CTX_get_cert_store(client_context.get()), root);
  SSL_CTX_set_verify(client_context.get(), SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_min_proto_version(client_context.get(), version);
  SSL_CTX_set_max_proto_version(client_context.get(), version);
  const SslPtr<SSL, SSL_free> server(SSL_new(server_context.get())),
      client(SSL_new(client_context.get()));
  BIO *server_side = nullptr, *client_side = nullptr;
  BIO_new_bio_pair(&server_side, 0, &client_side, 0);
  SSL_set_bio(server.get(), server_side, server_side);
  SSL_set_bio(client.get(), client_side, client_side);
  SSL_set_accept_state(server.get());
  SSL_set_connect_state(client.get());
  SSL_set1_host(client.get(), host.c_str());
  if (!leaf.use_on(server.get())) return "leaf refused";
  for (int i = 0; i < 10; ++i) {
    const int c = SSL_do_handshake(client.get()), s = SSL_do_handshake(server.get());
    if (c == 1 && s == 1) return SSL_get_cipher(server.get());
  }
  return X509_verify_cert_error_string(SSL_get_verify_result(client.get()));
}

TEST_F(LeafStoreTest, ClientsThatTrustTheAuthorityAcceptTheLeaf) {
  for (const KeyKind key : {KeyKind::p256, KeyKind::rsa}) {
    LeafOptions current = options(key);
    current.now = nullptr;  // verification uses the system's clock
    CertificateSpec spec;
    spec.key = key;
    const CertificatePtr ca = test::make_certificate(spec);
    current.ca_cert = directory_.write("now.crt", test::pem(ca.get()));
    LeafStore store(current);
    const LeafPtr leaf = minted(store, "a.test");
    EXPECT_EQ(handshake(*leaf, ca.get(), "a.test", TLS1_3_VERSION), "TLS_AES_256_GCM_SHA384");
    EXPECT_EQ(handshake(*leaf, ca.get(), "a.test", TLS1_2_VERSION),
              "ECDHE-ECDSA-AES256-GCM-SHA384");
    EXPECT_THAT(handshake(*leaf, ca.get(), "b.test", TLS1_3_VERSION),
                HasSubstr("ostname mismatch"));
  }
}

}  // namespace
}  // namespace iron::tls
