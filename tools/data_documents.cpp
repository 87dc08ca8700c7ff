#include "tools/data_documents.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "artifact/file.h"
#include "artifact/file_kind.h"

namespace golf {
namespace {

constexpr std::string_view kSpaces = " \t\r\n\v\f";
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr size_t kBegin = 65536;  // bytes of a file that tell what it is

void Strip(std::string& text) {
  const size_t end = text.find_last_not_of(kSpaces);
  text.erase(end == std::string::npos ? 0 : end + 1);
  text.erase(0, text.find_first_not_of(kSpaces));
}

bool IsBlank(const std::string& line) {
  return line.find_first_not_of(kSpaces) == std::string::npos;
}

bool IsNamedJsonLines(const std::string& path) {
  std::string extension = std::filesystem::path(path).extension().string();
  for (char& c : extension) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return extension == ".jsonl" || extension == ".ndjson";
}

// UTF-8 without control characters, as far as `begin` goes.
bool IsPlainText(std::string begin) {
  if (begin.size() == kBegin) {  // the last character may be cut
    while (!begin.empty() && (begin.back() & 0xC0) == 0x80) begin.pop_back();
    if (!begin.empty()) begin.pop_back();
  }
  return IsUtf8(begin) && std::ranges::none_of(begin, [](unsigned char c) { return c < '\t'; });
}

// `path` and `begin` are the file's name and first bytes. A text may begin with the letters that tell another kind of
// file: "GOLF", say. Where in a text a line is damaged is for the reader to say.
Status CheckIsText(const std::string& path, const std::string& begin) {
  const FileKind kind = KindOf(AsBytes(begin));
  if (kind == FileKind::kUnknown || kind == FileKind::kText || kind == FileKind::kJson) return {};
  if (kind != FileKind::kGitLfsPointer && IsPlainText(begin)) return {};
  return {Code::kBadData, path + ": " + NotA("a text", AsBytes(begin)).message()};
}

Result<DocumentFormat> FormatByContent(const std::string& path, std::string_view begin) {
  if (begin.starts_with(kByteOrderMark)) begin.remove_prefix(kByteOrderMark.size());
  const auto next = [&] {  // the next letter that is no white space, or 0
    begin.remove_prefix(std::min(begin.find_first_not_of(kSpaces), begin.size()));
    const char c = begin.empty() ? '\0' : begin.front();
    if (!begin.empty()) begin.remove_prefix(1);
    return c;
  };
  const char first = next(), second = next();
  if (first == '[' && second == '{') {
    return Status(Code::kBadData, path +
                                      ": is a JSON array; expected one object per line "
                                      "(jq -c '.[]' writes them), or --format lines for text");
  }
  const bool object = first == '{' && (second == '"' || second == '}');
  return object || IsNamedJsonLines(path) ? DocumentFormat::kJsonLines : DocumentFormat::kLines;
}

// Python writes NaN, Infinity and -Infinity where JSON has no number. They become 0, with the spaces that keep columns
// what they are; true if there were any.
bool ReplaceNonNumbers(std::string& json) {
  bool replaced = false, in_string = false;
  for (size_t i = 0; i < json.size(); ++i) {
    if (json[i] == '"') in_string = !in_string;
    if (in_string) {
      if (json[i] == '\\') ++i;
      continue;
    }
    for (const std::string_view word : {"-Infinity", "Infinity", "NaN"}) {
      if (json.compare(i, word.size(), word) != 0) continue;
      json.replace(i, word.size(), word.size(), ' ');
      json[i] = '0';
      replaced = true;
    }
  }
  return replaced;
}

// Takes the string of one field out of a JSON object and checks the rest without keeping it.
class FieldReader final : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit FieldReader(const std::string& field) : field_(&field) {}

  bool is_object = false;
  std::optional<std::string> text;
  std::string error;          // what is wrong with the JSON
  size_t error_position = 0;  // bytes up to there

