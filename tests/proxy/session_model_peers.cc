#include "tests/proxy/session_model_peers.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace iron::proxy::test {
namespace {

/// The byte that bodies of the request to `path`, and of its answer, are made of.
char letter_of(std::string_view path) {
  return static_cast<char>('a' + std::stoul(std::string(path.substr(1))) % 26);
}

std::size_t body_size(Dice& dice) {
  if (dice.one_of(8)) return 12000;
  return dice.one_of(4) ? 0 : dice.below(40);
}

std::string hex(std::size_t number) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (; number > 0 || text.empty(); number /= 16) text.insert(text.begin(), kDigits[number % 16]);
  return text;
}

std::string chunks(Dice& dice, std::string_view body) {
  std::string out;
  while (!body.empty()) {
    const std::string_view chunk = body.substr(0, 1 + dice.below(body.size()));
    out.append(hex(chunk.size())).append("\r\n").append(chunk).append("\r\n");
    body.remove_prefix(chunk.size());
  }
  out += "0\r\n";
  if (dice.one_of(3)) out += "X-Trailer: t\r\n";
  return out + "\r\n";
}

/// Some bytes from the front of `left`: often all, often one.
std::string_view piece_of(Dice& dice, std::string_view left) {
  if (left.empty() || dice.one_of(3)) return left;
  return left.substr(0,
                     dice.one_of(3) ? 1 : 1 + dice.below(std::min<std::size_t>(left.size(), 200)));
}

void expect(bool good, const std::string& what) {
  if (!good) throw std::runtime_error(what);
}

bool is_made_of(std::string_view body, char letter) {
  return body.find_first_not_of(letter) == body.npos;
}

}  // namespace

ModelClient::ModelClient(
    Dice& dice, ScriptedPeer& peer, Entry entry, std::size_t& next_id, bool peaceful)
    : peer_(peer), peaceful_(peaceful) {
  if (entry == Entry::tunnel) {
    stream_ = "CONNECT 10.0.0.1:80 HTTP/1.1\r\nHost: 10.0.0.1:80\r\n\r\n";
    asked_.push_back({.path = "", .tunnel = true, .end = stream_.size()});
  }
  const std::size_t count = 1 + dice.below(4);
  for (std::size_t i = 0; i < count; ++i) add_request(dice, next_id);
}

void ModelClient::add_request(Dice& dice, std::size_t& next_id) {
  Asked asked;
  asked.path = "/" + std::to_string(next_id++);
  asked.begin = stream_.size();
  asked.old = dice.one_of(10);
  asked.refused = dice.one_of(10);
  const bool closes = dice.one_of(10), keeps = dice.one_of(2);
  asked.last = closes || (asked.old && !keeps);
  const std::size_t shape = dice.below(6);
  asked.head = shape == 1;
  static constexpr const char* kMethods[] = {"GET", "HEAD", "POST", "PUT", "GET", "PUT"};
  std::string head = std::string(kMethods[shape]) + " " + asked.path +
                     (asked.old ? " HTTP/1.0\r\n" : " HTTP/1.1\r\n") +
                     "Host: " + (asked.refused ? "10.0.0.9" : "10.0.0.1") + "\r\n";
  if (closes) head += "Connection: close\r\n";
  if (asked.old && keeps && !closes) head += "Connection: keep-alive\r\n";
  const bool chunked = shape == 3 && !asked.old;
  std::string body;
  if (shape == 2 || shape == 3 || shape == 5) {
    const std::string bytes(body_size(dice), letter_of(asked.path));
    head += chunked ? "Transfer-Encoding: chunked\r\n"
                    : "Content-Length: " + std::to_string(bytes.size()) + "\r\n";
    body = chunked ? chunks(dice, bytes) : bytes;
    if (shape == 5 && !asked.old) head += "Expect: 100-continue\r\n";
    asked.has_body = true;
  }
  asked.broken = !peaceful_ && dice.one_of(16);
  if (asked.broken) {
    asked.last = true;
    if (chunked && dice.one_of(2)) {
      body[0] = 'x';
    } else {
      head += "no field\r\n";
    }
  }
  stream_ += head + "\r\n" + body;
  asked.end = stream_.size();
  asked_.push_back(std::move(asked));
}

std::string ModelClient::describe() const {
  std::string text;
  for (const Asked& asked : asked_) {
    text += (asked.tunnel ? "tunnel" : asked.path) + (asked.refused ? " refused" : "") +
            (asked.broken ? " broken" : "") + (asked.last ? " last" : "") + ", ";
  }
  return text;
}

void ModelClient::finish() {
  peer_.finish();
  ended_ = true;
}

void ModelClient::close() {
  if (peer_.open()) sent_ -= peer_.unsent();
  peer_.close();
  ended_ = true;
}

