#include <arpa/inet.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <ctime>
#include <deque>
#include <limits>
#include <list>
#include <mutex>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <unordered_map>
#include <vector>

#include "tls/certificate_authority.h"
#include "tls/error_text.h"
#include "tls/leaf.h"
#include "tls/leaf_key.h"
#include "tls/signer.h"

namespace iron::tls {
namespace {

constexpr std::size_t kLongestQueue = 1024;
constexpr std::int64_t kHour = 3600;
constexpr int kQuickBits = 256;  // OpenSSL's code for larger curves takes a millisecond and more
constexpr const char* kClosed = "the certificate store is closed";

bool is_address(const std::string& name) {
  std::array<unsigned char, 16> bytes{};
  return ::inet_pton(AF_INET, name.c_str(), bytes.data()) == 1 ||
         ::inet_pton(AF_INET6, name.c_str(), bytes.data()) == 1;
}

std::int64_t system_now() { return static_cast<std::int64_t>(std::time(nullptr)); }

std::int64_t seconds_of_hours(std::int64_t hours) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max() / kHour / 4;
  return std::clamp(hours, -kMost, kMost) * kHour;
}

/// The certificate holds the public key and the pair has been checked, so its DER stands for both.
std::string fingerprint(const CertificateAuthority& authority, LeafOptions::Signer signer) {
  unsigned char* der = nullptr;
  const int size = i2d_X509(authority.certificate.get(), &der);
  const SslMemory<unsigned char> owner(der);
  if (size <= 0) throw std::runtime_error("encoding CA cert: " + take_openssl_error());
  std::string bytes(reinterpret_cast<const char*>(der), static_cast<std::size_t>(size));
  bytes += signer == LeafOptions::Signer::ca ? "ca" : "auto";

  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int length = 0;
  if (EVP_Digest(bytes.data(), bytes.size(), digest.data(), &length, EVP_sha256(), nullptr) != 1) {
    throw std::runtime_error("hashing CA cert: " + take_openssl_error());
  }
  std::string text;
  for (unsigned int i = 0; i < length; ++i) {
    text += "0123456789abcdef"[digest[i] >> 4];
    text += "0123456789abcdef"[digest[i] & 15];
  }
  return text;
}

}  // namespace

struct LeafStore::State {
  using Done = std::function<void(Result<LeafPtr>)>;
  struct Entry {
    std::string name;
    LeafPtr leaf;
  };

  CertificateAuthority authority;
  LeafOptions options;
  std::string identity;
  std::function<std::int64_t()> now;

  /// Guards the two below. Held while an intermediate is made, which only minting threads wait for.
  std::mutex signer_mutex;
  Signer::Pointer signer;
  LeafKey leaf_key;  ///< made with the first signer, then constant

  /// Guards all below. Never held while something is signed or a callback runs.
  std::mutex mutex;
  std::condition_variable work;
  std::list<Entry> recent;  ///< most recently used first
  std::unordered_map<std::string, std::list<Entry>::iterator> entries;
  std::unordered_map<std::string, std::vector<Done>>
      waiting;  ///< by name, also while it is being minted
  std::deque<std::string> queue;
  std::vector<std::thread> threads;
  bool stopping = false;
  bool warm = false;  ///< whether the signer was made ahead of the first leaf

  explicit State(const LeafOptions& given)
      : authority(load_certificate_authority(given.ca_cert, given.ca_key)),
        options(given),
        identity(fingerprint(authority, given.signer)),
        now(given.now ? given.now : system_now) {}

  bool uses_intermediate() const {
    return options.signer == LeafOptions::Signer::automatic && authority.intermediate_pays;
  }
  LeafPtr find_locked(const std::string& name, std::int64_t at);
  void keep_locked(const std::string& name, const LeafPtr& leaf);
  void try_to_keep_locked(const std::string& name, const LeafPtr& leaf);
  /// False if the system gives no thread.
  bool start_threads_locked(const std::shared_ptr<State>& self);
  void run();
  Result<LeafPtr> mint(const std::string& name);
  /// The present signer if it signs in microseconds; else null. Never waits.
  Signer::Pointer quick_signer(std::int64_t at);
  Result<LeafPtr> mint_or_fail(const std::string& name);
  static void answer(const Done& done, const Result<LeafPtr>& minted);
  /// What signs at this time; makes it, and the leaf key, if need be.
  Result<Signer::Pointer> current_signer(std::int64_t at);
};

