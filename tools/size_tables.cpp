#include "tools/size_tables.h"

#include <fmt/format.h>

#include <memory>
#include <unordered_map>

#include "tools/cli.h"

namespace golf {
namespace {

struct Node {
  std::string name;
  uint64_t elements = 0, bytes = 0;
  std::string detail;
  std::vector<std::unique_ptr<Node>> children;  // in order of first appearance
  std::unordered_map<std::string, Node*> by_name;
};

Node& Child(Node& parent, const std::string& name) {
  Node*& child = parent.by_name[name];
  if (child == nullptr) {
    parent.children.push_back(std::make_unique<Node>());
    child = parent.children.back().get();
    child->name = name;
  }
  return *child;
}

void Insert(Node& root, const TreeLeaf& leaf) {
  Node* node = &root;
  for (size_t begin = 0; begin <= leaf.name.size();) {
    const size_t end = std::min(leaf.name.find('.', begin), leaf.name.size());
    node = &Child(*node, leaf.name.substr(begin, end - begin));
    node->elements += leaf.elements;
    node->bytes += leaf.bytes;
    begin = end + 1;
  }
  node->detail = leaf.detail;
}

void PrintNode(const Node& node, int depth) {
  // A level with one child and no siblings of its kind says nothing: join them.
  const Node* at = &node;
  std::string name = node.name;
  while (at->children.size() == 1 && at->detail.empty()) {
    at = at->children.front().get();
    name += '.' + at->name;
  }
  Print("{:<44}{:>13}{:>14}  {}\n", std::string(2 * depth, ' ') + name, Grouped(at->elements),
        Grouped(at->bytes), at->detail);
  for (const auto& child : at->children) PrintNode(*child, depth + 1);
}

double BitsPerWeight(uint64_t bytes, uint64_t elements) {
  return 8.0 * static_cast<double>(bytes) / static_cast<double>(elements);
}

void PrintLine(const std::string& name, uint64_t bytes) {
  Print("{:<65}{:>14}\n", name, Grouped(bytes));
}

}  // namespace

std::string ShapeText(std::span<const uint32_t> shape) {
  return shape.empty() ? "scalar" : fmt::format("{}", fmt::join(shape, " x "));
}

std::vector<TreeLeaf> LeavesOf(const SizeReport& report) {
  std::vector<TreeLeaf> leaves;
  for (const TensorSize& t : report.tensors) {
    leaves.push_back({t.name, ShapeText(t.shape) + ", " + t.encoding, t.elements, t.bytes()});
  }
  return leaves;
}

void PrintTree(const std::vector<TreeLeaf>& leaves) {
  Node root;
  for (const TreeLeaf& leaf : leaves) Insert(root, leaf);
  Print("{:<44}{:>13}{:>14}\n", "tensor", "weights", "bytes");
  for (const auto& child : root.children) PrintNode(*child, 0);
}

void PrintGroups(const SizeReport& report) {
  Print("{:<42}{:>8}{:>15}{:>14}  bits/weight\n", "group", "tensors", "weights", "bytes");
  for (const SizeGroup& g : report.groups) {
    Print("{:<42}{:>8}{:>15}{:>14}{:>9.2f}\n", g.name, g.tensors, Grouped(g.elements),
          Grouped(g.bytes), BitsPerWeight(g.bytes, g.elements));
  }
  PrintLine("description: network, tensor table, tokenizer's byte table", report.description_bytes);
  PrintLine("header and content hash", report.envelope_bytes);
}

void PrintBudget(const Budget& budget) {
  PrintLine("artifact", budget.artifact_bytes);
  for (const CodeFile& file : budget.code) PrintLine("code " + file.path, file.bytes);
  if (!budget.code.empty()) PrintLine("total", budget.total_bytes());
  if (budget.max_bytes == 0) return;
  PrintLine("budget", budget.max_bytes);
  if (budget.total_bytes() <= budget.max_bytes) {
    PrintLine("to spare", budget.max_bytes - budget.total_bytes());
  } else {
    PrintLine("over", budget.total_bytes() - budget.max_bytes);
  }
}

nlohmann::ordered_json ToJson(const SizeReport& report) {
  nlohmann::ordered_json json{{"artifact_bytes", report.total_bytes},
                              {"description_bytes", report.description_bytes},
                              {"envelope_bytes", report.envelope_bytes}};
  json["groups"] = nlohmann::ordered_json::array();
  for (const SizeGroup& g : report.groups) {
    json["groups"].push_back(
        {{"name", g.name}, {"tensors", g.tensors}, {"weights", g.elements}, {"bytes", g.bytes}});
  }
  json["tensors"] = nlohmann::ordered_json::array();
  for (const TensorSize& t : report.tensors) {
    json["tensors"].push_back({{"name", t.name},
                               {"shape", t.shape},
                               {"encoding", t.encoding},
                               {"weights", t.elements},
                               {"bytes", t.bytes()},
                               {"data_bytes", t.data_bytes},
                               {"scale_bytes", t.scale_bytes},
                               {"data_is_exact", t.data_is_exact}});
  }
  return json;
}

void AddBudget(const Budget& budget, nlohmann::ordered_json& json) {
  json["code"] = nlohmann::ordered_json::array();
  for (const CodeFile& file : budget.code)
    json["code"].push_back({{"file", file.path}, {"bytes", file.bytes}});
  json["code_bytes"] = budget.code_bytes();
  json["total_bytes"] = budget.total_bytes();
  if (budget.max_bytes == 0) return;
  json["max_bytes"] = budget.max_bytes;
  json["fits"] = budget.Check().ok();
}

}  // namespace golf