std::string ModelClient::send(Dice& dice) {
  if (ended_) return {};
  const std::string piece(piece_of(dice, std::string_view(stream_).substr(sent_)));
  sent_ += piece.size();
  peer_.send(piece);
  return piece;
}

std::vector<Message> ModelClient::read_answers() const {
  std::vector<Message> answers;
  std::string_view rest = peer_.received();
  const bool ended = peer_.end() != ScriptedPeer::End::none;
  while (!rest.empty()) {
    const std::size_t index = answers.size();
    expect(index < asked_.size() && asked_[index].begin < sent_, "an answer to nothing");
    Message answer = read_message(rest, BodyRule::answer, ended);
    // What refuses a head that is broken has a body always.
    const bool may_have_body =
        answer.until_end && answer.field("X-Id").empty() && answer.field("Connection") == "close";
    const bool established = asked_[index].tunnel && answer.status() == 200;
    const bool bare = established || (asked_[index].head && !may_have_body);
    if (bare) answer = read_message(rest, BodyRule::none, ended);
    expect(answer.fault.empty(), "answer " + std::to_string(index) + ": " +
                                     std::string(answer.fault) + ": " + std::string(rest));
    if (answer.head_done && answer.status() < 200) {
      expect(!asked_[index].old, "an interim answer to an old client");
      rest.remove_prefix(answer.size);
      continue;
    }
    if (!answer.head_done && rest.starts_with("HTTP/1.1 1")) break;  // half an interim one
    const bool complete = answer.complete;
    const bool closes = answer.field("Connection") == "close" || answer.until_end;
    rest.remove_prefix(complete ? answer.size : rest.size());
    answers.push_back(std::move(answer));
    expect(rest.empty() || !closes, "bytes behind the last answer");
    expect(rest.empty() || !asked_[index].last, "bytes behind the answer to the last request");
    expect(complete || !peer_.open() || ended, "an answer that is not whole, and no end");
  }
  return answers;
}

void ModelClient::judge(const std::vector<RigRecord>& records, bool timeless) const {
  const std::vector<Message> answers = read_answers();
  expect(records.size() >= answers.size(), "an answer without a record");
  // One may have ended without a byte for the client, if that was there to read until the end.
  expect(records.size() <= asked_.size(), "more records than requests");
  expect(!peer_.open() || records.size() <= answers.size() + 1, "a record without an answer");
  for (std::size_t i = 0; i < records.size(); ++i) {
    const Asked& asked = asked_[i];
    expect(asked.begin < sent_, "a record of nothing");
    // A head that is cut off has its record too, which may not know the path.
    const bool malformed = records[i].rejected_by == "protocol";
    const bool cut = asked.end > sent_ || !timeless;
    expect(asked.broken || malformed ? asked.broken || cut : records[i].path == asked.path,
           "the record of " + records[i].path + " " + records[i].text() + " instead of one of " +
               asked.path);
    if (i < answers.size() && answers[i].head_done) judge_answer(asked, answers[i], records[i]);
  }
  if (peaceful_) judge_peace(answers);
}

void ModelClient::judge_answer(const Asked& asked,
                               const Message& answer,
                               const RigRecord& record) const {
  const std::string_view id = answer.field("X-Id");
  const std::string what = "answer to " + asked.path + ": ";
  expect(answer.status() == record.status, what + "recorded as " + record.text());
  if (asked.tunnel) return;
  const bool own = id.empty();
  expect(own == (record.action != "allow" && record.response_bytes == 0),
         what + "recorded as " + record.text());
  if (own) return;
  expect(id == asked.path, what + "that of " + std::string(id));
  expect(!asked.refused, what + "of a request that is refused");
  expect(is_made_of(answer.body, letter_of(asked.path)), what + "bytes of another");
  const auto size = static_cast<std::int64_t>(answer.body.size());
  const bool sure = answer.complete && !answer.until_end;
  expect(sure ? record.response_bytes == size : record.response_bytes >= size,
         what + "of " + std::to_string(size) + " bytes recorded as " + record.text());
}

/// Nobody broke off: all are answered, up to the last, and by the origin where policy allows it.
void ModelClient::judge_peace(const std::vector<Message>& answers) const {
  for (std::size_t i = 0; i < asked_.size(); ++i) {
    expect(i < answers.size(), "no answer to " + asked_[i].path);
    expect(answers[i].complete, "no whole answer to " + asked_[i].path);
    const bool own = asked_[i].refused || asked_[i].tunnel;
    expect(answers[i].field("X-Id").empty() == own, "not answered by the origin");
    // A body may stay unread behind a refusal.
    const bool unread = asked_[i].refused && asked_[i].has_body;
    if (asked_[i].last || answers[i].until_end) return;
    if (unread && answers[i].field("Connection") == "close") return;
    expect(answers[i].field("Connection") != "close", "closed behind " + asked_[i].path);
  }
}