LeafStore::LeafPtr LeafStore::State::find_locked(const std::string& name, std::int64_t at) {
  const auto found = entries.find(name);
  if (found == entries.end() || !found->second->leaf->fresh_at(at)) return nullptr;
  recent.splice(recent.begin(), recent, found->second);
  return found->second->leaf;
}

void LeafStore::State::keep_locked(const std::string& name, const LeafPtr& leaf) {
  if (const auto found = entries.find(name); found != entries.end()) {
    found->second->leaf = leaf;
    recent.splice(recent.begin(), recent, found->second);
    return;
  }
  recent.push_front({name, leaf});
  try {
    entries.emplace(name, recent.begin());
  } catch (const std::bad_alloc&) {
    recent.pop_front();
    throw;
  }
  if (options.cache_size > 0 && entries.size() > static_cast<std::size_t>(options.cache_size)) {
    entries.erase(recent.back().name);
    recent.pop_back();
  }
}

/// One thread keeps up with cheap signatures; a second one helps where each takes milliseconds.
bool LeafStore::State::start_threads_locked(const std::shared_ptr<State>& self) {
  if (!threads.empty()) return true;
  const bool slow =
      EVP_PKEY_get_base_id(authority.key.get()) == EVP_PKEY_RSA && !uses_intermediate();
  try {
    for (int i = 0; i < (slow ? 2 : 1); ++i) threads.emplace_back([self] { self->run(); });
  } catch (const std::system_error&) {
    return !threads.empty();
  }
  return true;
}

void LeafStore::State::run() {
  std::unique_lock lock(mutex);
  if (!warm) {
    warm = true;
    lock.unlock();
    // A failure comes back, and is reported, with the first leaf that is asked for.
    try {
      static_cast<void>(current_signer(now()));
    } catch (const std::bad_alloc&) {
      // So does this one.
    }
    lock.lock();
  }
  while (true) {
    work.wait(lock, [this] { return stopping || !queue.empty(); });
    if (stopping) return;
    const std::string name = std::move(queue.front());
    queue.pop_front();
    lock.unlock();
    const Result<LeafPtr> minted = mint_or_fail(name);
    const bool keep = minted && (*minted)->fresh_at(now());
    lock.lock();
    if (keep) try_to_keep_locked(name, *minted);
    const auto waiters = waiting.extract(name);
    lock.unlock();
    if (!waiters.empty()) {
      for (const Done& done : waiters.mapped()) answer(done, minted);
    }
    lock.lock();
  }
}

/// An answer that cannot be copied becomes one that needs no memory.
void LeafStore::State::answer(const Done& done, const Result<LeafPtr>& minted) {
  try {
    done(minted);
  } catch (const std::bad_alloc&) {
    done(fail("out of memory"));
  }
}

/// Memory may run out on the way; those who wait get an answer all the same.
Result<LeafStore::LeafPtr> LeafStore::State::mint_or_fail(const std::string& name) {
  try {
    return mint(name);
  } catch (const std::bad_alloc&) {
    return fail("out of memory");  // short enough to need none
  }
}

void LeafStore::State::try_to_keep_locked(const std::string& name, const LeafPtr& leaf) {
  try {
    keep_locked(name, leaf);
  } catch (const std::bad_alloc&) {
    // It is minted again when it is asked for again.
  }
}

Result<LeafStore::LeafPtr> LeafStore::State::mint(const std::string& name) {
  const std::int64_t at = now();
  const std::string prefix = "generating cert for " + name + ": ";
  Result<Signer::Pointer> chosen = current_signer(at);
  if (!chosen) return fail(prefix + chosen.error().text);
  const Leaf::Order order{name, identity, at, seconds_of_hours(options.expiry_hours)};
  Result<LeafPtr> minted = Leaf::mint(**chosen, leaf_key, order);
  if (!minted) return fail(prefix + minted.error().text);
  return minted;
}

Result<Signer::Pointer> LeafStore::State::current_signer(std::int64_t at) {
  const std::lock_guard signer_lock(signer_mutex);
  if (signer && signer->usable_at(at)) return signer;
  if (!leaf_key.signing) {
    Result<LeafKey> key = make_leaf_key();
    if (!key) return key.error();
    leaf_key = std::move(*key);
  }
  Result<Signer::Pointer> made =
      uses_intermediate() ? Signer::intermediate(authority, at) : Signer::authority(authority);
  if (!made) return made;
  const bool replaces = signer != nullptr;
  signer = *made;
  if (replaces) {
    const std::lock_guard lock(mutex);
    entries.clear();
    recent.clear();
  }
  return made;
}

