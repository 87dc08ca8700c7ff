#include "trainer/recipe_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <sstream>

#include "kernels/base/numbers.h"

namespace golf {
namespace {

// Where the string that opens at `at` ends: behind its last quote, or at the end of the text.
size_t EndOfString(std::string_view text, size_t at) {
  const char quote = text[at];
  const std::string three(3, quote);
  const bool long_form = text.substr(at).starts_with(three);
  const std::string_view closing = long_form ? std::string_view(three) : text.substr(at, 1);
  for (size_t i = at + closing.size(); i < text.size(); ++i) {
    if (text[i] == '\\' && quote == '"') {
      ++i;
    } else if (text.substr(i).starts_with(closing)) {
      i += closing.size();
      // Two more quotes may belong to the contents.
      for (int more = 0; long_form && more < 2 && i < text.size() && text[i] == quote; ++more) ++i;
      return i;
    }
  }
  return text.size();
}

// The text with the contents of comments and strings replaced by spaces: what is left are keys, numbers and punctuation.
std::string WithoutCommentsAndStrings(std::string_view text) {
  std::string left(text);
  const auto blank = [&left](size_t from, size_t to) {
    for (size_t i = from; i < to; ++i) {
      if (left[i] != '\n') left[i] = ' ';
    }
  };
  for (size_t i = 0; i < text.size();) {
    size_t end = i + 1;
    if (text[i] == '#') {
      end = std::min(text.find('\n', i), text.size());
      blank(i, end);
    } else if (text[i] == '"' || text[i] == '\'') {
      end = EndOfString(text, i);
      blank(i, end);
    }
    i = end;
  }
  return left;
}

// toml++ 3.3 runs into undefined behaviour on some characters beyond ASCII where it expects white space or a key, so
// that they are allowed in comments and strings only. `left` is WithoutCommentsAndStrings(). The line of the first, or 0.
size_t LineBeyondAscii(std::string_view left) {
  size_t line = 1;
  for (const char c : left) {
    if (c == '\n') ++line;
    if ((static_cast<unsigned char>(c) & 0x80U) != 0) return line;
  }
  return 0;
}

// Tables nest as deep as a dotted key is long, and the library takes one apart by recursion: a long enough key would
// overflow the stack. Values it limits to 256 levels, each of which may have a key of its own.
constexpr int kMaxDots = 16;

// The line of the first stretch between two delimiters with too many dots to be a key of ours, or 0.
size_t LineOfEndlessKey(std::string_view left) {
  size_t line = 1;
  int dots = 0;
  for (const char c : left) {
    if (c == '.' && ++dots > kMaxDots) return line;
    if (c == '\n' || c == '=' || c == ',' || c == '{' || c == '[') dots = 0;
    if (c == '\n') ++line;
  }
  return 0;
}

// The value of an assignment as a node below the key "value": a number as flags take it (0100 is 100, 16e6 an integer), a
// TOML value, or else a string.
toml::table ParseValue(const std::string& text) {
  const bool fraction = text.find('.') != std::string::npos;  // 1.0 stays a real number
  if (const std::optional<uint64_t> count = ParseCount(text);
      count && !fraction && *count <= std::numeric_limits<int64_t>::max()) {
    return toml::table{{"value", static_cast<int64_t>(*count)}};
  }
  const std::string left = WithoutCommentsAndStrings(text);
  if (LineBeyondAscii(left) > 0 || LineOfEndlessKey(left) > 0) return toml::table{{"value", text}};
  try {
    return toml::parse("value = " + text);
  } catch (const toml::parse_error&) {  // no TOML value
    if (const std::optional<double> real = ParseReal(text)) return toml::table{{"value", *real}};
    return toml::table{{"value", text}};
  }
}

// A value for a message.
std::string Found(const toml::node& node) { return Shortened(TomlValueText(node)); }

void AppendTable(const toml::table& table, const std::string& path, std::string& out) {
  const auto heading = [&](std::string_view key) {
    return path.empty() ? std::string(key) : fmt::format("{}.{}", path, key);
  };
  for (const auto& [key, node] : table) {
    if (node.is_table() || node.is_array_of_tables()) continue;
    out += fmt::format("{} = {}\n", key.str(), TomlValueText(node));
  }
  for (const auto& [key, node] : table) {
    if (const toml::table* child = node.as_table()) {
      out += fmt::format("\n[{}]\n", heading(key.str()));
      AppendTable(*child, heading(key.str()), out);
    } else if (node.is_array_of_tables()) {
      for (const toml::node& element : *node.as_array()) {
        out += fmt::format("\n[[{}]]\n", heading(key.str()));
        AppendTable(*element.as_table(), heading(key.str()), out);
      }
    }
  }
}

// The child of a table or of an array of tables; null if there is none.
toml::node* Child(toml::node& parent, std::string_view key) {
  if (toml::table* table = parent.as_table()) return table->get(key);
  if (toml::array* array = parent.as_array()) {
    for (toml::node& element : *array) {
      const toml::table* table = element.as_table();
      if (table != nullptr && table->at_path("name").value_or(std::string_view()) == key)
        return &element;
    }
  }
  return nullptr;
}

}  // namespace

Result<toml::table> ParseToml(const std::string& file, const std::string& source) {
  std::string_view text = file;
  if (constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF"; text.starts_with(kByteOrderMark))
    text.remove_prefix(kByteOrderMark.size());
  const std::string left = WithoutCommentsAndStrings(text);
  if (const size_t line = LineOfEndlessKey(left); line > 0) {
    return Status(Code::kUsage, fmt::format("recipe '{}' line {}: more than {} dots in a key",
                                            source, line, kMaxDots));
  }
  if (const size_t line = LineBeyondAscii(left); line > 0) {
    return Status(
        Code::kUsage,
        fmt::format("recipe '{}' line {}: a character beyond ASCII outside comments and strings",
                    source, line));
  }
  try {
    return toml::parse(text, source);
  } catch (const toml::parse_error& error) {
    return Status(Code::kUsage, fmt::format("recipe '{}' line {}: {}", source,
                                            error.source().begin.line, error.description()));
  }
}

Status ApplyOverride(toml::table& document, const std::string& assignment) {
  const size_t equals = assignment.find('=');
  if (equals == std::string::npos || equals == 0) {
    return {Code::kUsage, fmt::format("--set {}: expected key=value", assignment)};
  }
  if (std::count(assignment.begin(), assignment.begin() + static_cast<ptrdiff_t>(equals), '.') >
      kMaxDots) {
    return {Code::kUsage,
            fmt::format("--set {}: more than {} dots in a key", Shortened(assignment), kMaxDots)};
  }
  toml::node* node = &document;
  std::string_view key = std::string_view(assignment).substr(0, equals);
  for (size_t dot; (dot = key.find('.')) != std::string_view::npos; key.remove_prefix(dot + 1)) {
    const std::string_view part = key.substr(0, dot);
    toml::node* child = Child(*node, part);
    if (child == nullptr && node->is_table()) {
      child = &node->as_table()->insert_or_assign(part, toml::table()).first->second;
    }
    if (child == nullptr || !(child->is_table() || child->is_array_of_tables())) {
      return {Code::kUsage,
              fmt::format("--set {}: there is no '{}' to set it in", assignment, part)};
    }
    node = child;
  }
  if (!node->is_table() || key.empty()) {
    return {Code::kUsage, fmt::format("--set {}: the key does not name a value", assignment)};
  }
  toml::table value = ParseValue(assignment.substr(equals + 1));
  value["value"].visit(
      [&](auto& parsed) { node->as_table()->insert_or_assign(key, std::move(parsed)); });
  return {};
}

std::string TomlValueText(const toml::node& value) {
  if (const toml::array* array = value.as_array()) {
    std::string text;
    for (const toml::node& element : *array) {
      text += fmt::format("{}{}", text.empty() ? "" : ", ", TomlValueText(element));
    }
    return fmt::format("[{}]", text);
  }
  if (const toml::value<double>* number = value.as_floating_point()) {
    std::string text = fmt::format("{}", number->get());  // the shortest that reads back
    if (text.find_first_of(".en") == std::string::npos)
      text += ".0";  // an integer would be another type
    return text;
  }
  std::ostringstream out;
  value.visit([&out](const auto& plain) { out << plain; });
  return out.str();
}

std::string CanonicalToml(const toml::table& document) {
  std::string text;
  AppendTable(document, "", text);
  return text;
}

std::string TableReader::Full(std::string_view key) const {
  return path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key);
}

void TableReader::Fail(std::string_view key, const std::string& what) {
  if (status_.ok())
    status_ = {Code::kUsage, fmt::format("recipe '{}': {}: {}", source_, Full(key), what)};
}

const toml::node* TableReader::Find(std::string_view key) {
  known_.emplace(key);
  return table_ == nullptr ? nullptr : table_->get(key);
}

uint64_t TableReader::ReadUnsigned(std::string_view key, uint64_t highest, uint64_t unchanged) {
  const toml::node* node = Find(key);
  if (node == nullptr) return unchanged;
  const toml::value<int64_t>* value = node->as_integer();
  if (value == nullptr || value->get() < 0 || static_cast<uint64_t>(value->get()) > highest) {
    Fail(key, fmt::format("expected an integer from 0 to {}, found {}", highest, Found(*node)));
    return unchanged;
  }
  return static_cast<uint64_t>(value->get());
}

void TableReader::Read(std::string_view key, uint32_t& field) {
  field = static_cast<uint32_t>(ReadUnsigned(key, std::numeric_limits<uint32_t>::max(), field));
}

void TableReader::Read(std::string_view key, uint64_t& field) {
  field = ReadUnsigned(key, std::numeric_limits<int64_t>::max(), field);
}

void TableReader::Read(std::string_view key, bool& field) {
  const toml::node* node = Find(key);
  if (node == nullptr) return;
  if (!node->is_boolean()) return Fail(key, "expected true or false, found " + Found(*node));
  field = node->as_boolean()->get();
}

void TableReader::Read(std::string_view key, double& field) {
  const toml::node* node = Find(key);
  if (node == nullptr) return;
  if (!node->is_number()) return Fail(key, "expected a number, found " + Found(*node));
  // Not value<double>(): it gives nothing for integers that a double does not hold exactly.
  const toml::value<int64_t>* integer = node->as_integer();
  const double value =
      integer != nullptr ? static_cast<double>(integer->get()) : node->as_floating_point()->get();
  if (!std::isfinite(value)) return Fail(key, "expected a finite number, found " + Found(*node));
  field = value;
}

void TableReader::Read(std::string_view key, float& field) {
  double value = field;
  Read(key, value);
  if (std::abs(value) > std::numeric_limits<float>::max())
    return Fail(key, fmt::format("expected a number of 32 bits, found {}", value));
  field = static_cast<float>(value);
}

void TableReader::Read(std::string_view key, std::string& field) {
  const toml::node* node = Find(key);
  if (node == nullptr) return;
  if (!node->is_string()) return Fail(key, "expected a string, found " + Found(*node));
  field = node->as_string()->get();
}

void TableReader::Read(std::string_view key, std::vector<uint32_t>& field) {
  const toml::node* node = Find(key);
  if (node == nullptr) return;
  const toml::array* array = node->as_array();
  std::vector<uint32_t> read;
  for (size_t i = 0; array != nullptr && i < array->size(); ++i) {
    const std::optional<uint32_t> value = array->get(i)->value_exact<int64_t>().has_value()
                                              ? array->get(i)->value<uint32_t>()
                                              : std::nullopt;
    if (value) read.push_back(*value);
  }
  if (array == nullptr || read.size() != array->size()) {
    return Fail(key, "expected a list of integers, found " + Found(*node));
  }
  field = std::move(read);
}

void TableReader::Read(std::string_view key, std::vector<std::string>& field) {
  const toml::node* node = Find(key);
  if (node == nullptr) return;
  const toml::array* array = node->as_array();
  std::vector<std::string> read;
  for (size_t i = 0; array != nullptr && i < array->size(); ++i) {
    const std::optional<std::string> value = array->get(i)->value_exact<std::string>();
    if (value) read.push_back(*value);
  }
  if (array == nullptr || read.size() != array->size()) {
    return Fail(key, "expected a list of strings, found " + Found(*node));
  }
  field = std::move(read);
}

void TableReader::ReadChoice(std::string_view key, std::span<const std::string_view> names,
                             size_t& field) {
  std::string name(names[field]);
  Read(key, name);
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) {
    return Fail(key, fmt::format("expected one of {}, found '{}'", fmt::join(names, ", "),
                                 Shortened(name)));
  }
  field = static_cast<size_t>(found - names.begin());
}

