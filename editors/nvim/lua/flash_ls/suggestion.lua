--- One suggestion: what it was made for, what is left of it as the line changes, and its parts.
--- Knows nothing of windows or servers. Columns are bytes, rows and columns count from 0.

---@class flash_ls.Suggestion
---@field row integer
---@field start integer the column where it began; the line before that never changes
---@field before string the line up to the cursor
---@field text string what is to be written at the cursor, lines ended by "\n"
---@field tail string what stands behind the cursor and is replaced
---@field rest string what stands behind the tail
---@field command? lsp.Command to be run once all is accepted

local M = {}

local CLOSERS = "^[%)%]}>\"'`]+$"

---@param text string
---@return string
local function plain_ends(text)
  return (text:gsub("\r\n?", "\n"))
end

---@param text string
---@param beginning string
---@return string? # what follows the beginning, if the text begins with it
local function behind(text, beginning)
  return vim.startswith(text, beginning) and text:sub(#beginning + 1) or nil
end

---@param text string
---@param ending string
---@return string?
local function ahead(text, ending)
  return vim.endswith(text, ending) and text:sub(1, #text - #ending) or nil
end

--- The last place of each character of `tail`, in order, in the text up to byte `last`.
---@param text string
---@param tail string
---@param last integer
---@return integer[]?
local function places(text, tail, last)
  local found = {}
  local characters = vim.fn.split(tail, "\\zs")
  for index = #characters, 1, -1 do
    local character = characters[index]
    while last > 0 and text:sub(last, last + #character - 1) ~= character do
      last = last - 1
    end
    if last == 0 then
      return nil
    end
    found[index] = last
    last = last - 1
  end
  return found
end

--- Where the characters of the tail stand in the text: all on its first line, else anywhere.
---@param suggestion flash_ls.Suggestion
---@return integer[]? # bytes from 1; nil if the text does not have them
function M.covered(suggestion)
  local text, tail = suggestion.text, suggestion.tail
  local first = text:match("^[^\n]*")
  return places(text, tail, #first) or places(text, tail, #text)
end

--- The suggestion of an item for the cursor, or nil if what is typed is not its beginning.
---@param item lsp.InlineCompletionItem
---@param row integer
---@param column integer
---@param line string
---@param encoding string of the item's range
---@return flash_ls.Suggestion?
function M.from_item(item, row, column, line, encoding)
  local text, range = item.insertText, item.range
  if type(text) ~= "string" or (range and (range.start.line ~= row or range["end"].line ~= row)) then
    return nil
  end
  local start = range and vim.str_byteindex(line, encoding, range.start.character, false) or column
  local stop = range and vim.str_byteindex(line, encoding, range["end"].character, false) or column
  local left = start <= column and behind(plain_ends(text), line:sub(start + 1, column))
  if not left or left == "" or stop < column then
    return nil
  end
  return {
    row = row,
    start = start,
    before = line:sub(1, column),
    text = left,
    tail = line:sub(column + 1, stop),
    rest = line:sub(stop + 1),
    command = item.command,
  }
end

--- What is left of the text after typing or deleting characters of it.
---@param suggestion flash_ls.Suggestion
---@param before string
---@return string?
local function text_left(suggestion, before)
  if #before < suggestion.start then
    return nil
  end
  local typed = behind(before, suggestion.before)
  if typed then
    return behind(suggestion.text, typed)
  end
  local deleted = behind(suggestion.before, before)
  return deleted and deleted .. suggestion.text
end

--- The tail when closers were typed over, deleted, or added by an editor that closes brackets.
---@param suggestion flash_ls.Suggestion
---@param after string the line behind the cursor
---@return string?
local function tail_left(suggestion, after)
  local whole = suggestion.tail .. suggestion.rest
  local gone = ahead(whole, after)
  if gone then
    return behind(suggestion.tail, gone)
  end
  local added = ahead(after, whole)
  return added and added:match(CLOSERS) and added .. suggestion.tail
end

--- The suggestion for a line that has changed, or nil if it does not agree with it.
---@param suggestion flash_ls.Suggestion
---@param row integer
---@param column integer
---@param line string
---@return flash_ls.Suggestion?
function M.advanced(suggestion, row, column, line)
  local before, after = line:sub(1, column), line:sub(column + 1)
  local text = row == suggestion.row and text_left(suggestion, before)
  local tail = text and text ~= "" and tail_left(suggestion, after)
  if not tail then
    return nil
  end
  local moved = vim.tbl_extend("force", suggestion, { before = before, text = text, tail = tail })
  local grown = #tail > #suggestion.tail
  return (not grown or M.covered(moved)) and moved or nil
end

--- The tail's characters that a piece of the text replaces.
---@param suggestion flash_ls.Suggestion
---@param length integer bytes of the piece
---@return string
function M.replaced(suggestion, length)
  if length >= #suggestion.text then
    return suggestion.tail
  end
  local count = 0
  for _, place in ipairs(M.covered(suggestion) or {}) do
    count = count + (place <= length and 1 or 0)
  end
  return vim.fn.strcharpart(suggestion.tail, 0, count)
end

--- What is left after a piece of the text was written and the cursor put behind it.
---@param suggestion flash_ls.Suggestion
---@param length integer bytes of the piece
---@param row integer where the cursor is now
---@param before string the line up to it
---@return flash_ls.Suggestion?
function M.without(suggestion, length, row, before)
  local text = suggestion.text:sub(length + 1)
  local tail = suggestion.tail:sub(#M.replaced(suggestion, length) + 1)
  local left = { row = row, start = #before, before = before, text = text, tail = tail }
  return text ~= "" and vim.tbl_extend("force", suggestion, left) or nil
end

--- The first word of a text, or its first run of signs, with the space before it.
---@param text string
---@return string
function M.word(text)
  local space = text:match("^%s*")
  local from = #space + 1
  local word = text:match("^[%w_\128-\255]+", from) or text:match("^[^%w_%s\128-\255]+", from) or ""
  return space .. word
end

--- The first line of a text that has anything on it.
---@param text string
---@return string
function M.line(text)
  return text:match("^\n*[^\n]*")
end

---@param text string
---@return string
function M.all(text)
  return text
end

return M