  bool null() override { return Other(); }
  bool boolean(bool) override { return Other(); }
  bool number_integer(number_integer_t) override { return Other(); }
  bool number_unsigned(number_unsigned_t) override { return Other(); }
  bool number_float(number_float_t, const string_t&) override { return Other(); }
  bool binary(binary_t&) override { return Other(); }
  bool string(string_t& value) override {
    if (wanted_) text = std::move(value);
    return Other();
  }
  bool key(string_t& name) override {
    if (depth_ != 1 || name != *field_) return true;
    wanted_ = true;
    text.reset();  // of two fields of one name the last counts
    return true;
  }
  bool start_object(size_t) override {
    if (depth_ == 0) is_object = true;
    return Enter();
  }
  bool start_array(size_t) override { return Enter(); }
  bool end_object() override { return Leave(); }
  bool end_array() override { return Leave(); }
  bool parse_error(size_t position, const std::string&,
                   const nlohmann::json::exception& why) override {
    error_position = position;
    error = why.what();  // "[id] parse error at line 1, column 7: reason"
    if (const size_t id = error.find("] "); id != error.npos) error.erase(0, id + 2);
    if (error.starts_with("parse error at")) error.erase(0, error.find(": ") + 2);
    error.resize(std::min(error.find("; last read"), error.size()));  // it may be long
    return false;
  }

 private:
  bool Other() {
    wanted_ = false;
    return true;
  }
  bool Enter() {
    ++depth_;
    return Other();
  }
  bool Leave() {
    --depth_;
    return true;
  }

  const std::string* field_;
  size_t depth_ = 0;
  bool wanted_ = false;  // the value of the field is next
};

}  // namespace

void DocumentReader::RegexDeleter::operator()(regex_t* r) const {
  regfree(r);
  delete r;
}

Result<DocumentReader> DocumentReader::Open(const DocumentSource& source) {
  DocumentReader reader;
  reader.source_ = source;
  if (source.format == DocumentFormat::kHeadings) {
    auto compiled = std::make_unique<regex_t>();
    const int error = regcomp(compiled.get(), source.heading.c_str(), REG_EXTENDED | REG_NOSUB);
    if (error != 0) {
      char why[128];
      regerror(error, compiled.get(), why, sizeof why);
      return Status(Code::kUsage,
                    fmt::format("regular expression \"{}\": {}", source.heading, why));
    }
    reader.heading_.reset(compiled.release());
  }
  if (source.files.empty()) return Status(Code::kUsage, "no input files");
  for (const auto& file : source.files) {
    std::error_code error;
    const auto status = std::filesystem::status(file, error);
    if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status))
      return Status(Code::kIo, file + ": not a regular file; documents are read several times");
    reader.total_bytes_ += std::filesystem::file_size(file, error);
    if (error) return Status(Code::kIo, file + ": " + error.message());
  }
  return reader;
}

Result<bool> DocumentReader::Next(std::string& document) {
  while (true) {
    if (!in_.is_open()) {
      if (next_file_ == source_.files.size()) return false;
      GOLF_TRY(OpenNextFile());
    }
    GOLF_ASSIGN(const bool found, NextInFile(document));
    if (!found) {
      in_.close();
      continue;
    }
    Strip(document);
    if (document.empty()) continue;
    if (!IsUtf8(document)) return Bad("is not UTF-8 text");
    return true;
  }
}

Status DocumentReader::OpenNextFile() {
  const std::string& path = source_.files[next_file_++];
  do {
    in_.clear();
    in_.open(path, std::ios::binary);
  } while (!in_ && errno == EINTR);
  if (!in_) return {Code::kIo, path + ": cannot open: " + std::strerror(errno)};
  std::string begin(kBegin, '\0');
  in_.read(begin.data(), static_cast<std::streamsize>(begin.size()));
  begin.resize(static_cast<size_t>(in_.gcount()));
  in_.clear();
  in_.seekg(0);
  GOLF_TRY(CheckIsText(path, begin));
  format_ = source_.format;
  if (format_ == DocumentFormat::kByContent) {
    GOLF_ASSIGN(format_, FormatByContent(path, begin));
  }
  line_number_ = 0;
  pending_heading_.clear();
  return {};
}

