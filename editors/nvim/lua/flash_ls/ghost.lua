--- A suggestion on the screen: text that is not in the buffer, drawn with extmarks.

local suggestions = require("flash_ls.suggestion")

---@class flash_ls.Layout
---@field inline [integer, string][] texts drawn between the characters, and how far behind the cursor in bytes
---@field overlay? string drawn over all that stands behind the cursor instead
---@field kept string what stands at the end of the last line
---@field below string[] lines under that of the cursor

local M = {}

M.HIGHLIGHT = "FlashLsGhost"
M.NAMESPACE = vim.api.nvim_create_namespace("flash_ls")

local MORE = " …"

--- The first line, cut where the tail's characters stand, which are on the screen already.
---@param suggestion flash_ls.Suggestion
---@param first string
---@param places integer[]
---@return [integer, string][]
local function pieces(suggestion, first, places)
  local cut, offset, found = 1, 0, {}
  for index, place in ipairs(places) do
    local size = #vim.fn.strcharpart(suggestion.tail, index - 1, 1)
    found[#found + 1] = { offset, first:sub(cut, place - 1) }
    cut, offset = place + size, offset + size
  end
  found[#found + 1] = { offset, first:sub(cut) }
  return vim.tbl_filter(function(piece)
    return piece[2] ~= ""
  end, found)
end

--- What to draw where. The rest of the line is drawn over if it goes to another line or has to move.
---@param suggestion flash_ls.Suggestion
---@return flash_ls.Layout
function M.layout(suggestion)
  local below = vim.split(suggestion.text, "\n")
  local first = table.remove(below, 1)
  local places = suggestions.covered(suggestion)
  local fits = places and (places[#places] or 0) <= #first
  if fits and (#below == 0 or suggestion.rest == "") then
    return { inline = pieces(suggestion, first, places), kept = "", below = below }
  end
  return { inline = {}, overlay = first, kept = suggestion.rest, below = below }
end

--- A text with spaces for its tabs.
---@param text string
---@param column integer the cell where it begins
---@param tabstop integer
---@return string
function M.expanded(text, column, tabstop)
  return (
    text:gsub("([^\t]*)\t", function(before)
      local at = column + vim.fn.strdisplaywidth(before)
      local gap = tabstop - at % tabstop
      column = at + gap
      return before .. (" "):rep(gap)
    end)
  )
end

---@param buffer integer
---@param row integer
---@param column integer
---@param mark vim.api.keyset.set_extmark
local function place(buffer, row, column, mark)
  mark.hl_mode = "combine"
  mark.strict = false
  vim.api.nvim_buf_set_extmark(buffer, M.NAMESPACE, row, column, mark)
end

--- Draw a text over what stands behind the cursor, and blanks where it is shorter.
---@param buffer integer
---@param suggestion flash_ls.Suggestion
---@param layout flash_ls.Layout
---@param text string
local function draw_over(buffer, suggestion, layout, text)
  local kept = #layout.below == 0 and layout.kept or ""
  local hidden = vim.fn.strdisplaywidth(suggestion.tail .. suggestion.rest)
  local blank = math.max(0, hidden - vim.fn.strdisplaywidth(text .. kept))
  local chunks = { { text, M.HIGHLIGHT }, { kept .. (" "):rep(blank), "Normal" } }
  place(buffer, suggestion.row, #suggestion.before, { virt_text = chunks, virt_text_pos = "overlay" })
end

---@param buffer integer
---@param suggestion flash_ls.Suggestion
---@param layout flash_ls.Layout
---@param tabstop integer
local function draw_below(buffer, suggestion, layout, tabstop)
  local lines = {}
  for index, line in ipairs(layout.below) do
    local last = index == #layout.below
    lines[index] = { { M.expanded(line, 0, tabstop), M.HIGHLIGHT }, last and { layout.kept, "Normal" } or nil }
  end
  place(buffer, suggestion.row, 0, { virt_lines = lines })
end

--- Draw a suggestion instead of any other.
---@param buffer integer
---@param suggestion flash_ls.Suggestion
---@param menu_open boolean the lines below are under a menu, so that only a sign of them is shown
function M.draw(buffer, suggestion, menu_open)
  M.clear(buffer)
  local layout, tabstop = M.layout(suggestion), vim.bo[buffer].tabstop
  local column, hidden = vim.fn.strdisplaywidth(suggestion.before), menu_open and #layout.below > 0
  local more = hidden and MORE or ""
  for index, piece in ipairs(layout.inline) do
    local text = M.expanded(piece[2], column, tabstop) .. (index == #layout.inline and more or "")
    local mark = { virt_text = { { text, M.HIGHLIGHT } }, virt_text_pos = "inline" }
    place(buffer, suggestion.row, #suggestion.before + piece[1], mark)
  end
  if layout.overlay then
    draw_over(buffer, suggestion, layout, M.expanded(layout.overlay, column, tabstop) .. more)
  end
  if #layout.below > 0 and not hidden then
    draw_below(buffer, suggestion, layout, tabstop)
  end
end

--- Say something at the end of a line; messages below would not be seen in the insert mode.
---@param buffer integer
---@param row integer
---@param words string
function M.remark(buffer, row, words)
  place(buffer, row, 0, { virt_text = { { words, M.HIGHLIGHT } }, virt_text_pos = "eol" })
end

---@param buffer integer
function M.clear(buffer)
  if vim.api.nvim_buf_is_valid(buffer) then
    vim.api.nvim_buf_clear_namespace(buffer, M.NAMESPACE, 0, -1)
  end
end

--- A colour of the theme, unless the user has chosen another.
function M.define_highlight()
  vim.api.nvim_set_hl(0, M.HIGHLIGHT, { link = "Comment", default = true })
end

return M
