--- Completions of the flash-ls server as ghost text. `setup` starts it; the other functions are for keys of your own.

local builtin = require("flash_ls.builtin")
local ghost = require("flash_ls.ghost")
local keys = require("flash_ls.keys")
local notice = require("flash_ls.notice")
local options = require("flash_ls.options")
local server = require("flash_ls.server")
local session = require("flash_ls.session")
local state = require("flash_ls.state")
local suggestion = require("flash_ls.suggestion")
local switch = require("flash_ls.switch")
local whereabouts = require("flash_ls.whereabouts")

local M = {}

local GROUP = "flash_ls"

---@param events string|string[]
---@param act fun(event: table)
local function on(events, act)
  vim.api.nvim_create_autocmd(events, {
    group = GROUP,
    callback = function(event)
      act(event)
    end,
  })
end

--- Whether the server serves the current buffer.
---@return boolean
local function served()
  return server.client(0) ~= nil
end

---@param act fun()
---@return fun()
local function if_served(act)
  return function()
    if served() then
      act()
    end
  end
end

local function follow_typing()
  on(
    "InsertEnter",
    if_served(function()
      whereabouts.tell()
      session.entered()
    end)
  )
  on({ "TextChangedI", "TextChangedP" }, if_served(session.changed))
  on(
    "CursorMovedI",
    if_served(function()
      if session.moved() then
        whereabouts.tell_soon()
      end
    end)
  )
  on({ "CompleteChanged", "CompleteDone" }, vim.schedule_wrap(if_served(session.item_changed)))
  on("SafeState", session.menu_changed)
  on({ "InsertLeave", "BufLeave" }, session.clear)
end

---@param buffer integer
local function map(buffer)
  if options.current.use_builtin then
    builtin.map(buffer)
  else
    keys.map(buffer)
  end
end

---@param event table
local function attached(event)
  local client = vim.lsp.get_client_by_id(event.data.client_id)
  if not client or client.name ~= server.NAME then
    return
  end
  if options.current.use_builtin then
    builtin.enable(client.id, event.buf)
  end
  map(event.buf)
end

--- A buffer gets its file type, perhaps once more: what is mapped for that comes before our own keys.
---@param event table
local function typed(event)
  server.start(event.buf)
  if server.client(event.buf) then
    map(event.buf)
  end
end

local function watch()
  vim.api.nvim_create_augroup(GROUP, { clear = true })
  on("FileType", typed)
  on("LspAttach", attached)
  on("CursorMoved", if_served(whereabouts.tell_soon))
  if not options.current.use_builtin then
    follow_typing()
  end
end

--- Begin, once.
---@param given? table<string, any> see |flash_ls-options|
function M.setup(given)
  if vim.fn.has("nvim-0.11") == 0 then
    notice.say("needs Neovim 0.11 or newer.", vim.log.levels.ERROR)
    return
  end
  for _, wrong in ipairs(options.set(given or {})) do
    notice.say(wrong .. ".", vim.log.levels.WARN)
  end
  if options.current.use_builtin and not builtin.available() then
    notice.say("`use_builtin` needs Neovim 0.12; the plugin's own client is used.", vim.log.levels.WARN)
    options.current.use_builtin = false
  end
  vim.cmd.runtime("plugin/flash_ls.lua")
  ghost.define_highlight()
  watch()
  server.start_all()
end

--- Accept a part of the suggestion, in an undo block of its own.
---@param part "all"|"word"|"line"
local function accept(part)
  local write = ("<C-g>u<Cmd>lua require('flash_ls').write(%q)<CR><C-g>u"):format(part)
  vim.api.nvim_feedkeys(vim.api.nvim_replace_termcodes(write, true, true, true), "in", false)
end

--- Write a part of the suggestion into the buffer. Use `accept` and its like: they can be undone alone.
---@param part "all"|"word"|"line"
---@package
function M.write(part)
  session.accept(suggestion[part])
end

function M.accept()
  accept("all")
end

function M.accept_word()
  accept("word")
end

function M.accept_line()
  accept("line")
end

function M.next()
  session.cycle(1)
end

function M.previous()
  session.cycle(-1)
end

M.dismiss = session.clear
M.trigger = session.trigger

--- Whether a suggestion is on the screen.
---@return boolean
function M.visible()
  return session.current() ~= nil
end

--- One short piece of text for a statusline.
---@return string
function M.status()
  return state.text()
end

--- Switch the suggestions on or off; off frees the server's memory.
---@param wanted boolean
function M.enable(wanted)
  switch.enable(wanted)
  session.clear()
  server.configure()
  vim.cmd.redrawstatus()
end

--- No suggestions for a while.
---@param minutes number
function M.snooze(minutes)
  switch.snooze(minutes)
  session.clear()
  vim.cmd.redrawstatus()
end

return M
