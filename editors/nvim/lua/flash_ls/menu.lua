--- The completion menu that may be open over the text: Neovim's own, that of blink.cmp or of nvim-cmp.

---@class flash_ls.Selected
---@field text string what the selected item writes
---@field start integer the column where it begins

local M = {}

--- Whether a loaded plugin says yes. Its interface may be another one than ours knows.
---@param plugin string
---@param visible string
---@param selected string
---@return boolean
local function selects(plugin, visible, selected)
  local menu = package.loaded[plugin]
  if not menu or not menu[visible] or not menu[selected] then
    return false
  end
  local known, answer = pcall(function()
    return menu[visible]() and menu[selected]() ~= nil
  end)
  return known and answer == true
end

--- Whether Neovim's own menu is open.
---@return boolean
function M.open()
  return vim.fn.pumvisible() == 1
end

--- The column where a word was begun that the menu writes or would write at the cursor.
---@param before string the line up to the cursor
---@param word string
---@return integer?
local function beginning(before, word)
  for length = math.min(#word, #before), 1, -1 do
    if before:sub(-length) == word:sub(1, length) then
      return #before - length
    end
  end
end

---@param before string
---@return boolean selected
---@return flash_ls.Selected? # nil if where it begins cannot be told
local function own_selection(before)
  local word = vim.fn.complete_info({ "completed" }).completed
  if vim.fn.complete_info({ "selected" }).selected < 0 or not word then
    return false
  end
  local start = beginning(before, word.word)
  return true, start and { text = word.word, start = start } or nil
end

--- Whether an item of a menu is selected, and which if the menu is Neovim's own.
---@param before string the line up to the cursor
---@return boolean selected
---@return flash_ls.Selected?
function M.selection(before)
  if M.open() then
    return own_selection(before)
  end
  local blink = selects("blink.cmp", "is_menu_visible", "get_selected_item")
  return blink or selects("cmp", "visible", "get_selected_entry")
end

return M
