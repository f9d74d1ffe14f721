--- What is suggested at the cursor now: asks the server, keeps what agrees with the text, drops the rest.

local ghost = require("flash_ls.ghost")
local menu = require("flash_ls.menu")
local options = require("flash_ls.options")
local server = require("flash_ls.server")
local suggestions = require("flash_ls.suggestion")
local switch = require("flash_ls.switch")

---@class flash_ls.Cursor what an answer is compared with when it comes
---@field buffer integer
---@field tick integer `changedtick`
---@field row integer
---@field column integer
---@field line string

---@class flash_ls.Request
---@field client vim.lsp.Client
---@field id integer
---@field asked_at flash_ls.Cursor
---@field steps? integer how far the user wants to go through the answers, who asked for them

local M = {}

local METHOD = "textDocument/inlineCompletion"
local INVOKED, AUTOMATIC = 1, 2

local list = {} ---@type flash_ls.Suggestion[]
local index = 1
local home = -1 -- the buffer of the list
local visible = false -- something is drawn
local all_known = false -- the list is the answer to somebody who asked
local request ---@type flash_ls.Request?
local wanted = 0 -- counts the wishes to ask, of which the last is granted
local seen ---@type flash_ls.Cursor? when the text was looked at last
local seen_item ---@type string? the item of the menu that was selected when the server was asked last
local settled = -1 -- the changedtick of an accept that left something to be accepted

---@return flash_ls.Cursor
local function cursor()
  local row, column = unpack(vim.api.nvim_win_get_cursor(0))
  return {
    buffer = vim.api.nvim_get_current_buf(),
    tick = vim.api.nvim_buf_get_changedtick(0),
    row = row - 1,
    column = column,
    line = vim.api.nvim_get_current_line(),
  }
end

---@return boolean
local function inserting()
  return vim.api.nvim_get_mode().mode:sub(1, 1) == "i"
end

local function erase()
  if visible then
    ghost.clear(home)
    visible = false
  end
end

---@param at flash_ls.Cursor
---@return boolean selected
---@return flash_ls.Selected?
local function selection(at)
  return menu.selection(at.line:sub(1, at.column))
end

--- Whether a suggestion may be seen: not beside a selected item of a menu that it does not extend.
---@param current flash_ls.Suggestion
---@param at flash_ls.Cursor
---@return boolean
local function presentable(current, at)
  local selected, item = selection(at)
  local whole = item and at.line:sub(item.start + 1, at.column) .. current.text
  return not selected or (item ~= nil and vim.startswith(whole, item.text))
end

---@param at flash_ls.Cursor
local function draw(at)
  local current = list[index]
  if not current or not presentable(current, at) then
    erase()
    return
  end
  ghost.draw(home, current, menu.open())
  visible = true
end

