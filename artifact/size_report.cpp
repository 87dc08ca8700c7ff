#include "artifact/size_report.h"

#include <algorithm>
#include <map>

#include "artifact/artifact_layout.h"

namespace golf {
namespace {

// Hands out a stream's compressed bytes in proportion to elements. Rounding the running total keeps the sum exact.
class StreamShares {
 public:
  explicit StreamShares(const std::vector<ArtifactStream>& streams)
      : streams_(streams), taken_(streams.size()) {}

  uint64_t Take(size_t stream, uint64_t elements) {
    const uint64_t before = BytesAt(stream, taken_[stream]);
    taken_[stream] += elements;
    return BytesAt(stream, taken_[stream]) - before;
  }

 private:
  uint64_t BytesAt(size_t stream, uint64_t elements) const {
    const ArtifactStream& s = streams_[stream];
    return static_cast<uint64_t>(static_cast<__uint128_t>(s.encoded_bytes) * elements /
                                 s.element_count);
  }

  const std::vector<ArtifactStream>& streams_;
  std::vector<uint64_t> taken_;
};

bool IsNumber(const std::string& part) {
  return !part.empty() &&
         std::all_of(part.begin(), part.end(), [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

std::string GroupName(const std::string& tensor_name) {
  std::string group;
  for (size_t begin = 0; begin <= tensor_name.size();) {
    const size_t end = std::min(tensor_name.find('.', begin), tensor_name.size());
    const std::string part = tensor_name.substr(begin, end - begin);
    if (begin > 0) group += '.';
    group += IsNumber(part) ? "*" : part;
    begin = end + 1;
  }
  return group;
}

SizeReport MakeSizeReport(const Artifact& artifact) {
  SizeReport report{};
  report.total_bytes = artifact.file_bytes();
  report.description_bytes = artifact.description_bytes();
  report.envelope_bytes = sizeof(ArtifactHeader) + kContentHashBytes;

  StreamShares shares(artifact.streams());
  std::map<std::string, SizeGroup> groups;
  for (const ArtifactTensor& t : artifact.table()) {
    TensorSize size{t.name, ToString(t.encoding), t.shape, t.element_count, 0, 0, false};
    size.data_is_exact = artifact.streams()[t.data_stream].element_count == t.element_count;
    size.data_bytes = shares.Take(t.data_stream, t.element_count);
    if (const size_t scales = t.encoding.scale_count(t.shape); scales > 0) {
      size.scale_bytes = shares.Take(t.scale_stream, scales);
    }
    SizeGroup& group =
        groups.try_emplace(GroupName(t.name), SizeGroup{GroupName(t.name), 0, 0, 0}).first->second;
    group.tensors += 1;
    group.elements += size.elements;
    group.bytes += size.bytes();
    report.tensors.push_back(std::move(size));
  }
  for (auto& [name, group] : groups) report.groups.push_back(std::move(group));
  std::stable_sort(report.groups.begin(), report.groups.end(),
                   [](const SizeGroup& a, const SizeGroup& b) { return a.bytes > b.bytes; });
  return report;
}

}  // namespace golf
