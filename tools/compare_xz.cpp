#include "tools/compare_xz.h"

#include <fmt/format.h>
#include <lzma.h>

#include <new>

#include "kernels/base/check.h"
#include "kernels/threads.h"
#include "tools/cli.h"

namespace golf {
namespace {

uint64_t XzBytes(const std::vector<uint8_t>& content) {
  std::vector<uint8_t> file(lzma_stream_buffer_bound(content.size()));
  size_t bytes = 0;
  const lzma_ret result =
      lzma_easy_buffer_encode(9 | LZMA_PRESET_EXTREME, LZMA_CHECK_CRC32, nullptr, content.data(),
                              content.size(), file.data(), &bytes, file.size());
  if (result == LZMA_MEM_ERROR) throw std::bad_alloc();
  GOLF_CHECK(result == LZMA_OK);
  return bytes;
}

}  // namespace

XzSizes CompareXz(const Artifact& artifact, const SizeReport& report) {
  const std::vector<EncodedTensor>& tensors = artifact.encoded();
  std::vector<uint8_t> all;
  std::vector<std::vector<uint8_t>> contents;
  for (const EncodedTensor& tensor : tensors) {
    contents.push_back(tensor.data);
    contents.back().insert(contents.back().end(), tensor.scales.begin(), tensor.scales.end());
    all.insert(all.end(), contents.back().begin(), contents.back().end());
  }
  contents.push_back(std::move(all));
  std::vector<uint64_t> bytes(contents.size());
  ParallelTasks(contents.size(), true, [&](size_t i) {
    const size_t at = contents.size() - 1 - i;  // all in one takes longest: first
    bytes[at] = XzBytes(contents[at]);
  });

  XzSizes sizes{{}, bytes.back()};
  for (const SizeGroup& group : report.groups) {
    XzSizes::Group compared{group.name, group.bytes, 0};
    for (size_t i = 0; i < tensors.size(); ++i) {
      if (GroupName(tensors[i].name) == group.name) compared.xz += bytes[i];
    }
    sizes.groups.push_back(std::move(compared));
  }
  return sizes;
}

void PrintXz(const XzSizes& sizes) {
  Print("\n{:<42}{:>14}{:>14}\n", "group", "stored", "xz -9e");
  XzSizes::Group sum{"each tensor by itself", 0, 0};
  for (const XzSizes::Group& g : sizes.groups) {
    Print("{:<42}{:>14}{:>14}\n", g.name, Grouped(g.stored), Grouped(g.xz));
    sum.stored += g.stored;
    sum.xz += g.xz;
  }
  Print("{:<42}{:>14}{:>14}\n", sum.name, Grouped(sum.stored), Grouped(sum.xz));
  Print("{:<42}{:>14}{:>14}\n", "all in one", "", Grouped(sizes.together));
}

nlohmann::ordered_json ToJson(const XzSizes& sizes) {
  nlohmann::ordered_json json{{"all_in_one_bytes", sizes.together}};
  json["groups"] = nlohmann::ordered_json::array();
  for (const XzSizes::Group& g : sizes.groups)
    json["groups"].push_back({{"name", g.name}, {"bytes", g.stored}, {"xz_bytes", g.xz}});
  return json;
}

}  // namespace golf
