--- `:checkhealth flash_ls`.

local options = require("flash_ls.options")
local server = require("flash_ls.server")
local state = require("flash_ls.state")
local version = require("flash_ls.version")

local M = {}

local VERSION_MS = 20000
local DOCTOR_MS = 120000

local health = vim.health

--- Run a sub-command of the server.
---@param argument string
---@param limit_ms integer
---@return vim.SystemCompleted
local function run(argument, limit_ms)
  local command = vim.list_extend(vim.list_slice(options.current.cmd), { argument })
  local started, process = pcall(vim.system, command, { text = true, timeout = limit_ms })
  if not started then
    return { code = -1, signal = 0, stdout = "", stderr = tostring(process) }
  end
  return process:wait()
end

local function check_neovim()
  if vim.fn.has("nvim-0.11") == 1 then
    health.ok("Neovim " .. tostring(vim.version()))
  else
    health.error("Neovim is older than 0.11", "install a newer one")
  end
end

---@return boolean
local function check_program()
  local program = options.current.cmd[1]
  local path = vim.fn.exepath(program)
  if path == "" then
    health.error(
      ("there is no program `%s`"):format(program),
      "install the server: pip install 'flash-ls[model]'; or set the option `cmd` to where it is"
    )
    return false
  end
  health.ok("server: " .. path)
  return true
end

---@return boolean
local function check_version()
  local said = run("--version", VERSION_MS)
  local found = vim.trim(said.stdout or "")
  if said.code ~= 0 then
    health.error("the server does not start: " .. vim.trim(said.stderr or ""), "install it again")
    return false
  elseif found ~= version then
    health.warn(("the server is %s, this plugin was made with %s"):format(found, version), "update both")
  else
    health.ok("version " .. found)
  end
  return true
end

--- What `flash-ls doctor` says: facts, and sentences about what is wrong.
local function check_doctor()
  local said = run("doctor", DOCTOR_MS)
  for _, line in ipairs(vim.split(said.stdout or "", "\n", { trimempty = true })) do
    local problem = line:match("^wrong: (.*)")
    local name, fact = line:match("^(%S.-)%s%s+(.+)$")
    if problem then
      health.error(problem)
    elseif name then
      health.info(("%s: %s"):format(name, fact))
    end
  end
  if said.code == 0 then
    health.ok("the model is built and runs")
  elseif said.stderr and said.stderr ~= "" then
    health.error("`doctor` fails: " .. vim.trim(said.stderr))
  end
end

local function check_client()
  local client = server.client()
  if not client then
    health.info("no client is attached: " .. state.text())
    return
  end
  local buffers = vim.tbl_count(client.attached_buffers)
  health.ok(("client %d serves %d buffers: %s"):format(client.id, buffers, state.text()))
end

function M.check()
  health.start("flash_ls")
  check_neovim()
  if check_program() and check_version() then
    check_doctor()
  end
  check_client()
end

return M
