#include "common/store/shard_index.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace caldera::store {

std::string ShardIndexToJson(const ShardIndex& index) {
  const nlohmann::json json = {{"metadata", {{"total_size", index.total_size}}},
                               {"weight_map", index.weight_map}};
  constexpr auto kReplaceBadUtf8 = nlohmann::json::error_handler_t::replace;
  return json.dump(2, ' ', false, kReplaceBadUtf8) + "\n";
}

std::string ShardFileName(int number, int count) {
  return fmt::format("model-{:05}-of-{:05}.safetensors", number, count);
}

}  // namespace caldera::store
