#include "proxy/dns/message.h"

#include <algorithm>
#include <array>

namespace iron::proxy::dns {
namespace {

constexpr std::size_t kHeaderBytes = 12;
constexpr std::size_t kMaxLabel = 63;
constexpr std::size_t kMaxName = 255;
constexpr std::uint16_t kClassIn = 1;
constexpr std::uint32_t kTtl = 60;

// RFC 1035 section 4.1.1 and RFC 2535 section 6.1.
constexpr std::uint16_t kResponse = 0x8000;
constexpr std::uint16_t kOpcodeMask = 0x7800;
constexpr std::uint16_t kAuthoritative = 0x0400;
constexpr std::uint16_t kTruncated = 0x0200;
constexpr std::uint16_t kRecursionDesired = 0x0100;
constexpr std::uint16_t kRecursionAvailable = 0x0080;
constexpr std::uint16_t kCheckingDisabled = 0x0010;
constexpr std::uint16_t kRcodeMask = 0x000f;
constexpr std::uint16_t kOpcodeQuery = 0;
constexpr std::uint16_t kOpcodeNotify = 4;

struct Header {
  std::uint16_t id = 0, flags = 0, questions = 0, answers = 0, authorities = 0, additionals = 0;
};

/// Reads a packet front to back; once something does not fit, `failed()` stays true and zeros come
/// out.
class Reader {
 public:
  explicit Reader(std::string_view packet) : packet_(packet) {}
  bool failed() const { return failed_; }
  bool at_end() const { return offset_ == packet_.size(); }

  std::uint8_t byte() {
    if (!need(1)) return 0;
    return static_cast<std::uint8_t>(packet_[offset_++]);
  }
  std::uint16_t u16() {
    const unsigned high = byte();
    return static_cast<std::uint16_t>(high << 8 | byte());
  }
  std::uint32_t u32() {
    const std::uint32_t high = u16();
    return high << 16 | u16();
  }
  std::string_view bytes(std::size_t count) {
    if (!need(count)) return {};
    const std::string_view result = packet_.substr(offset_, count);
    offset_ += count;
    return result;
  }
  Header header() {
    Header h;
    for (std::uint16_t* field :
         {&h.id, &h.flags, &h.questions, &h.answers, &h.authorities, &h.additionals}) {
      *field = u16();
    }
    return h;
  }
  /// Expands compression. A pointer must lead to an earlier place than the one before it, so loops
  /// end.
  std::string name() {
    std::string result;
    std::size_t place = offset_, earliest = offset_;
    bool jumped = false;
    while (true) {
      if (place >= packet_.size()) return fail();
      const auto length = static_cast<std::uint8_t>(packet_[place]);
      if ((length & 0xc0) == 0xc0) {
        if (place + 1 >= packet_.size()) return fail();
        const std::size_t target = static_cast<std::size_t>(length & 0x3f) << 8 |
                                   static_cast<std::uint8_t>(packet_[place + 1]);
        if (!jumped) offset_ = place + 2;
        jumped = true;
        if (target >= earliest) return fail();
        place = earliest = target;
        continue;
      }
      if (length > kMaxLabel || place + 1 + length > packet_.size()) return fail();
      result.append(packet_.substr(place, 1u + length));
      if (result.size() > kMaxName) return fail();
      place += 1u + length;
      if (length == 0) break;
    }
    if (!jumped) offset_ = place;
    return result;
  }

 private:
  bool need(std::size_t count) {
    failed_ = failed_ || packet_.size() - offset_ < count;
    return !failed_;
  }
  std::string fail() {
    failed_ = true;
    return {};
  }