// The next line with its \n, if it has one. False at the end of the file.
Result<bool> DocumentReader::ReadLine(std::string& line) {
  if (!std::getline(in_, line)) {
    if (in_.bad()) {
      return Status(Code::kIo,
                    source_.files[next_file_ - 1] + ": cannot read: " + std::strerror(errno));
    }
    return false;
  }
  ++line_number_;
  bytes_read_ += line.size() + (in_.eof() ? 0 : 1);
  if (line_number_ == 1 && line.starts_with(kByteOrderMark)) line.erase(0, kByteOrderMark.size());
  if (line.ends_with('\r')) line.pop_back();
  return true;
}

Result<bool> DocumentReader::NextInFile(std::string& document) {
  std::string line;
  if (format_ == DocumentFormat::kLines || format_ == DocumentFormat::kJsonLines) {
    GOLF_ASSIGN(const bool read, ReadLine(line));
    if (!read) return false;
    document.clear();
    if (format_ == DocumentFormat::kLines) {
      document = std::move(line);
    } else if (!IsBlank(line)) {
      GOLF_TRY(FromJson(line, document));
    }
    return true;
  }
  document = std::move(pending_heading_);
  pending_heading_.clear();
  while (true) {
    GOLF_ASSIGN(const bool read, ReadLine(line));
    if (!read) return !document.empty();
    line += '\n';
    if (format_ == DocumentFormat::kBlankLines && IsBlank(line) && !document.empty()) return true;
    if (format_ == DocumentFormat::kHeadings && StartsDocument(line) && !document.empty()) {
      pending_heading_ = std::move(line);
      return true;
    }
    document += line;
  }
}

bool DocumentReader::StartsDocument(const std::string& line) const {
  const std::string without_newline = line.substr(0, line.size() - 1);
  return regexec(heading_.get(), without_newline.c_str(), 0, nullptr, 0) == 0;
}

Status DocumentReader::FromJson(std::string& line, std::string& document) const {
  FieldReader object(source_.json_field);
  if (!nlohmann::json::sax_parse(line, &object) && ReplaceNonNumbers(line)) {
    object = FieldReader(source_.json_field);
    nlohmann::json::sax_parse(line, &object);
  }
  if (!object.error.empty()) {
    // The column of a letter, as editors count.
    const auto end =
        line.begin() + static_cast<ptrdiff_t>(std::min(object.error_position, line.size()));
    const auto column = std::count_if(line.begin(), end, [](char c) { return (c & 0xC0) != 0x80; });
    return Bad(fmt::format("column {}: is not JSON: {}", column, object.error), ", ");
  }
  if (!object.is_object) return Bad("is not a JSON object");
  if (!object.text) return Bad(fmt::format("has no string \"{}\"", source_.json_field));
  document = std::move(*object.text);
  return {};
}

Status DocumentReader::Bad(const std::string& what, const char* before) const {
  const char* where = format_ == DocumentFormat::kLines || format_ == DocumentFormat::kJsonLines
                          ? "line"
                          : "the document that ends at line";
  return {Code::kBadData, fmt::format("{}: {} {}{}{}", source_.files[next_file_ - 1], where,
                                      line_number_, before, what)};
}

std::string Excerpt(const std::string& text) {
  constexpr size_t kMost = 40;
  if (text.size() <= kMost) return text;
  size_t end = kMost;  // not within a character
  while (end > 0 && (static_cast<uint8_t>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end) + "...";
}

bool IsUtf8(const std::string& text) {
  for (size_t i = 0; i < text.size();) {
    const auto lead = static_cast<uint8_t>(text[i]);
    const size_t length = lead < 0x80   ? 1
                          : lead < 0xC2 ? 0
                          : lead < 0xE0 ? 2
                          : lead < 0xF0 ? 3
                          : lead < 0xF5 ? 4
                                        : 0;
    if (length == 0 || i + length > text.size()) return false;
    for (size_t k = 1; k < length; ++k) {
      if ((static_cast<uint8_t>(text[i + k]) & 0xC0) != 0x80) return false;
    }
    if (length >
        2) {  // the second byte excludes long forms, surrogates and what lies above U+10FFFF
      const auto second = static_cast<uint8_t>(text[i + 1]);
      if ((lead == 0xE0 && second < 0xA0) || (lead == 0xED && second > 0x9F)) return false;
      if ((lead == 0xF0 && second < 0x90) || (lead == 0xF4 && second > 0x8F)) return false;
    }
    i += length;
  }
  return true;
}

}  // namespace golf