TableReader TableReader::Table(std::string_view key) {
  const toml::node* node = Find(key);
  if (node != nullptr && !node->is_table()) Fail(key, "expected a table");
  return {node == nullptr ? nullptr : node->as_table(), Full(key), source_};
}

std::vector<TableReader> TableReader::Tables(std::string_view key) {
  std::vector<TableReader> tables;
  const toml::node* node = Find(key);
  if (node == nullptr) return tables;
  if (!node->is_array_of_tables()) {
    Fail(key, "expected tables in double brackets");
    return tables;
  }
  for (const toml::node& element : *node->as_array()) {
    const toml::table* table = element.as_table();
    const auto name = table->at_path("name").value_or(std::to_string(tables.size()));
    tables.emplace_back(table, fmt::format("{}.{}", Full(key), name), source_);
  }
  return tables;
}

Status TableReader::Finish() const {
  if (!status_.ok() || table_ == nullptr) return status_;
  for (const auto& [key, node] : *table_) {
    if (known_.contains(key.str())) continue;
    std::string where;
    const toml::source_region& region = node.source();
    if (region.path) where = fmt::format(" (line {})", region.begin.line);
    return {Code::kUsage, fmt::format("recipe '{}': unknown key '{}'{}; known here: {}", source_,
                                      Full(key.str()), where, fmt::join(known_, ", "))};
  }
  return {};
}

}  // namespace golf