  std::string_view packet_;
  std::size_t offset_ = 0;
  bool failed_ = false;
};

struct ResourceRecord {
  std::string name;
  std::uint16_t type = 0, klass = 0;
  std::uint32_t ttl = 0;
  std::string_view data;
};

ResourceRecord read_record(Reader& reader) {
  ResourceRecord record;
  record.name = reader.name();
  record.type = reader.u16();
  record.klass = reader.u16();
  record.ttl = reader.u32();
  record.data = reader.bytes(reader.u16());
  return record;
}

void put16(std::string& out, std::uint16_t value) {
  out += static_cast<char>(value >> 8);
  out += static_cast<char>(value & 0xff);
}

void put_header(std::string& out, const Header& header) {
  for (const std::uint16_t field : {header.id, header.flags, header.questions, header.answers,
                                    header.authorities, header.additionals}) {
    put16(out, field);
  }
}

void put_question(std::string& out, const Query& query) {
  out += query.name;
  put16(out, query.type);
  put16(out, query.klass);
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

void append_label_byte(std::string& out, char c) {
  constexpr std::string_view kEscaped = ".();\"@\\ ";
  const auto value = static_cast<std::uint8_t>(c);
  if (kEscaped.find(c) != kEscaped.npos) {
    out += '\\';
    out += c;
  } else if (value > ' ' && value < 0x7f) {
    out += lower(c);
  } else {
    out += '\\';
    out += static_cast<char>('0' + value / 100);
    out += static_cast<char>('0' + value / 10 % 10);
    out += static_cast<char>('0' + value % 10);
  }
}

std::uint16_t answer_flags(std::uint16_t query_flags, Rcode rcode) {
  const std::uint16_t copied = kOpcodeMask | kRecursionDesired | kCheckingDisabled;
  return static_cast<std::uint16_t>(kResponse | kAuthoritative | (query_flags & copied) |
                                    static_cast<std::uint16_t>(rcode));
}

/// Looks for the payload size of an OPT record (RFC 6891) and whether the sections are whole.
bool read_sections(Reader& reader, const Header& header, Query& query) {
  const int records = header.answers + header.authorities + header.additionals;
  for (int i = 0; i < records; ++i) {
    // Counts that promise more than is there are common and harmless.
    if (reader.at_end()) return true;
    const ResourceRecord record = read_record(reader);
    if (reader.failed()) return false;
    if (record.type == kTypeOpt) {
      query.udp_limit = std::clamp<std::size_t>(record.klass, 512, kUdpPayload);
    }
  }
  return true;
}

void take_address(LookupAnswer& answer, const ResourceRecord& record, std::uint16_t type) {
  if (record.type != type || record.klass != kClassIn) return;
  if (answer.addresses.size() >= kMaxAddresses) return;
  std::array<std::uint8_t, 16> bytes{};
  const std::size_t size = type == kTypeA ? 4 : 16;
  if (record.data.size() != size) {
    answer.malformed = true;
    return;
  }
  std::copy(record.data.begin(), record.data.end(), bytes.begin());
  answer.addresses.push_back(type == kTypeA
                                 ? policy::IpAddress::v4({bytes[0], bytes[1], bytes[2], bytes[3]})
                                 : policy::IpAddress::v6(bytes));
}

}  // namespace

std::string name_text(std::string_view wire) {
  std::string out;
  std::size_t place = 0;
  while (place < wire.size() && wire[place] != 0) {
    const auto length = static_cast<std::uint8_t>(wire[place++]);
    for (const char c : wire.substr(place, length)) append_label_byte(out, c);
    out += '.';
    place += length;
  }
  return out.empty() ? "." : out;
}

std::optional<std::string> wire_name(std::string_view text) {
  std::string out;
  if (text.ends_with('.')) text.remove_suffix(1);
  while (!text.empty()) {
    const std::size_t dot = std::min(text.find('.'), text.size());
    if (dot == 0 || dot > kMaxLabel) return std::nullopt;
    out += static_cast<char>(dot);
    out += text.substr(0, dot);
    if (dot + 1 == text.size()) return std::nullopt;
    text.remove_prefix(std::min(dot + 1, text.size()));
  }
  out += '\0';
  if (out.size() > kMaxName) return std::nullopt;
  return out;
}

bool same_name(std::string_view wire_a, std::string_view wire_b) {
  // Length bytes are below 64 and therefore never folded.
  return std::equal(wire_a.begin(), wire_a.end(), wire_b.begin(), wire_b.end(),
                    [](char a, char b) { return lower(a) == lower(b); });
}

ReceivedQuery parse_query(std::string_view packet) {
  ReceivedQuery received;
  Reader reader(packet);
  const Header header = reader.header();
  if (reader.failed() || (header.flags & kResponse) != 0) return received;
  Query& query = received.query;
  query.id = header.id;
  query.flags = header.flags;
  received.kind = ReceivedQuery::Kind::refuse;
  const int opcode = (header.flags & kOpcodeMask) >> 11;
  received.rcode = Rcode::not_implemented;
  if (opcode != kOpcodeQuery && opcode != kOpcodeNotify) return received;
  received.rcode = Rcode::format_error;
  if (header.questions != 1 || header.answers > 1 || header.authorities > 1 ||
      header.additionals > 2) {
    return received;
  }
  query.name = reader.name();
  query.type = reader.u16();
  query.klass = reader.u16();
  if (reader.failed() || !read_sections(reader, header, query)) return received;
  // Nothing is known of other classes, and ANY would ask for all of them (RFC 1035 section 3.2.5).
  received.rcode = Rcode::refused;
  if (query.klass != kClassIn) return received;
  received.kind = ReceivedQuery::Kind::answer;
  received.rcode = Rcode::no_error;
  return received;
}

std::string render_answer(const Query& query,
                          Rcode rcode,
                          std::span<const AnswerRecord> records,
                          std::size_t limit) {
  std::size_t size = kHeaderBytes + query.name.size() + 4;
  for (const AnswerRecord& record : records) size += query.name.size() + 10 + record.data.size();
  Header header{query.id, answer_flags(query.flags, rcode), 1, 0, 0, 0};
  if (size > limit) {
    header.flags |= kTruncated;
    records = {};
  }
  header.answers = static_cast<std::uint16_t>(records.size());
  std::string out;
  out.reserve(size);
  put_header(out, header);
  put_question(out, query);
  for (const AnswerRecord& record : records) {
    out += query.name;
    put16(out, record.type);
    put16(out, kClassIn);
    put16(out, 0);
    put16(out, static_cast<std::uint16_t>(kTtl));
    put16(out, static_cast<std::uint16_t>(record.data.size()));
    out += record.data;
  }
  return out;
}

std::string render_refusal(const Query& query, Rcode rcode) {
  // A malformed message is answered as an ordinary query; the opcode is kept where it was
  // understood.
  const bool understood = rcode == Rcode::refused;
  const std::uint16_t opcode = understood || rcode == Rcode::not_implemented ? kOpcodeMask : 0;
  const auto copied = static_cast<std::uint16_t>(opcode | kRecursionDesired | kCheckingDisabled);
  Header header{query.id, 0, 0, 0, 0, 0};
  header.flags = static_cast<std::uint16_t>(kResponse | (query.flags & copied) |
                                            static_cast<std::uint16_t>(rcode));
  header.questions = understood ? 1 : 0;
  std::string out;
  put_header(out, header);
  if (understood) put_question(out, query);
  return out;
}

std::string render_lookup(std::uint16_t id, std::string_view name, std::uint16_t type) {
  std::string out;
  put_header(out, {id, kRecursionDesired, 1, 0, 0, 1});
  out += name;
  put16(out, type);
  put16(out, kClassIn);
  out += '\0';  // OPT: the root name, then the payload size in place of a class
  put16(out, kTypeOpt);
  put16(out, kUdpPayload);
  out.append(6, '\0');
  return out;
}

std::optional<LookupAnswer> parse_lookup(std::string_view packet,
                                         std::uint16_t id,
                                         std::string_view name,
                                         std::uint16_t type) {
  Reader reader(packet);
  const Header header = reader.header();
  if (reader.failed() || header.id != id || (header.flags & kResponse) == 0) return std::nullopt;
  if (header.questions != 1 || !same_name(reader.name(), name)) return std::nullopt;
  if (reader.u16() != type || reader.u16() != kClassIn || reader.failed()) return std::nullopt;
  LookupAnswer answer;
  answer.rcode = header.flags & kRcodeMask;
  answer.truncated = (header.flags & kTruncated) != 0;
  if (answer.truncated) return answer;
  for (int i = 0; i < header.answers && !answer.malformed; ++i) {
    const ResourceRecord record = read_record(reader);
    answer.malformed = reader.failed();
    if (answer.malformed) break;
    take_address(answer, record, type);
    // With the highest bit set it counts as none (RFC 2181 section 8).
    answer.ttl = std::min(answer.ttl, record.ttl >> 31 != 0 ? 0 : record.ttl);
  }
  answer.lame = answer.rcode == 0 && header.answers == 0 && header.additionals == 0 &&
                (header.flags & (kAuthoritative | kRecursionAvailable)) == 0;
  return answer;
}

}  // namespace iron::proxy::dns