bool ModelOrigin::idles() const {
  return peer_.open() && peer_.reads() && peer_.end() == ScriptedPeer::End::none && !has_answer() &&
         !answered_ && read_ == peer_.received().size() && peer_.unsent() == 0;
}

void ModelOrigin::look(Dice& dice) {
  if (std::exchange(seen_, peer_.received().size()) == peer_.received().size()) return;
  while (true) {
    const Message request =
        read_message(std::string_view(peer_.received()).substr(read_), BodyRule::request, false);
    if (!request.head_done) return;
    expect(request.fault.empty(), "a request upstream: " + std::string(request.fault));
    // Early answers are for those who can do with them.
    const bool answers = request.complete || (!peaceful_ && dice.one_of(4));
    if (answers && !std::exchange(answered_, true)) {
      answer(dice, request);
      if (!request.complete && dice.one_of(2)) peer_.read(false);  // it has seen enough
    }
    if (!request.complete) return;
    read_ += request.size;
    answered_ = false;
    const std::size_t path = request.start.find(' ') + 1;
    paths_.push_back(request.start.substr(path, request.start.find(' ', path) - path));
    expect(is_made_of(request.body, letter_of(paths_.back())), "a body with bytes of another");
  }
}

void ModelOrigin::answer(Dice& dice, const Message& request) {
  const std::size_t begin = request.start.find(' ') + 1;
  const std::string path = request.start.substr(begin, request.start.find(' ', begin) - begin);
  const bool head = request.start.starts_with("HEAD ");
  const std::string body(body_size(dice), letter_of(path));
  const std::string fields = "X-Id: " + path + "\r\n";
  if (dice.one_of(8)) pending_ += "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n";
  switch (dice.below(peaceful_ ? 6 : 12)) {
    case 0:
      pending_ += "HTTP/1.1 204 No Content\r\n" + fields + "\r\n";
      return;
    case 1:
      pending_ += "HTTP/1.1 304 Not Modified\r\n" + fields + "\r\n";
      return;
    case 2:
      pending_ += "HTTP/1.1 200 OK\r\n" + fields + "Transfer-Encoding: chunked\r\n\r\n";
      if (!head) pending_ += chunks(dice, body);
      return;
    case 3:
      pending_ += "HTTP/1.1 200 OK\r\n" + fields + "\r\n" + (head ? "" : body);
      finishes_ = !head;
      return;
    case 6:  // too short
      pending_ +=
          "HTTP/1.1 200 OK\r\n" + fields + "Content-Length: 50\r\n\r\n" + body.substr(0, 49);
      finishes_ = true;
      return;
    case 7:
      pending_ += "HTTP/1.1 200 OK\r\n" + fields + "Transfer-Encoding: chunked\r\n\r\n";
      pending_ += "1\r\n" + std::string(1, letter_of(path)) + "\r\nbroken\r\n";
      return;
    case 8:
      pending_ += "nonsense\r\n\r\n";
      return;
    case 9:  // more than was asked for; what comes later is the answer to another request
      at_once_ = true;
      pending_ += "HTTP/1.1 200 OK\r\n" + fields + "Content-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n";
      pending_ += "X-Id: stray\r\nContent-Length: 1\r\n\r\n!";
      return;
    default:
      pending_ += "HTTP/1.1 200 OK\r\n" + fields;
      if (dice.one_of(8)) pending_ += "Connection: close\r\n";
      pending_ += "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n";
      if (!head) pending_ += body;
  }
}

std::string ModelOrigin::send(Dice& dice) {
  const bool all = std::exchange(at_once_, false);
  const std::string piece(all ? std::string_view(pending_) : piece_of(dice, pending_));
  pending_.erase(0, piece.size());
  peer_.send(piece);
  if (pending_.empty() && std::exchange(finishes_, false)) {
    peer_.finish();
    return piece + "[end]";
  }
  return piece;
}

std::vector<std::string> ModelOrigin::judge() {
  const std::string_view rest = std::string_view(peer_.received()).substr(read_);
  const Message request = read_message(rest, BodyRule::request, true);
  expect(request.fault.empty(), "a request upstream: " + std::string(request.fault));
  std::vector<std::string> paths = paths_;
  if (request.head_done) {
    const std::size_t path = request.start.find(' ') + 1;
    paths.push_back(request.start.substr(path, request.start.find(' ', path) - path));
    expect(is_made_of(request.body, letter_of(paths.back())), "a body with bytes of another");
  }
  return paths;
}

}  // namespace iron::proxy::test