--- Keep of the suggestions those that agree with the text, if the current one does.
---@param at flash_ls.Cursor
local function advance(at)
  local current = list[index]
  local kept, place = {}, nil
  for _, one in ipairs(at.buffer == home and list or {}) do
    local moved = suggestions.advanced(one, at.row, at.column, at.line)
    kept[#kept + 1] = moved
    place = one == current and moved and #kept or place
  end
  list, index = place and kept or {}, place or 1
end

local function cancel()
  wanted = wanted + 1
  if request then
    request.client:cancel_request(request.id)
    request = nil
  end
end

--- Suggest nothing, and wait for no answer.
function M.clear()
  cancel()
  list, index, all_known = {}, 1, false
  erase()
end

---@param one flash_ls.Cursor
---@param other flash_ls.Cursor
---@return boolean
local function same_place(one, other)
  local same_text = one.buffer == other.buffer and one.tick == other.tick
  return same_text and one.row == other.row and one.column == other.column
end

---@param result any
---@param at flash_ls.Cursor
---@param encoding string
---@return flash_ls.Suggestion[]
local function read(result, at, encoding)
  local found = {}
  for _, item in ipairs(type(result) == "table" and (result.items or result) or {}) do
    found[#found + 1] = suggestions.from_item(item, at.row, at.column, at.line, encoding)
  end
  return found
end

--- Take an answer; for somebody who goes through them, the one that follows what is shown.
---@param found flash_ls.Suggestion[]
---@param steps integer
local function take(found, steps)
  local text, shown_at = list[index] and list[index].text, nil
  for place, one in ipairs(found) do
    shown_at = one.text == text and place or shown_at
  end
  list, index = found, shown_at and (shown_at - 1 + steps) % #found + 1 or 1
end

---@param asked flash_ls.Request
---@param result any
local function answered(asked, result)
  if asked ~= request then
    return
  end
  request = nil
  local at = cursor()
  if not inserting() or not same_place(at, asked.asked_at) then
    return
  end
  local found = read(result, at, asked.client.offset_encoding)
  erase()
  home, all_known = at.buffer, asked.steps ~= nil
  take(found, asked.steps or 0)
  draw(at)
  if asked.steps and #found == 0 then
    ghost.remark(home, at.row, "no suggestion here")
    visible = true
  end
end

---@param at flash_ls.Cursor
---@param selected flash_ls.Selected?
---@param client vim.lsp.Client
---@return lsp.SelectedCompletionInfo?
local function selected_info(at, selected, client)
  if not selected then
    return nil
  end
  local function position(column)
    return { line = at.row, character = vim.str_utfindex(at.line, client.offset_encoding, column, false) }
  end
  return { text = selected.text, range = { start = position(selected.start), ["end"] = position(at.column) } }
end

---@param kind integer
---@param steps? integer
local function ask(kind, steps)
  cancel()
  local client, at = server.client(0), cursor()
  local selected, item = selection(at)
  if not client or not inserting() or (selected and not item) then
    return
  end
  seen, seen_item = at, item and item.text
  local params = vim.lsp.util.make_position_params(0, client.offset_encoding) --[[@as table]]
  params.context = { triggerKind = kind, selectedCompletionInfo = selected_info(at, item, client) }
  local asked = { client = client, asked_at = at, steps = steps } ---@type flash_ls.Request
  request = asked
  local sent, id = client:request(METHOD, params, function(_, result)
    answered(asked, result)
  end, at.buffer)
  asked.id = id
  request = sent and request or nil
end

--- Ask as soon as the keys that are in the queue are typed.
local function ask_soon()
  cancel()
  local mine = wanted
  local function go()
    if mine == wanted then
      ask(AUTOMATIC)
    end
  end
  if options.current.debounce_ms > 0 then
    vim.defer_fn(go, options.current.debounce_ms)
  else
    vim.schedule(go)
  end
end

--- Ask for what is typed, unless that is not wanted.
local function suggest()
  if options.current.auto and not switch.reason() then
    ask_soon()
  else
    cancel()
  end
end

--- More is known of what is suggested in a document (flashLs/refresh), or something better, where nothing may be shown.
---@param uri string
---@param better? boolean
function M.refreshed(uri, better)
  if inserting() and not request and uri == vim.uri_from_bufnr(0) and (better or #list > 0) then
    suggest()
  end
end

--- Insert mode begins: look at the text, and ask.
function M.entered()
  seen = cursor()
  suggest()
end

--- The text has changed: keep what agrees with it on the screen, and ask anew.
function M.changed()
  local at = cursor()
  seen = at
  advance(at)
  draw(at)
  if at.tick ~= settled then
    all_known = false
    suggest()
  end
end

--- The cursor may have moved without a change of the text. If it went over what is suggested, as over a bracket that
--- was closed already, that is like typing; else nothing is suggested.
---@return boolean # whether it has left
function M.moved()
  local at = cursor()
  local before = seen or at
  seen = at.tick == before.tick and at or before
  if at.tick ~= before.tick or same_place(at, before) then
    return false
  end
  advance(at)
  if #list == 0 then
    M.clear()
    return true
  end
  draw(at)
  suggest()
  return false
end

--- Another item of Neovim's menu may be selected: ask for what extends that.
function M.item_changed()
  local at = cursor()
  local _, item = selection(at)
  if #list > 0 then
    draw(at)
  end
  if (item and item.text) ~= seen_item then
    suggest()
  end
end

--- A menu of a plugin may have come or gone.
function M.menu_changed()
  local current, at = list[index], list[index] and cursor()
  if current and presentable(current, at) ~= visible then
    advance(at)
    draw(at)
  end
end

--- The suggestion that is on the screen, for the text as it is at this moment.
---@return flash_ls.Suggestion?
function M.current()
  if not visible or not inserting() then
    return nil
  end
  advance(cursor())
  return list[index]
end

---@param current flash_ls.Suggestion
---@param piece string
local function write(current, piece)
  local row, column = current.row, #current.before
  local stop = column + #suggestions.replaced(current, #piece)
  local lines = vim.split(piece, "\n")
  vim.api.nvim_buf_set_text(0, row, column, row, stop, lines)
  local behind = #lines == 1 and column + #piece or #lines[#lines]
  vim.api.nvim_win_set_cursor(0, { row + #lines, behind })
end

---@param command lsp.Command?
local function run(command)
  local client = server.client(0)
  if command and client then
    client:exec_cmd(command, { bufnr = vim.api.nvim_get_current_buf() })
  end
end

--- Write a part of the suggestion into the buffer, and keep showing what is left.
---@param part fun(text: string): string
function M.accept(part)
  local current = M.current()
  if not current then
    return
  end
  cancel()
  local piece = part(current.text)
  write(current, piece)
  local at = cursor()
  local left = suggestions.without(current, #piece, at.row, at.line:sub(1, at.column))
  list, index, all_known = { left }, 1, false
  settled = left and at.tick or -1
  if not left then
    run(current.command)
  end
end

--- Show another suggestion; the server is asked for more when it has been asked for one only.
---@param steps integer
function M.cycle(steps)
  if not all_known then
    ask(INVOKED, steps)
  elseif #list > 0 then
    index = (index - 1 + steps) % #list + 1
    draw(cursor())
  end
end

--- Ask for suggestions, sure or not.
function M.trigger()
  ask(INVOKED, 0)
end

return M
