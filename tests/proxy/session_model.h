#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace iron::proxy::test {

/// How one order of events went.
struct ModelRun {
  std::size_t steps = 0;
  std::string fault;  ///< empty: everything held
  std::string trail;  ///< the events, for a person
};

/// Sessions with some clients and origins under the random order of events that `seed` stands for:
/// bytes in pieces, ends, closes, readers that stop, time, the drain, the cut, reloads. Then
/// everybody ends, hours pass, and it is looked at what came of it:
///
/// * every answer is that of its request, whole or visibly cut, and nothing stands behind it;
/// * every request that an origin saw or that was answered has one record, of the right kind;
/// * what an origin got are whole requests, or one that ends with its connection;
/// * no session, place, connection or memory budget is left over.
///
/// Every fourth seed is a peaceful one: nobody breaks off and no time passes, so that every request
/// has to be answered in full. In another fourth no time passes either, so that nothing whole may
/// be refused as broken.
ModelRun run_model(std::uint64_t seed);

}  // namespace iron::proxy::test
