--- The command `:FlashLs`.

local flash = require("flash_ls")
local notice = require("flash_ls.notice")
local options = require("flash_ls.options")
local server = require("flash_ls.server")
local state = require("flash_ls.state")
local switch = require("flash_ls.switch")

local M = {}

local SNOOZE_MINUTES = 10
local STATUS = "flashLs.status"

--- What can be said without asking the server.
---@return string[]
local function known()
  local now, client = state.get(), server.client()
  local lines = { now.state .. (now.reason ~= "" and (" (%s)"):format(now.reason) or "") }
  if now.message ~= "" then
    lines[#lines + 1] = now.message
  end
  if client then
    local info = client.server_info or {}
    lines[#lines + 1] = ("%s %s, %d buffers"):format(info.name, info.version, vim.tbl_count(client.attached_buffers))
  end
  return lines
end

---@param client vim.lsp.Client
---@return boolean
local function tells_status(client)
  local provider = client.server_capabilities.executeCommandProvider
  return provider ~= nil and vim.list_contains(provider.commands or {}, STATUS)
end

--- What fits on a line each and has not been said.
---@param lines string[]
---@param told table<string, any>
local function add(lines, told)
  for key, value in vim.spairs(told) do
    local said = key == "state" or key == "reason" or key == "message"
    if not said and type(value) ~= "table" then
      lines[#lines + 1] = ("%s: %s"):format(key, value)
    end
  end
end

local function status()
  local lines, client = known(), server.client()
  if not client or not tells_status(client) then
    notice.say(table.concat(lines, "\n"))
    return
  end
  client:request("workspace/executeCommand", { command = STATUS }, function(_, told)
    add(lines, type(told) == "table" and told or {})
    notice.say(table.concat(lines, "\n"))
  end)
end

--- Run a sub-command of the server in a terminal below.
---@param arguments string[]
---@param done? fun(code: integer)
local function in_terminal(arguments, done)
  local program = options.current.cmd[1]
  if vim.fn.executable(program) == 0 then
    notice.say(("there is no program `%s`."):format(program), vim.log.levels.ERROR)
    return
  end
  vim.cmd("botright 12new")
  vim.fn.jobstart(vim.list_extend(vim.list_slice(options.current.cmd), arguments), {
    term = true,
    on_exit = function(_, code)
      if done then
        done(code)
      end
    end,
  })
end

--- Each takes the words behind it.
---@type table<string, fun(words: string[])>
local ACTIONS = {
  status = status,
  enable = function()
    flash.enable(true)
  end,
  disable = function()
    flash.enable(false)
  end,
  toggle = function()
    flash.enable(not switch.enabled())
  end,
  snooze = function(words)
    flash.snooze(tonumber(words[1]) or SNOOZE_MINUTES)
  end,
  restart = server.restart,
  log = function()
    vim.cmd.tabedit(vim.fn.fnameescape(vim.lsp.get_log_path()))
    vim.cmd.normal({ "G", bang = true })
  end,
  build = function()
    in_terminal({ "model", "build" }, function(code)
      if code == 0 then
        server.restart()
      end
    end)
  end,
  doctor = function()
    in_terminal({ "doctor" })
  end,
}

---@param words string[]
function M.run(words)
  local name = words[1] or "status"
  local action = ACTIONS[name]
  if not action then
    notice.say(("there is no :FlashLs %s; there are %s."):format(name, table.concat(M.names(""), ", ")))
    return
  end
  action(vim.list_slice(words, 2))
end

--- The sub-commands that begin so.
---@param beginning string
---@return string[]
function M.names(beginning)
  local names = vim.tbl_filter(function(name)
    return vim.startswith(name, beginning)
  end, vim.tbl_keys(ACTIONS))
  table.sort(names)
  return names
end

return M
