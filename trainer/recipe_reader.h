// Typed reading of a TOML document that remembers which keys were read, so that the rest can be refused.
#pragma once
#include <toml++/toml.h>

#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/base/status.h"

namespace golf {

// Parses TOML, with or without a byte order mark; kUsage names source and line.
Result<toml::table> ParseToml(const std::string& file, const std::string& source);

// Sets `key=value` in a document. A component of the key that meets an array of tables names one by its `name`. A value
// that flags would take as a whole number is that number (kernels/base/numbers.h): 0100, 16e6.
Status ApplyOverride(toml::table& document, const std::string& assignment);

// The document as text, the same for any order and spelling it came in: keys sorted, plain values before tables, numbers in
// their shortest form.
std::string CanonicalToml(const toml::table& document);
// One value on one line.
std::string TomlValueText(const toml::node& value);

// One table of the document. Read() keeps the field as it is where the key is absent; the first error is kept.
class TableReader {
 public:
  // `path` is the dotted name of the table in messages, "" for the whole document. A null table reads nothing.
  TableReader(const toml::table* table, std::string path, std::string source)
      : table_(table), path_(std::move(path)), source_(std::move(source)) {}

  void Read(std::string_view key, bool& field);
  void Read(std::string_view key, uint32_t& field);
  void Read(std::string_view key, uint64_t& field);
  void Read(std::string_view key, float& field);
  void Read(std::string_view key, double& field);  // an integer will do
  void Read(std::string_view key, std::string& field);
  void Read(std::string_view key, std::vector<uint32_t>& field);
  void Read(std::string_view key, std::vector<std::string>& field);
  // One of `names`; the field becomes its index.
  void ReadChoice(std::string_view key, std::span<const std::string_view> names, size_t& field);

  // The table under `key`; reads nothing where it is absent.
  TableReader Table(std::string_view key);
  // The tables of the array under `key`.
  std::vector<TableReader> Tables(std::string_view key);

  // The first error, or the first key that was not read.
  Status Finish() const;

 private:
  const toml::node* Find(std::string_view key);
  std::string Full(std::string_view key) const;
  void Fail(std::string_view key, const std::string& what);
  uint64_t ReadUnsigned(std::string_view key, uint64_t highest, uint64_t unchanged);

  const toml::table* table_;
  std::string path_, source_;
  std::set<std::string, std::less<>> known_;
  Status status_;
};

}  // namespace golf