Signer::Pointer LeafStore::State::quick_signer(std::int64_t at) {
  const std::unique_lock signer_lock(signer_mutex, std::try_to_lock);
  if (!signer_lock || !signer || !signer->usable_at(at)) return nullptr;
  const bool quick = EVP_PKEY_get_base_id(signer->key()) == EVP_PKEY_EC &&
                     EVP_PKEY_get_bits(signer->key()) <= kQuickBits;
  return quick ? signer : nullptr;
}

LeafStore::LeafStore(const LeafOptions& options) : state_(std::make_shared<State>(options)) {
  identity_ = state_->identity;
}

LeafStore::~LeafStore() {
  std::unordered_map<std::string, std::vector<State::Done>> left;
  std::vector<std::thread> threads;
  {
    const std::lock_guard lock(state_->mutex);
    state_->stopping = true;
    threads.swap(state_->threads);
  }
  state_->work.notify_all();
  for (std::thread& thread : threads) {
    // The last owner may let go in a callback, that is, on a minting thread.
    if (thread.get_id() == std::this_thread::get_id()) {
      thread.detach();
    } else {
      thread.join();
    }
  }
  {
    const std::lock_guard lock(state_->mutex);
    left.swap(state_->waiting);
  }
  for (const auto& [name, callbacks] : left) {
    for (const State::Done& done : callbacks) {
      done(fail("generating cert for " + name + ": " + kClosed));
    }
  }
}

LeafStore::LeafPtr LeafStore::find(const std::string& name) {
  const std::int64_t at = state_->now();
  const std::lock_guard lock(state_->mutex);
  return state_->find_locked(name, at);
}

void LeafStore::request(const std::string& name, std::function<void(Result<LeafPtr>)> done) {
  const std::string prefix = "generating cert for " + name + ": ";
  if (!acceptable_server_name(name) && !is_address(name)) {
    done(fail(prefix + "not a host name"));
    return;
  }
  State& state = *state_;
  const std::int64_t at = state.now();
  std::unique_lock lock(state.mutex);
  if (LeafPtr cached = state.find_locked(name, at)) {
    lock.unlock();
    done(std::move(cached));
    return;
  }
  if (const auto joined = state.waiting.find(name); joined != state.waiting.end()) {
    joined->second.push_back(std::move(done));
    return;
  }
  const char* fault = nullptr;
  if (state.stopping) {
    fault = kClosed;
  } else if (state.queue.size() >= kLongestQueue) {
    fault = "too many certificates are waiting to be signed";
  } else if (!state.start_threads_locked(state_)) {
    fault = "no thread to sign it";
  }
  if (fault != nullptr) {
    lock.unlock();
    done(fail(prefix + fault));
    return;
  }
  state.queue.push_back(name);  // first: a name that is waited for must be in the queue
  state.waiting[name].push_back(std::move(done));
  lock.unlock();
  state.work.notify_one();
}

LeafStore::LeafPtr LeafStore::mint_at_once(const std::string& name) {
  State& state = *state_;
  const std::int64_t at = state.now();
  const Signer::Pointer signer = state.quick_signer(at);
  if (!signer || (!acceptable_server_name(name) && !is_address(name))) return nullptr;
  {
    const std::lock_guard lock(state.mutex);
    if (state.stopping || state.waiting.contains(name)) return nullptr;
  }
  const Leaf::Order order{name, identity_, at, seconds_of_hours(state.options.expiry_hours)};
  const Result<LeafPtr> minted = Leaf::mint(*signer, state.leaf_key, order);
  if (!minted) return nullptr;
  if (!(*minted)->fresh_at(at)) return *minted;
  const std::lock_guard lock(state.mutex);
  // Another worker may have been as quick.
  if (LeafPtr cached = state.find_locked(name, at)) return cached;
  state.try_to_keep_locked(name, *minted);
  return *minted;
}

void LeafStore::warm_up() {
  const std::lock_guard lock(state_->mutex);
  static_cast<void>(state_->start_threads_locked(state_));  // request() tries again and reports
}

}  // namespace iron::tls
